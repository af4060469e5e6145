"""What readers mark is kept: projects, cases, changes, their history and their sum."""

import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from stores import DONE, FLAGGED, MARKED, SPOT, WORDS, folded_history, new_cases, project_of

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, Change, ConceptMark, Vocabulary
from csr_core.annotation.store import (
    CONSENSUS,
    NewCase,
    Project,
    Store,
    StoreError,
    check_reader,
)
from csr_core.annotation.tables import annotations, projects
from csr_core.datasets.regions import Box


def test_a_project_is_found_by_its_name_whatever_its_case(store):
    moles = Project("Moles in März", Path("/data/moles"), WORDS, "Mark all you see.", "isic2017")
    store.create_project(moles, new_cases("b", "a"))
    store.create_project(Project("Chests", Path("/x"), Vocabulary((), ("ill",))), [])
    assert store.project("MOLES in märz") == moles
    assert [project.name for project in store.projects()] == ["Chests", "Moles in März"]
    with pytest.raises(StoreError, match="choose another name"):
        store.create_project(replace(moles, name=" moles IN März "), [])
    with pytest.raises(StoreError, match="no project 'Lungs'"):
        store.project("Lungs")


def test_cases_keep_their_order_and_are_added_once(store):
    project_of(store, "b", "a")
    other = project_of(store, "a", name="Others")
    assert store.add_cases("moles", new_cases("c", "a", "d")) == 2
    cases = list(store.cases("Moles"))
    assert [(case.image_id, case.position) for case in cases] == [
        *(("b", 0), ("a", 1)),
        *(("c", 2), ("d", 3)),
    ]
    assert store.case(cases[2].id) == cases[2] == store.case_of("Moles", "c")
    assert store.case_of("Others", "a") == other[0]
    assert (cases[0].path, cases[0].split, cases[0].project) == ("images/b.png", "train", "Moles")
    with pytest.raises(StoreError, match="no image z in Moles"):
        store.case_of("moles", "z")
    with pytest.raises(StoreError, match="no case 999"):
        store.case(999)


@pytest.mark.parametrize(
    "wrong",
    [
        *(NewCase("a/b", "a.png", "train", 2, 3), NewCase("", "a.png", "train", 2, 3)),
        *(NewCase("a", "../a.png", "train", 2, 3), NewCase("a", "/a.png", "train", 2, 3)),
        *(NewCase("a", "", "train", 2, 3), NewCase("a", "a\0.png", "train", 2, 3)),
        *(NewCase("a", "a\udcff.png", "train", 2, 3), NewCase("a", "a.png", "", 2, 3)),
        *(NewCase("a", "a.png", "train", 0, 3), NewCase("a", "a.png", "train", 2, 5000)),
        NewCase("first", "twice.png", "train", 2, 3),
    ],
)
def test_a_project_with_a_case_that_is_none_is_not_made(store, wrong):
    with pytest.raises(StoreError):
        store.create_project(Project("P", Path("/x"), WORDS), [*new_cases("first"), wrong])
    assert store.projects() == []


@pytest.mark.parametrize(
    "wrong",
    [
        *(Project("", Path("/x"), WORDS), Project("x" * 61, Path("/x"), WORDS)),
        *(Project("a\nb", Path("/x"), WORDS), Project("P", Path("/x\udcff"), WORDS)),
        Project("P", Path("/x"), Vocabulary(("streaks", "Streaks"), ())),
        Project("P", Path("/x"), Vocabulary((), ("a/b",))),
        Project("P", Path("/x"), WORDS, instructions="x" * 20_001),
    ],
)
def test_a_project_that_is_none_is_refused(store, wrong):
    with pytest.raises(StoreError):
        store.create_project(wrong, [])
    assert store.projects() == []


def test_changes_add_up(store):
    case = project_of(store, "a")[0].id
    assert store.annotation(case, "Ann") == Annotation()
    before = datetime.now(UTC)
    assert store.save(case, "Ann", MARKED, "1").revision == 1
    saved = store.save(case, " ann", Change("diagnosis", "nevus"), "2")
    assert saved.revision == 2
    assert timedelta() <= saved.at - before < timedelta(minutes=1)
    assert store.save(case, "Ben", DONE, "1").revision == 1
    mark = ConceptMark("yes", SPOT)
    assert store.annotation(case, "ANN") == Annotation({"streaks": mark}, "nevus")
    assert store.annotation(case, "Ben") == Annotation(status="done")
    assert [(read.reader, read.annotation.status) for read in store.readings(case)] == [
        *(("Ann", "open"), ("Ben", "done")),
    ]
    assert store.readings(case)[0].at == saved.at


def test_a_change_is_saved_once_however_often_it_is_tried(store):
    case, other = (case.id for case in project_of(store, "a", "b"))
    first = store.save(case, "Ann", MARKED, "key")
    store.save(case, "Ann", DONE, "key 2")
    assert store.save(case, "Ann", MARKED, "key") == first
    assert store.save(case, "Ann", FLAGGED, "key") == first
    assert len(store.history(case)) == 2
    assert store.save(other, "Ann", FLAGGED, "key").revision == 1
    assert store.annotation(case, "Ann") == Annotation({"streaks": MARKED.value}, status="done")


def test_history_tells_what_was_changed_by_whom(store):
    case = project_of(store, "a")[0].id
    box = ConceptMark("unsure", None, (Box("globules", 0.25, 0, 0.5, 1),))
    suggested = Change("concept", box, "globules", "suggestion")
    store.save(case, "Ann", suggested, "1")
    store.save(case, "Ben", DONE, "1")
    store.save(case, "Ann", Change("comment", "odd \0 \ud800 🔎"), "2")
    store.save(case, CONSENSUS, MARKED, "1", author="Ben")
    assert [(event.revision, event.reader, event.author) for event in store.history(case)] == [
        *((1, "Ann", "Ann"), (1, "Ben", "Ben")),
        *((2, "Ann", "Ann"), (1, "consensus", "Ben")),
    ]
    ann = store.history(case, "ann")
    assert [event.change for event in ann] == [suggested, Change("comment", "odd \0 \ud800 🔎")]
    assert folded_history(ann) == store.annotation(case, "Ann")
    assert ann[0].at <= ann[1].at
    assert store.history(case, "Cleo") == []


def test_a_consensus_names_who_adjudicated(store):
    case = project_of(store, "a")[0].id
    with pytest.raises(StoreError, match="who adjudicated"):
        store.save(case, "Consensus", DONE, "1")
    with pytest.raises(StoreError, match="sign in by your name"):
        store.save(case, "Consensus", DONE, "1", author="consensus")
    store.save(case, "Consensus", DONE, "1", author="Ann")
    assert [read.reader for read in store.readings(case)] == [CONSENSUS]


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb", "a\u200bb", "\ud800", "a\0"])
def test_names_that_are_none(store, name):
    case = project_of(store, "a")[0].id
    with pytest.raises(StoreError, match="1 to 60 printable characters"):
        check_reader(name)
    with pytest.raises(StoreError, match="1 to 60 printable characters"):
        store.save(case, name, DONE, "1")
    assert store.progress("Moles") == []


@pytest.mark.parametrize("name", ["consensus", " Consensus ", "CONSENSUS", "ｃｏｎｓｅｎｓｕｓ"])
def test_nobody_signs_in_as_the_consensus(name):
    with pytest.raises(StoreError, match="sign in by your name"):
        check_reader(name)
    assert check_reader(" Ann Müller ") == "Ann Müller"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change("concept", ConceptMark("yes", Mask(3, 2, (1, 2, 3))), "streaks"), "2 × 3 pixels"),
        (Change("concept", ConceptMark("yes"), "ruler"), "concepts are streaks, globules"),
        (Change("diagnosis", "eczema"), "one of nevus, melanoma"),
        (Change("confidence", 9), "from 1 to 5"),
        (Change("comment", "x" * 4001), "at most 4000"),
    ],
)
def test_a_change_that_does_not_fit_leaves_no_trace(store, change, says):
    case = project_of(store, "a")[0].id
    with pytest.raises(StoreError, match=says):
        store.save(case, "Ann", change, "1")
    for key in ("", "x" * 101, "a\n", "é"):
        with pytest.raises(StoreError, match="key of a change"):
            store.save(case, "Ann", DONE, key)
    with pytest.raises(StoreError, match="no case"):
        store.save(case + 1, "Ann", DONE, "1")
    assert store.history(case) == store.readings(case) == store.progress("Moles") == []


@pytest.mark.parametrize("case", [0, -1, 2**31, 2**70])
def test_ids_no_case_has(store, case):
    with pytest.raises(StoreError):
        store.annotation(case, "Ann")
    with pytest.raises(StoreError):
        store.save(case, "Ann", DONE, "1")


def test_annotations_come_case_by_case(store):
    first, _, third = project_of(store, "a", "b", "c")
    other = project_of(store, "a", name="Others")[0]
    for case, reader in ((third, "Ben"), (first, "Ann"), (first, "Ben"), (other, "Ann")):
        store.save(case.id, reader, FLAGGED, "1")
    store.save(first.id, "Ben", DONE, "2")
    found = [(read.case, read.reader) for read in store.annotations("Moles")]
    assert found == [(first, "Ben"), (first, "Ann"), (third, "Ben")]  # as they came to the store
    assert [read.reader for read in store.annotations("Moles", reader="ann")] == ["Ann"]
    assert list(store.annotations("Moles", reader="Cleo")) == []
    done = list(store.annotations("Moles", done=True))
    assert [(read.case, read.annotation) for read in done] == [
        (first, Annotation(status="done", flagged=True))
    ]
    with pytest.raises(StoreError, match="no project"):
        next(store.annotations("Lungs"))


def test_reading_all_holds_few_at_a_time(tmp_path):
    store = Store(tmp_path / "annotations.db")
    ragged = Mask(40, 25, (1,) * 1000)
    listed = [NewCase(f"i{number}", "i.png", "train", 40, 25) for number in range(350)]
    store.create_project(Project("Moles", tmp_path, WORDS), listed)
    change = Change("concept", ConceptMark("yes", ragged), "streaks")

    def used(first: int, last: int) -> int:
        for case in list(store.cases("Moles"))[first:last]:
            store.save(case.id, "Ann", change, "1")
        tracemalloc.start()
        assert sum(1 for _ in store.annotations("Moles")) == last
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few, many = used(0, 70), used(70, 350)
    assert many < 1.5 * few
    store.close()


def test_a_damaged_record_is_said_to_be(store):
    case = project_of(store, "a")[0].id
    store.save(case, "Ann", DONE, "1")
    for document in ('{"concepts": {"ruler": {}}}', "[" * 10_000, "{", "null"):
        with store._database.writing() as connection:
            connection.execute(update(annotations).values(document=document))
        with pytest.raises(StoreError, match="of a is damaged"):
            store.annotation(case, "Ann")
        with pytest.raises(StoreError, match="of a is damaged"):
            list(store.annotations("Moles"))
    for vocabulary in ("{", json.dumps({"concepts": [1], "classes": []}), "[" * 10_000):
        with store._database.writing() as connection:
            connection.execute(update(projects).values(vocabulary=vocabulary))
        with pytest.raises(StoreError, match="damaged"):
            store.project("Moles")


MARKS = st.builds(
    ConceptMark,
    st.sampled_from(["yes", "unsure", None]),
    st.sampled_from([None, SPOT, Mask(2, 3, (0, 6)), Mask(2, 3, (6,))]),
    st.sampled_from([(), (Box("streaks", 0.0, 0.0, 0.5, 1.0),)]),
)
CHANGES = st.one_of(
    st.builds(
        Change,
        st.just("concept"),
        MARKS,
        st.sampled_from(WORDS.concepts),
        st.sampled_from(["reader", "suggestion", "propagation", "import"]),
    ),
    st.builds(Change, st.just("diagnosis"), st.sampled_from([None, *WORDS.classes])),
    st.builds(Change, st.just("confidence"), st.sampled_from([None, 1, 5])),
    st.builds(Change, st.just("comment"), st.text(max_size=20)),
    st.builds(Change, st.just("status"), st.sampled_from(["open", "done", "skipped"])),
    st.builds(Change, st.just("flagged"), st.booleans()),
)


@given(st.lists(st.tuples(st.sampled_from(["Ann", "Ben"]), CHANGES, st.integers(0, 9)), max_size=8))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_state_is_what_its_history_adds_up_to(store, steps):
    name = f"p{len(store.projects())}"
    case = project_of(store, "a", name=name)[0].id
    keys: dict[str, set[int]] = {"Ann": set(), "Ben": set()}
    for reader, change, key in steps:
        keys[reader].add(key)
        assert store.save(case, reader, change, str(key)).revision <= len(keys[reader])
    for reader, used in keys.items():
        history = store.history(case, reader)
        assert len(history) == len(used)
        annotation = store.annotation(case, reader)
        assert annotation == folded_history(history)
        status = (annotation.status, annotation.flagged) if used else None
        row = next((row for row in store.progress(name) if row.reader == reader), None)
        assert (row and (_only(row), row.flagged == 1)) == status


def _only(row):
    return next(status for status in ("open", "done", "skipped") if getattr(row, status))
