"""What tests of the store let other processes do."""

import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from stores import MARKED, project_of

from csr_core.annotation.records import Change
from csr_core.annotation.store import Store, StoreError

FIELDS = (
    lambda text: MARKED,
    lambda text: Change("comment", text),
    lambda text: Change("flagged", bool(len(text) % 2)),
)


def annotate(address: str, reader: str, count: int) -> list[tuple[str, int, str, int]]:
    """Save changes in every case of the project; reader, case, key and revision of each."""
    store = Store(address)
    saved = []
    for number in range(count):
        for case in store.cases("Moles"):
            key = f"{os.getpid()}-{number}"
            change = FIELDS[number % len(FIELDS)](key)
            revision = store.save(case.id, reader, change, key).revision
            saved.append((reader, case.id, key, revision))
    store.close()
    return saved


def open_and_save(address: str) -> str:
    """Open a store, which may not exist yet, and make a project of one's own in it."""
    store = Store(address)
    name = f"of {os.getpid()}"
    project_of(store, "a", name=name)
    store.close()
    return name


def save_for_ever(address: str, case: int, name: str) -> None:
    """Save changes of a case and say of each on standard output that it lasts."""
    store = Store(address)
    number = 0
    while True:
        key = f"{name}-{number}"
        try:
            saved = store.save(case, "Ann", FIELDS[number % len(FIELDS)](key), key)
        except StoreError:  # the server was killed
            return
        _say(f"saved {key} {saved.revision}")
        number += 1


def make(address: str) -> None:
    """Make a store with a project, and say so."""
    project_of(Store(address), *(f"i{number}" for number in range(50)))
    _say("made")


class Workers:
    """Processes that do such work, all at once, one set after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, *calls: tuple) -> list[int]:
        """Let a process work for each call, a name and arguments, and give their ids."""
        print(json.dumps(calls), file=self._process.stdin, flush=True)
        return [int(self.line()) for _ in calls]

    def line(self) -> str:
        """What one says next."""
        return self._process.stdout.readline().rstrip("\n")

    def rest(self) -> list[str]:
        """What they say until the last has ended."""
        return list(iter(self.line, "ended"))

    def results(self, *calls: tuple) -> list:
        """What calls answer, in no order."""
        self.start(*calls)
        return [json.loads(line) for line in self.rest()]

    def close(self) -> None:
        """End."""
        self._process.communicate(timeout=60)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # at once and whole


def _serve() -> None:
    """Fork for every call, so that what it needs is imported only once."""
    work = {f.__name__: f for f in (annotate, open_and_save, save_for_ever, make)}
    for line in sys.stdin:
        start, go = os.pipe()
        children = []
        for name, *arguments in json.loads(line):
            child = os.fork()
            if child == 0:
                os.close(go)
                os.read(start, 1)  # until it is closed
                try:
                    result = work[name](*arguments)
                    if result is not None:
                        _say(json.dumps(result))
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)
            children.append(child)
            _say(str(child))
        os.close(start)
        os.close(go)
        for child in children:
            os.waitpid(child, 0)
        _say("ended")


if __name__ == "__main__":
    _serve()
