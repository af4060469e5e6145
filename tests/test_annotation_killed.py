"""A change that was acknowledged outlives the process that saved it, and the server."""

import contextlib
import os
import random
import signal
import sqlite3
import time

import pytest
from postgres import Server
from stores import folded_history, project_of

from csr_core.annotation.store import Store

ROUNDS = 50
SAVES = 1000


@pytest.fixture(scope="module")
def postgres():
    server = Server()
    yield server
    server.close()


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def check(store: Store, case: int, acknowledged: dict[str, int]) -> int:
    """All that was acknowledged is there, and nothing in part; how many changes there are."""
    history = store.history(case, "Ann")
    assert store.annotation(case, "Ann") == folded_history(history)
    texts = {event.revision: event.change for event in history}
    for key, revision in acknowledged.items():
        change = texts[revision]
        assert change.field in ("concept", "comment", "flagged")
        if change.field == "comment":
            assert change.value == key
    assert len(acknowledged) <= len(history) <= len(acknowledged) + 1
    return len(history)


def read_acknowledged(lines: list[str]) -> dict[str, int]:
    words = [line.split() for line in lines]
    assert all(len(line) == 3 and line[0] == "saved" for line in words)
    return {key: int(revision) for _, key, revision in words}


def test_no_acknowledged_save_is_lost_when_the_process_is_killed(store_address, workers):
    store = Store(store_address)
    cases = [case.id for case in project_of(store, *(f"i{n}" for n in range(ROUNDS)))]
    store.close()
    chance = random.Random(0)
    wanted = [0] * 6 + [chance.randint(10, 38) for _ in range(ROUNDS - 6)]
    acknowledged: list[dict[str, int]] = []
    for number, case in enumerate(cases):
        [pid] = workers.start(("save_for_ever", store_address, case, f"r{number}"))
        lines = [workers.line() for _ in range(wanted[number])]
        time.sleep(chance.uniform(0, 0.015))
        kill(pid)
        acknowledged.append(read_acknowledged([*lines, *workers.rest()]))
        store = Store(store_address)
        check(store, case, acknowledged[-1])
        store.close()
        if "://" not in store_address:
            with contextlib.closing(sqlite3.connect(store_address)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store = Store(store_address)
    for case, keys in zip(cases, acknowledged, strict=True):
        check(store, case, keys)
    store.close()
    assert sum(map(len, acknowledged)) >= SAVES


def test_a_store_may_be_killed_while_it_is_made(tmp_path, workers):
    chance = random.Random(1)
    ended = set()
    for number in range(20):
        address = tmp_path / f"{number}.db"
        [pid] = workers.start(("make", str(address)))
        time.sleep(chance.uniform(0, 0.12))
        kill(pid)
        made = workers.rest() == ["made"]
        store = Store(address)
        projects = [project.name for project in store.projects()]
        assert projects == ["Moles"] if made else projects in ([], ["Moles"])
        if projects:
            assert len(list(store.cases("Moles"))) == 50
        store.close()
        ended.add(made)
    assert False in ended


def test_no_acknowledged_save_is_lost_when_the_server_is_killed(postgres, workers):
    address = postgres.address()
    store = Store(address)
    cases = [case.id for case in project_of(store, "a", "b", "c")]
    for number, case in enumerate(cases):
        workers.start(("save_for_ever", address, case, f"r{number}"))
        lines = [workers.line() for _ in range(20)]
        postgres.kill()
        acknowledged = read_acknowledged([*lines, *workers.rest()])
        assert len(acknowledged) >= 20
        postgres.start()
        check(store, case, acknowledged)  # the same store, whose connections are gone
    store.close()
