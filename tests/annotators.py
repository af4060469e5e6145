"""What tests of the store let other processes do."""

import os
import sys
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


def annotate(address: str, reader: str, count: int) -> list[tuple[int, str, int]]:
    """Save changes in every case of the project; case, key and revision of each."""
    store = Store(address)
    saved = []
    for number in range(count):
        for case in store.cases("Moles"):
            key = f"{os.getpid()}-{number}"
            change = FIELDS[number % len(FIELDS)](key)
            saved.append((case.id, key, store.save(case.id, reader, change, key).revision))
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


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # at once and whole


def _serve() -> None:
    """Fork a child for every line of work, so that what it needs is imported only once."""
    for line in sys.stdin:
        work, *arguments = line.split()
        child = os.fork()
        if child == 0:
            try:
                if work == "make":
                    make(*arguments)
                else:
                    address, case, name = arguments
                    save_for_ever(address, int(case), name)
            finally:
                os._exit(0)
        _say(f"pid {child}")
        os.waitpid(child, 0)
        _say("ended")


if __name__ == "__main__":
    _serve()
