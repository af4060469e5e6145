"""The worklist of a reader, and how far everyone is."""

import pytest
from stores import DONE, FLAGGED, MARKED, WORDS, project_of

from csr_core.annotation.records import Change
from csr_core.annotation.store import NewCase, Progress, Project, QueueView, StoreError

SKIPPED = Change("status", "skipped")


@pytest.fixture
def worklist(store):
    """Five cases of Ann: open and flagged, done, skipped and flagged, two new; Ben did e."""
    cases = project_of(store, "a1", "b2", "c3", "d4", "e5")
    project_of(store, "a1", "b2", name="Others")
    for number, changes in enumerate([(MARKED, FLAGGED), (DONE,), (SKIPPED, FLAGGED)]):
        for key, change in enumerate(changes):
            store.save(cases[number].id, "Ann", change, str(key))
    store.save(cases[4].id, "Ben", DONE, "1")
    return store


def names(store, *view, reader="Ann", **page):
    found = store.queue("Moles", reader, QueueView(*view), **page)
    return "".join(row.case.image_id[0] for row in found.rows), found.total


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *(("all", "abcde"), ("new", "de"), ("open", "a"), ("done", "b")),
        *(("skipped", "c"), ("flagged", "ac")),
    ],
)
def test_a_worklist_is_filtered_by_what_the_reader_did(worklist, status, expected):
    assert names(worklist, status) == (expected, len(expected))


def test_readers_have_worklists_of_their_own(worklist):
    assert names(worklist, "new", reader="Ben") == ("abcd", 4)
    assert names(worklist, "new", reader="Cleo") == ("abcde", 5)
    assert names(worklist, "done", reader="ben") == ("e", 1)
    assert names(worklist, "flagged", reader="Cleo") == ("", 0)


def test_a_row_tells_what_all_readers_did(worklist):
    worklist.save(worklist.case_of("Moles", "a1").id, "Ben", DONE, "1")
    worklist.save(worklist.case_of("Moles", "a1").id, "Cleo", FLAGGED, "1")
    rows = worklist.queue("Moles", "Ann", QueueView()).rows
    assert [(row.status, row.flagged, row.others) for row in rows] == [
        ("open", True, (("Ben", "done"), ("Cleo", "open"))),
        ("done", False, ()),
        ("skipped", True, ()),
        ("new", False, ()),
        ("new", False, (("Ben", "done"),)),
    ]
    assert rows[0].case == worklist.case_of("Moles", "a1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("B2", "b"), ("images/d", "d"), ("4.PNG", "d"), ("images", "abcde"), ("%", "")),
        *(("_", ""), ("/", "abcde"), ("\\", ""), ("'", ""), ("z", "")),
    ],
)
def test_a_worklist_is_searched(worklist, text, expected):
    assert names(worklist, "all", "listed", text) == (expected, len(expected))


def test_search_and_filter_go_together(worklist):
    assert names(worklist, "flagged", "listed", "C") == ("c", 1)
    assert names(worklist, "new", "listed", "png") == ("de", 2)
    assert names(worklist, "all", "listed", "images", offset=1, limit=2) == ("bc", 5)


def test_a_worklist_comes_in_pages(worklist):
    assert names(worklist, limit=2) == ("ab", 5)
    assert names(worklist, offset=2, limit=2) == ("cd", 5)
    assert names(worklist, offset=9) == ("", 5)
    assert names(worklist, "flagged", offset=1, limit=1) == ("c", 2)
    for offset, limit in ((-1, 1), (0, 0), (0, 1001), (2**70, 1)):
        with pytest.raises(StoreError):
            names(worklist, offset=offset, limit=limit)


def test_a_model_puts_cases_in_order(worklist):
    a, b, c, d, e = (case.id for case in worklist.cases("Moles"))
    assert worklist.ranked_by("Moles") is None
    assert names(worklist, "all", "undecided") == names(worklist, "all", "diverse") == ("abcde", 5)
    worklist.rank("Moles", "a model", {b: 0.1, d: 0.7, c: 0.7}, {e: 0, a: 1, c: 2, b: 3, d: 4})
    assert names(worklist, "all", "undecided") == ("cdbae", 5)
    assert names(worklist, "all", "diverse") == ("eacbd", 5)
    assert names(worklist, "flagged", "undecided") == ("ca", 2)
    assert names(worklist, "new", "diverse", "png") == ("ed", 2)
    assert names(worklist) == ("abcde", 5)
    assert worklist.ranked_by("moles") == "a model"
    worklist.add_cases("Moles", [NewCase("f6", "images/f6.png", "train", 2, 3)])
    assert names(worklist, "all", "undecided") == ("cdbaef", 6)
    worklist.rank("Moles", "another", {a: 1.0}, {})
    assert names(worklist, "all", "undecided") == names(worklist, "all", "diverse") == ("abcdef", 6)
    assert worklist.ranked_by("Moles") == "another"


def test_orders_that_are_none(worklist):
    case = worklist.case_of("Moles", "b2").id
    stranger = worklist.case_of("Others", "b2").id
    for undecided, diversity in (({case: float("nan")}, {}), ({stranger: 1.0}, {}), ({}, {-1: 0})):
        with pytest.raises(StoreError):
            worklist.rank("Moles", "a model", undecided, diversity)
    with pytest.raises(StoreError):
        worklist.rank("Moles", "", {case: 1.0}, {})
    assert names(worklist, "all", "undecided") == ("abcde", 5)
    for view in (("closed",), ("all", "random")):
        with pytest.raises(StoreError):
            QueueView(*view)


def test_one_goes_on_and_back(worklist):
    a, b, c, d, e = worklist.cases("Moles")

    def go(view, case, step):
        return worklist.neighbour("Moles", "Ann", QueueView(*view), case and case.id, step)

    assert go((), None, 1) == a
    assert go((), None, -1) == e
    assert go((), a, 1) == b
    assert go((), b, -1) == a
    assert go((), a, 3) == d
    assert go((), e, 1) is None
    assert go((), a, -1) is None
    assert go(("flagged",), a, 1) == c
    assert go(("flagged",), b, 1) == c  # which is not in that view itself
    assert go(("flagged",), c, 1) is None
    assert go(("done",), e, -1) == b
    assert go(("all", "listed", "d4"), a, 1) == d
    worklist.rank("Moles", "a model", {}, {e.id: 0, b.id: 1})
    assert go(("all", "diverse"), None, 1) == e
    assert go(("all", "diverse"), b, 1) == a
    assert go(("new", "diverse"), e, 1) == d


def test_steps_that_lead_nowhere(worklist):
    case = worklist.case_of("Others", "a1")
    with pytest.raises(StoreError, match=f"no case {case.id} in Moles"):
        worklist.neighbour("Moles", "Ann", QueueView(), case.id, 1)
    for step in (0, 1001, 2**70):
        with pytest.raises(StoreError, match="step"):
            worklist.neighbour("Moles", "Ann", QueueView(), None, step)


def test_progress_counts_what_each_reader_did(worklist):
    assert worklist.progress("Moles") == [
        Progress("Ann", open=1, done=1, skipped=1, flagged=2, cases=5),
        Progress("Ben", open=0, done=1, skipped=0, flagged=0, cases=5),
    ]
    assert worklist.progress("Others") == []
    worklist.save(worklist.case_of("Moles", "a1").id, "Ann", DONE, "last")
    assert worklist.progress("Moles")[0] == Progress("Ann", 0, 2, 1, 2, 5)


def test_a_worklist_may_be_empty(store, tmp_path):
    store.create_project(Project("Moles", tmp_path, WORDS), [])
    assert names(store) == ("", 0)
    assert store.neighbour("Moles", "Ann", QueueView(), None, 1) is None
    assert store.progress("Moles") == []
