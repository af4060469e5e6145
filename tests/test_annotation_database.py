"""Opening a store: new, old, newer, foreign and damaged ones, and by many at once."""

import contextlib
import logging
import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from stores import DONE, FLAGGED, WORDS, folded_history, project_of

from csr_core.annotation.database import migrate
from csr_core.annotation.records import Annotation, Change
from csr_core.annotation.store import QueueView, Store, StoreError
from csr_core.annotation.tables import METADATA, VERSION_TABLE

VERSION_1 = (
    """INSERT INTO projects (name, folded_name, folder, vocabulary, instructions, data_name)
    VALUES ('Moles', 'moles', '/data/moles',
    '{"concepts": ["streaks", "globules"], "classes": ["nevus", "melanoma"]}', '', '')""",
    "INSERT INTO readers (name, folded_name) VALUES ('Ann', 'ann')",
    """INSERT INTO cases (project_id, position, image_id, path, split, height, width)
    VALUES (1, 0, 'b', 'b.png', 'train', 2, 3), (1, 1, 'a', 'a.png', 'train', 2, 3)""",
    """INSERT INTO annotations (case_id, reader_id, project_id, status, flagged, revision, at,
    document) VALUES (2, 1, 1, 'done', FALSE, 1, '2026-01-02 03:04:05.000006',
    '{"concepts": {}, "status": "done"}')""",
    """INSERT INTO changes (case_id, reader_id, revision, key, author_id, at, document)
    VALUES (2, 1, 1, 'k', 1, '2026-01-02 03:04:05.000006', '{"field": "status", "value": "done"}')
    """,
)


def connected(address):
    """A connection to the database of a store, past the store."""
    url = address.replace("postgresql:", "postgresql+psycopg:")
    return create_engine(url if "://" in url else f"sqlite:///{url}").begin()


@pytest.fixture
def old_address(store_address):
    """A store of version 1 with two cases and one annotation."""
    with connected(store_address) as connection:
        migrate(connection, "1")
        for statement in VERSION_1:
            connection.execute(text(statement))
    return store_address


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setattr("csr_core.annotation.database.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"pip install 'psycopg\[binary\]'"):
        Store("postgresql://u@127.0.0.1:1/db")


def test_an_older_store_is_brought_up_to_date(old_address):
    for _ in range(2):
        store = Store(old_address)
        assert store.project("moles").vocabulary == WORDS
        case = store.case_of("Moles", "a")
        assert store.annotation(case.id, "Ann") == Annotation(status="done")
        assert [event.change for event in store.history(case.id)] == [DONE]
        assert store.readings(case.id)[0].at.isoformat() == "2026-01-02T03:04:05.000006+00:00"
        for order in ("listed", "undecided", "diverse"):
            rows = store.queue("Moles", "Ann", QueueView(order=order)).rows
            assert [row.case.image_id for row in rows] == ["b", "a"]
        assert store.save(case.id, "Ann", DONE, "k").revision == 1
        store.close()


def test_the_steps_lead_to_the_tables_of_the_code(store, store_address):
    with connected(store_address) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []


def test_a_newer_store_is_refused(store, store_address):
    with connected(store_address) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '99'"))
    with pytest.raises(StoreError, match="newer version of CSR Studio; update this one"):
        Store(store_address)


def test_a_database_of_something_else_is_left_alone(store_address):
    with connected(store_address) as connection:
        connection.execute(text("CREATE TABLE cases (id INTEGER PRIMARY KEY)"))
    with pytest.raises(StoreError, match="something else than annotations"):
        Store(store_address)
    with connected(store_address) as connection:
        assert connection.execute(text("SELECT * FROM cases")).fetchall() == []
        if "://" not in store_address:
            mode = connection.execute(text("PRAGMA journal_mode")).scalar()
            assert mode == "delete"


def test_files_that_are_no_store_are_refused(tmp_path):
    (tmp_path / "text.db").write_bytes(b"image_id,concept\n" * 100)
    for wrong in (tmp_path / "text.db", tmp_path, tmp_path / "text.db" / "a.db", "", ":memory:"):
        with pytest.raises(StoreError) as refusal:
            Store(wrong)
        assert "\n" not in str(refusal.value)
    assert (tmp_path / "text.db").read_bytes() == b"image_id,concept\n" * 100


def test_a_damaged_file_is_said_to_be(tmp_path):
    path = tmp_path / "annotations.db"
    store = Store(path)
    project_of(store, *(f"i{number}" for number in range(500)))
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"annotations\.db can't be read: .*malformed"):
        list(Store(path).cases("Moles"))


def test_an_empty_file_and_a_folder_to_be_made_become_stores(tmp_path):
    (tmp_path / "empty.db").touch()
    for address in (tmp_path / "empty.db", f"sqlite:///{tmp_path}/new folder/50%#.db"):
        store = Store(address)
        project_of(store, "a")
        store.close()
        assert len(Store(address).projects()) == 1
    assert (tmp_path / "new folder" / "50%#.db").is_file()


@pytest.mark.parametrize(
    "address",
    [
        *("mysql://u:hunter2@host/db", "postgresql://u:hunter2@host:port/db", "://hunter2"),
        *("sqlite://", "postgresql://u:hunter2@127.0.0.1:1/db?connect_timeout=5"),
        "postgresql://127.0.0.1:1/db?user=u&password=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/db?hunter2=1",
    ],
)
def test_an_address_is_refused_without_telling_its_password(address, caplog, capfd):
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreError) as refusal:
        Store(address)
    shown = "".join([str(refusal.value), caplog.text, *capfd.readouterr()])
    assert "hunter2" not in shown
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_what_is_saved_is_on_the_disk(tmp_path):
    store = Store(tmp_path / "annotations.db")
    with store._database.writing() as connection:
        settings = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in settings]
    assert found == ["wal", 2, 1, 30_000]
    store.close()


def test_processes_may_update_a_store_at_once(old_address, workers):
    names = workers.results(*[("open_and_save", old_address)] * 4)
    store = Store(old_address)
    assert {project.name for project in store.projects()} == {"Moles", *names}
    assert len(set(names)) == 4
    store.close()


def test_processes_may_make_a_store_at_once(store_address, workers):
    names = workers.results(*[("open_and_save", store_address)] * 4)
    store = Store(store_address)
    assert {project.name for project in store.projects()} == set(names)
    assert len(set(names)) == 4
    store.close()


def test_processes_that_write_at_once_lose_nothing(store, store_address, workers):
    cases = project_of(store, "a", "b", "c")
    readers = ("Ann", "Ann", "Ben")
    results = workers.results(*[("annotate", store_address, reader, 12) for reader in readers])
    assert len(results) == 3
    saved = [tuple(change) for changes in results for change in changes]
    assert len(set(saved)) == 3 * 12 * len(cases)
    for case in cases:
        histories = {reader: store.history(case.id, reader) for reader in ("Ann", "Ben")}
        assert [len(history) for history in histories.values()] == [24, 12]
        for reader, history in histories.items():
            mine = [change for change in saved if change[:2] == (reader, case.id)]
            assert {revision for *_, revision in mine} == {event.revision for event in history}
            assert store.annotation(case.id, reader) == folded_history(history)
            comments = {event.change.value for event in history if event.change.field == "comment"}
            assert comments == {key for *_, key, _ in mine if int(key.split("-")[1]) % 3 == 1}
    rows = store.queue("Moles", "Ann", QueueView()).rows
    assert [row.others for row in rows] == [(("Ben", "open"),)] * 3


def test_two_stores_see_each_other_at_once(store, store_address):
    case = project_of(store, "a")[0].id
    with contextlib.closing(Store(store_address)) as other:
        for number in range(3):
            store.save(case, "Ann", Change("comment", str(number)), f"a{number}")
            assert other.annotation(case, "Ann").comment == str(number)
            other.save(case, "Ben", FLAGGED if number % 2 else DONE, f"b{number}")
            ben = store.progress("Moles")[1]
            assert (ben.done, ben.flagged) == (1, number and 1)
        other.save(case, "Ann", DONE, "a0")  # a key the first store has used
        assert store.annotation(case, "Ann") == Annotation(comment="2")


def test_threads_share_a_store(store):
    cases = [case.id for case in project_of(store, "a", "b")]
    failures = []

    def work(name):
        try:
            for number in range(10):
                for case in cases:
                    store.save(case, "Ann", Change("comment", name), f"{name}-{number}")
        except Exception as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for case in cases:
        history = store.history(case, "Ann")
        assert len(history) == 60
        assert store.annotation(case, "Ann") == folded_history(history)


def test_reading_goes_on_while_another_writes(tmp_path):
    address = tmp_path / "annotations.db"
    store = Store(address)
    case = project_of(store, "a")[0].id
    with contextlib.closing(sqlite3.connect(address, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE projects SET instructions = 'x'")
        assert store.annotation(case, "Ann") == Annotation()
        assert store.project("Moles").instructions == ""
        other.execute("COMMIT")
    assert store.project("Moles").instructions == "x"
    store.close()
