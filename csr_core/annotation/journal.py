"""What readers said: changes, one after the other, and the state they add up to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, tuple_, update

from csr_core.annotation.names import CONSENSUS, StoreError, check_reader
from csr_core.annotation.projects import Case, case_of_row, read_vocabulary
from csr_core.annotation.records import (
    Annotation,
    AnnotationError,
    Change,
    Vocabulary,
    annotation_from_json,
    annotation_to_json,
    applied,
    change_from_json,
    change_to_json,
)
from csr_core.annotation.rows import case_row, insert_missing, reader_id, reader_ids, reader_name
from csr_core.annotation.tables import annotations, cases, changes, readers

__all__ = [
    "Event",
    "Read",
    "Saved",
    "read_history",
    "read_one",
    "read_page",
    "read_readings",
    "save_change",
]

MAX_KEY = 100
PAGE = 32  # annotations read at a time; one may hold megabytes of regions


@dataclass(frozen=True)
class Saved:
    """A change that lasts.

    Attributes:
        revision: how many changes of this case this reader had then made.
        at: when, UTC.
    """

    revision: int
    at: datetime


@dataclass(frozen=True)
class Event:
    """A change that was made.

    Attributes:
        revision: counts the changes of the case by the reader, from 1.
        reader: whose annotation was changed.
        author: who changed it.
        at: when, UTC.
        change: what.
    """

    revision: int
    reader: str
    author: str
    at: datetime
    change: Change


@dataclass(frozen=True)
class Read:
    """One reader's annotation of one case, last changed at a time (UTC)."""

    case: Case
    reader: str
    annotation: Annotation
    at: datetime


def save_change(
    connection: Connection, case: int, reader: str, change: Change, key: str, author: str | None
) -> Saved:
    """Add a change to the history and the state, once for its key; see `Store.save`."""
    if not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise StoreError(f"The key of a change is 1 to {MAX_KEY} printable ASCII characters.")
    name = reader_name(reader)
    if author is None and name == CONSENSUS:
        raise StoreError("A consensus is saved with the name of who adjudicated.")
    row = case_row(connection, case)
    words = read_vocabulary(row["vocabulary"])
    fitting = _fitting(change, words, row)
    whose, who = reader_ids(connection, [name, name if author is None else check_reader(author)])
    state = _locked(connection, row, whose)
    known = connection.execute(
        select(changes.c.revision, changes.c.at).where(
            changes.c.case_id == case, changes.c.reader_id == whose, changes.c.key == key
        )
    ).one_or_none()
    if known is not None:
        return Saved(known.revision, known.at)
    after = applied(_annotation(state["document"], words, row), fitting)
    saved = Saved(state["revision"] + 1, datetime.now(UTC))
    connection.execute(
        insert(changes).values(
            case_id=case,
            reader_id=whose,
            revision=saved.revision,
            key=key,
            author_id=who,
            at=saved.at,
            document=json.dumps(change_to_json(fitting)),
        )
    )
    connection.execute(
        update(annotations)
        .where(annotations.c.case_id == case, annotations.c.reader_id == whose)
        .values(revision=saved.revision, at=saved.at, **_state(after))
    )
    return saved


def read_one(connection: Connection, case: int, reader: str) -> Annotation:
    """What a reader says of a case; nothing, if nothing was saved."""
    row = case_row(connection, case)
    document = connection.scalar(
        select(annotations.c.document).where(
            annotations.c.case_id == case,
            annotations.c.reader_id == reader_id(connection, reader),
        )
    )
    if document is None:
        return Annotation()
    return _annotation(document, read_vocabulary(row["vocabulary"]), row)


def read_readings(connection: Connection, case: int) -> list[Read]:
    """What all readers say of a case."""
    row = case_row(connection, case)
    found = _reads().where(annotations.c.case_id == case).order_by(readers.c.folded_name)
    words = read_vocabulary(row["vocabulary"])
    return [_read(found_row, row["project"], words) for found_row in _rows(connection, found)]


def read_page(
    connection: Connection,
    project: RowMapping,
    after: tuple[int, int],
    reader: str | None,
    done: bool,
) -> tuple[list[Read], tuple[int, int]]:
    """Annotations of a project after one given by case and reader id; and the last's ids."""
    place = tuple_(annotations.c.case_id, annotations.c.reader_id)
    wanted = _reads().where(annotations.c.project_id == project["id"], place > after)
    if reader is not None:
        wanted = wanted.where(annotations.c.reader_id == reader_id(connection, reader))
    if done:
        wanted = wanted.where(annotations.c.status == "done")
    order = (annotations.c.case_id, annotations.c.reader_id)
    rows = _rows(connection, wanted.order_by(*order).limit(PAGE))
    words = read_vocabulary(project["vocabulary"])
    last = (rows[-1]["id"], rows[-1]["reader_id"]) if rows else after
    return [_read(row, project["name"], words) for row in rows], last


def read_history(connection: Connection, case: int, reader: str | None) -> list[Event]:
    """The changes of a case, by one reader or all."""
    row = case_row(connection, case)
    words = read_vocabulary(row["vocabulary"])
    author = readers.alias("author")
    wanted = (
        select(changes, readers.c.name.label("reader"), author.c.name.label("author"))
        .join(readers, readers.c.id == changes.c.reader_id)
        .join(author, author.c.id == changes.c.author_id)
        .where(changes.c.case_id == case)
        .order_by(changes.c.at, changes.c.reader_id, changes.c.revision)
    )
    if reader is not None:
        # A clock may be set back; one reader's changes still follow each other.
        wanted = wanted.where(changes.c.reader_id == reader_id(connection, reader))
        wanted = wanted.order_by(None).order_by(changes.c.revision)
    return [
        Event(
            found["revision"],
            found["reader"],
            found["author"],
            found["at"],
            _change(found["document"], words, row),
        )
        for found in _rows(connection, wanted)
    ]


def _rows(connection: Connection, wanted: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(wanted).mappings().all()


def _reads() -> Select[Any]:
    return (
        select(
            cases,
            annotations.c.reader_id,
            annotations.c.document,
            annotations.c.at,
            readers.c.name.label("reader"),
        )
        .join(cases, cases.c.id == annotations.c.case_id)
        .join(readers, readers.c.id == annotations.c.reader_id)
    )


def _read(row: RowMapping, project: str, words: Vocabulary) -> Read:
    annotation = _annotation(row["document"], words, row)
    return Read(case_of_row(row, project), row["reader"], annotation, row["at"])


def _state(annotation: Annotation) -> dict[str, Any]:
    return {
        "status": annotation.status,
        "flagged": annotation.flagged,
        "document": json.dumps(annotation_to_json(annotation)),
    }


def _locked(connection: Connection, case: RowMapping, whose: int) -> RowMapping:
    """The state of an annotation, made if need be, which nobody else changes until the end."""
    wanted = (
        select(annotations.c.revision, annotations.c.document)
        .where(annotations.c.case_id == case["id"], annotations.c.reader_id == whose)
        .with_for_update()
    )
    state = connection.execute(wanted).mappings().one_or_none()
    if state is None:
        first = {
            "case_id": case["id"],
            "reader_id": whose,
            "project_id": case["project_id"],
            "revision": 0,
            "at": datetime.now(UTC),
            **_state(Annotation()),
        }
        insert_missing(connection, annotations, first)
        state = connection.execute(wanted).mappings().one()
    return state


def _fitting(change: Change, words: Vocabulary, case: RowMapping) -> Change:
    """The change as it is read back, checked against the project and the case."""
    try:
        checked = change_from_json(change_to_json(change), words)
    except AnnotationError as problem:
        raise StoreError(str(problem)) from problem
    mask = checked.value.mask if checked.field == "concept" else None
    if mask and (mask.height, mask.width) != (case["height"], case["width"]):
        raise StoreError(
            f"A region of {case['image_id']} has {case['height']} × {case['width']} pixels, "
            f"not {mask.height} × {mask.width}."
        )
    return checked


def _annotation(document: str, words: Vocabulary, case: RowMapping) -> Annotation:
    try:
        return annotation_from_json(json.loads(document), words)
    except (ValueError, RecursionError) as problem:
        raise _damaged(case, problem) from problem


def _change(document: str, words: Vocabulary, case: RowMapping) -> Change:
    try:
        return change_from_json(json.loads(document), words)
    except (ValueError, RecursionError) as problem:
        raise _damaged(case, problem) from problem


def _damaged(case: RowMapping, problem: Exception) -> StoreError:
    return StoreError(f"What the store holds of {case['image_id']} is damaged: {problem}")
