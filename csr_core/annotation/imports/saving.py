"""What was read from a file becomes changes in the store."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from csr_core.annotation.records import Annotation, Change, ConceptMark
from csr_core.annotation.store import CONSENSUS, Case, Store

__all__ = ["Imported", "save_imported"]

_AUTHOR = "import"
"""Who is said to have adjudicated what comes in as agreed on."""


@dataclass(frozen=True)
class Imported:
    """An annotation from a file.

    Attributes:
        case: of the project.
        reader: whose it is.
        annotation: what the file says.
    """

    case: Case
    reader: str
    annotation: Annotation


def save_imported(
    store: Store, readings: Iterable[Imported], replace: bool = False
) -> tuple[int, int]:
    """Save annotations from a file, each change with origin "import".

    What a reader marked otherwise stays as it is; what an earlier import left is brought up to
    date, so that one that was cut short can be run again.

    Args:
        store: where the project is.
        readings: to save, each of a project's case.
        replace: put them also in the place of what readers marked.

    Returns:
        Number of annotations saved, and of those left as they are.

    Raises:
        StoreError: if a reader's name can't be one.
    """
    saved = left = 0
    for each in readings:
        case, reader = each.case.id, each.reader
        if not replace and not _only_imported(store, case, reader):
            left += 1
            continue
        author = _AUTHOR if reader == CONSENSUS else None
        for change in _changes(store.annotation(case, reader), each.annotation):
            store.save(case, reader, change, secrets.token_hex(16), author)
        saved += 1
    return saved, left


def _only_imported(store: Store, case: int, reader: str) -> bool:
    return all(event.change.origin == "import" for event in store.history(case, reader))


def _changes(now: Annotation, wanted: Annotation) -> Iterator[Change]:
    """What leads from one annotation to another; the status last, since it says all is there."""
    for concept in (*now.concepts, *(set(wanted.concepts) - set(now.concepts))):
        mark = wanted.concepts.get(concept, ConceptMark())
        if mark != now.concepts.get(concept):
            yield Change("concept", mark, concept, "import")
    if wanted.diagnosis != now.diagnosis:
        yield Change("diagnosis", wanted.diagnosis, origin="import")
    if wanted.confidence != now.confidence:
        yield Change("confidence", wanted.confidence, origin="import")
    if wanted.comment != now.comment:
        yield Change("comment", wanted.comment, origin="import")
    if wanted.flagged != now.flagged:
        yield Change("flagged", wanted.flagged, origin="import")
    if wanted.status != now.status:
        yield Change("status", wanted.status, origin="import")
