"""Edits of concept evidence, and how they act on similarity maps (Eqs. 12-13).

An edit is an immutable value. A list of edits is first merged into one `EvidenceMap`, cell by cell
and concept by concept, and the map is then applied once. Regions therefore never compound: two
disjoint focus boxes both keep their evidence, and suppressing a patch twice is suppressing it.
"""

import operator
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA",
    "Confirm",
    "Edit",
    "EditError",
    "Erase",
    "EvidenceMap",
    "Focus",
    "Force",
    "Ignore",
    "Profiles",
    "Reject",
    "Semantics",
    "Suppress",
    "apply_evidence",
    "edit_to_json",
    "edits_from_json",
    "merge_edits",
]

Cell = tuple[int, int]
Concept = str | int
Semantics = Literal["calibrated", "paper"]

ALPHA = 0.2
"""Weight of the evidence outside every focus region, the paper's value (Eq. 12)."""

MAX_EDITS = 10_000
MAX_CELLS = 128 * 128
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


@dataclass(frozen=True)
class Profiles:
    """What each prototype scores typically, measured on training data.

    Attributes:
        absent: (K, M), median score over images where the concept is absent, in [-1, 1].
        present: (K, M), median score over images where it is present, never below `absent`.
    """

    absent: NDArray[np.float32]
    present: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.absent.setflags(write=False)
        self.present.setflags(write=False)

    def of(self, concepts: NDArray[np.intp]) -> "Profiles":
        """The profiles of some concepts, (n, M) each."""
        return Profiles(self.absent[concepts], self.present[concepts])


UNMARKED, SUPPRESSED, FORCED, RESTORED = 0, 1, 2, 3


@dataclass(frozen=True)
class EvidenceMap:
    """All edits of a case merged into one value a concept and cell.

    Attributes:
        marks: (K, H, W) int8, one of `UNMARKED`, `SUPPRESSED`, `FORCED`, `RESTORED`; the last is a
            focus patch, which keeps its evidence.
        focused: whether any focus patch remains, so that unmarked cells count `ALPHA`.
    """

    marks: NDArray[np.int8]
    focused: bool

    @property
    def touched(self) -> NDArray[np.intp]:
        """Indices of the concepts whose maps differ from the model's, (n,)."""
        if self.focused:
            return np.arange(self.marks.shape[0])
        changed = (self.marks == SUPPRESSED) | (self.marks == FORCED)  # (K, H, W)
        return np.flatnonzero(changed.any(axis=(1, 2)))


def merge_edits(
    edits: Iterable[Edit], concepts: Sequence[str], grid: tuple[int, int]
) -> EvidenceMap:
    """Merge edits into one map; where edits of one concept meet in a cell, the later one wins.

    Args:
        edits: in the order they were made.
        concepts: names of the K concepts.
        grid: rows and columns of the patch grid, (H, W).

    Returns:
        The merged map. No edits give an unmarked, unfocused map.

    Raises:
        EditError: if an edit names an unknown concept or a patch outside the grid.
    """
    marks = np.zeros((len(concepts), *grid), dtype=np.int8)  # (K, H, W)
    in_focus = np.zeros(grid, dtype=bool)  # (H, W)
    for edit in edits:
        match edit:
            case Suppress(concept, cells):
                marks[concept_index(concept, concepts), *_index(cells, grid)] = SUPPRESSED
            case Force(concept, cells):
                marks[concept_index(concept, concepts), *_index(cells, grid)] = FORCED
            case Ignore(cells):
                marks[:, *_index(cells, grid)] = SUPPRESSED
            case Focus(cells):
                index = _index(cells, grid)
                marks[:, *index] = RESTORED
                in_focus[index] = True
            case Reject(concept):
                marks[concept_index(concept, concepts)] = SUPPRESSED
            case Confirm(concept):
                marks[concept_index(concept, concepts)] = FORCED
            case Erase(cells, concept=None):
                index = _index(cells, grid)
                marks[:, *index] = UNMARKED
                in_focus[index] = False
            case Erase(cells, concept) if concept is not None:
                # The focus is drawn for every concept at once: restoring one concept keeps it.
                index = _index(cells, grid)
                marks[concept_index(concept, concepts), *index] = np.where(
                    in_focus[index], RESTORED, UNMARKED
                )
            case _:
                raise EditError(f"{edit!r} is not an edit; use Suppress, Force, Ignore, Focus, …")
    return EvidenceMap(marks, bool(in_focus.any()))


def apply_evidence(
    similarity: NDArray[np.float32],
    marks: NDArray[np.int8],
    focused: bool,
    profiles: Profiles,
    semantics: Semantics = "calibrated",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply a merged map once to the similarity maps of some concepts (Eqs. 12-13).

    Calibrated: suppressed cells fall to the absent profile, forced cells rise to the present
    profile, and outside the focus evidence is pulled towards the absent profile by 1 - α.
    Paper: Ŝ = A ⊙ S with A = 0, 1 or α. The paper has no way to add evidence, so a forced cell
    is one that nothing else dampens (A = 1). Negative similarities are clamped to 0 where A ≠ 1,
    because shrinking them would raise them, and an edited score never passes the plain one.

    Args:
        similarity: (n, M, H, W), cosines in [-1, 1].
        marks: (n, H, W), the marks of the same concepts.
        focused: whether unmarked cells are dampened.
        profiles: of the same concepts, each (n, M).
        semantics: "calibrated" or "paper".

    Returns:
        The edited maps (n, M, H, W) and their scores (n, M), the maximum over all cells (Eq. 10).
        Where nothing is marked the values are those given, bit for bit.

    Raises:
        EditError: if the semantics has another name.
    """
    spread = marks[:, None]  # (n, 1, H, W)
    if semantics == "calibrated":
        absent = profiles.absent[:, :, None, None]  # (n, M, 1, 1)
        present = profiles.present[:, :, None, None]
        edited = similarity
        if focused:
            damped = absent + np.float32(ALPHA) * (similarity - absent)
            edited = np.where(spread == UNMARKED, damped, edited)
        edited = np.where(spread == SUPPRESSED, np.minimum(similarity, absent), edited)
        edited = np.where(spread == FORCED, np.maximum(similarity, present), edited)
        return edited, edited.max(axis=(2, 3))
    if semantics == "paper":
        clamped = np.maximum(similarity, 0)
        edited = np.where(spread == SUPPRESSED, np.float32(0), similarity)
        if focused:
            edited = np.where(spread == UNMARKED, np.float32(ALPHA) * clamped, edited)
        return edited, np.minimum(edited.max(axis=(2, 3)), similarity.max(axis=(2, 3)))
    raise EditError(
        f"{semantics!r} is not a semantics of edits; use one of {', '.join(get_args(Semantics))}."
    )


def concept_index(concept: Concept, concepts: Sequence[str]) -> int:
    """Find a concept by name or index.

    Raises:
        EditError: if there is no such concept.
    """
    if isinstance(concept, str) and concept in concepts:
        return concepts.index(concept)
    if isinstance(concept, int) and 0 <= concept < len(concepts):
        return concept
    raise EditError(
        f"There is no concept {reprlib.repr(concept)}; the model knows {', '.join(concepts)} "
        f"(or 0 to {len(concepts) - 1})."
    )


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
        raise EditError(f"{len(records)} edits are more than a case may have ({MAX_EDITS}).")
    return tuple(_edit_from_json(number, record) for number, record in enumerate(records, 1))


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


def _index(
    cells: Sequence[Cell], grid: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column index arrays of cells, checked against the grid."""
    for row, column in cells:
        if not (0 <= row < grid[0] and 0 <= column < grid[1]):
            raise EditError(
                f"Patch ({row}, {column}) is outside the grid of {grid[0]} rows "
                f"and {grid[1]} columns (counted from 0)."
            )
    pairs = np.array(cells, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
