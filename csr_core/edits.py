"""Edits of concept evidence: immutable values, and how they are read from untrusted JSON."""

import operator
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MAX_EDITS",
    "Cell",
    "Concept",
    "Confirm",
    "Edit",
    "EditError",
    "Erase",
    "Focus",
    "Force",
    "Ignore",
    "Reject",
    "Suppress",
    "edit_to_json",
    "edits_from_json",
]

Cell = tuple[int, int]
Concept = str | int

MAX_EDITS = 1000
"""Most edits of one review; the review screen says so before it makes another."""
MAX_CELLS = 128 * 128
MAX_CELLS_OF_ALL = 1_000_000
MAX_BITS = 256  # Python refuses to print an integer of thousands of digits


class EditError(ValueError):
    """An edit names a concept or a patch that does not exist, or is malformed."""


class _Frozen:
    """Turns what an edit is made from into plain values, so that the edit is one itself."""

    def __post_init__(self) -> None:
        if hasattr(self, "cells"):
            object.__setattr__(self, "cells", _plain_cells(self.cells))
        concept = getattr(self, "concept", None)
        if concept is not None:
            object.__setattr__(self, "concept", _plain_concept(concept))


def _plain_cells(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    try:
        return tuple((_plain_index(row), _plain_index(column)) for row, column in cells)
    except (TypeError, ValueError):
        raise EditError("Cells are (row, column) pairs of integers.") from None


def _plain_concept(concept: object) -> Concept:
    try:
        return concept if isinstance(concept, str) else _plain_index(concept)
    except (TypeError, ValueError):
        raise EditError("A concept is given by its name or its index.") from None


def _plain_index(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    index = operator.index(value)
    if index.bit_length() > MAX_BITS:
        raise ValueError
    return index


@dataclass(frozen=True)
class Suppress(_Frozen):
    """Evidence for one concept in some patches counts no more than when it is absent."""

    concept: Concept
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Force(_Frozen):
    """Evidence for one concept in some patches counts at least as much as when it is present."""

    concept: Concept
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Ignore(_Frozen):
    """Some patches are suppressed for every concept."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class Focus(_Frozen):
    """Only the union of all focus patches keeps its full evidence."""

    cells: Sequence[Cell]


@dataclass(frozen=True)
class Reject(_Frozen):
    """One concept is suppressed in the whole image."""

    concept: Concept


@dataclass(frozen=True)
class Confirm(_Frozen):
    """One concept counts at least as much as when it is present, wherever it may be."""

    concept: Concept


@dataclass(frozen=True)
class Erase(_Frozen):
    """Some patches are restored to what the model saw.

    With a concept, marks of that concept are restored; without one, the marks of every concept,
    and the patches leave the focus.
    """

    cells: Sequence[Cell]
    concept: Concept | None = None


Edit = Suppress | Force | Ignore | Focus | Reject | Confirm | Erase


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """Write an edit as plain JSON values, the inverse of `edits_from_json`."""
    record: dict[str, Any] = {"kind": type(edit).__name__.lower()}
    if not isinstance(edit, Ignore | Focus):
        record["concept"] = edit.concept
    if not isinstance(edit, Reject | Confirm):
        record["cells"] = [[int(row), int(column)] for row, column in edit.cells]
    return record


def edits_from_json(records: object) -> tuple[Edit, ...]:
    """Read edits from untrusted JSON values, such as those a browser or a file holds.

    Args:
        records: a list of objects like `{"kind": "suppress", "concept": "streaks",
            "cells": [[3, 4], [3, 5]]}`; `reject` and `confirm` have no cells, `ignore` and
            `focus` no concept, and the concept of `erase` may be null.

    Returns:
        The edits. Whether a concept or patch exists is checked when they meet a case.

    Raises:
        EditError: naming the first entry that is malformed, and why.
    """
    if not isinstance(records, list):
        raise EditError(f"Edits are a list, not {type(records).__name__}.")
    if len(records) > MAX_EDITS:
        raise EditError(
            f"{len(records)} edits are more than one review may have ({MAX_EDITS}); undo some, or "
            "reset and start again."
        )
    edits: list[Edit] = []
    cells = 0
    for number, record in enumerate(records, 1):
        edits.append(_edit_from_json(number, record))
        cells += len(getattr(edits[-1], "cells", ()))
        if cells > MAX_CELLS_OF_ALL:
            raise EditError(f"The edits mark more than {MAX_CELLS_OF_ALL:,} cells in all.")
    return tuple(edits)


_REGION_EDITS: dict[str, type[Suppress | Force]] = {"suppress": Suppress, "force": Force}
_WHOLE_EDITS: dict[str, type[Ignore | Focus]] = {"ignore": Ignore, "focus": Focus}
_CONCEPT_EDITS: dict[str, type[Reject | Confirm]] = {"reject": Reject, "confirm": Confirm}
_KINDS = (*_REGION_EDITS, *_WHOLE_EDITS, *_CONCEPT_EDITS, "erase")


def _edit_from_json(number: int, record: object) -> Edit:
    if not isinstance(record, Mapping):
        raise EditError(f"Edit {number} is not an object.")
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise EditError(
            f"Edit {number} has kind {reprlib.repr(kind)}; it must be one of {', '.join(_KINDS)}."
        )
    if kind in _WHOLE_EDITS:
        return _WHOLE_EDITS[kind](_cells_from_json(number, record.get("cells")))
    concept = record.get("concept")
    if kind == "erase" and concept is None:
        return Erase(_cells_from_json(number, record.get("cells")))
    if isinstance(concept, bool) or not isinstance(concept, str | int):
        raise EditError(f"Edit {number} needs a concept, as a name or an index.")
    if kind in _CONCEPT_EDITS:
        return _CONCEPT_EDITS[kind](concept)
    cells = _cells_from_json(number, record.get("cells"))
    return Erase(cells, concept) if kind == "erase" else _REGION_EDITS[kind](concept, cells)


def _cells_from_json(number: int, cells: object) -> tuple[Cell, ...]:
    if not isinstance(cells, list) or len(cells) > MAX_CELLS:
        raise EditError(f"Edit {number} needs its cells as a list of at most {MAX_CELLS} pairs.")
    for cell in cells:
        if not (isinstance(cell, list) and len(cell) == 2 and all(type(v) is int for v in cell)):
            raise EditError(
                f"Edit {number} has a cell that is not a [row, column] pair of integers."
            )
    return tuple((row, column) for row, column in cells)
