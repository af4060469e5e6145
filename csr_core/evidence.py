"""Edits merged into one map of evidence, and the map applied to similarity maps (Eqs. 12-13).

A list of edits is first merged cell by cell and concept by concept, and the map is then applied
once. Regions therefore never compound: two disjoint focus boxes both keep their evidence, and
suppressing a patch twice is suppressing it.
"""

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from csr_core.edits import (
    Cell,
    Concept,
    Confirm,
    Edit,
    EditError,
    Erase,
    Focus,
    Force,
    Ignore,
    Reject,
    Suppress,
)

__all__ = [
    "ALPHA",
    "EvidenceMap",
    "Profiles",
    "Semantics",
    "answered",
    "apply_evidence",
    "concept_index",
    "marked",
    "merge_edits",
]

Semantics = Literal["calibrated", "paper"]

ALPHA = 0.2
"""Weight of the evidence outside every focus region, the paper's value (Eq. 12)."""


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


UNMARKED, SUPPRESSED, FORCED, RESTORED, REJECTED, CONFIRMED = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True)
class EvidenceMap:
    """All edits of a case merged into one value a concept and cell.

    Attributes:
        marks: (K, H, W) int8, one of `UNMARKED`, `SUPPRESSED`, `FORCED`; `RESTORED`, a focus patch,
            which keeps its evidence; `REJECTED` and `CONFIRMED`, left by an edit of the whole
            concept.
        focus: (H, W) bool, the patches in focus.
    """

    marks: NDArray[np.int8]
    focus: NDArray[np.bool_]

    @property
    def focused(self) -> bool:
        """Whether any patch is in focus, so that unmarked cells count `ALPHA`."""
        return bool(self.focus.any())

    @property
    def touched(self) -> NDArray[np.intp]:
        """Indices of the concepts whose maps differ from the model's, (n,)."""
        if self.focused:
            return np.arange(self.marks.shape[0])
        return np.flatnonzero(marked(self.marks).any(axis=(1, 2)))

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """Whether a patch still says that the concept is rejected, (K,)."""
        return (self.marks == REJECTED).any(axis=(1, 2))

    @property
    def confirmed(self) -> NDArray[np.bool_]:
        """Whether a patch still says that the concept is confirmed, (K,)."""
        return (self.marks == CONFIRMED).any(axis=(1, 2))

    def without_answers(self) -> "EvidenceMap":
        """The same map, had nobody rejected or confirmed a whole concept."""
        unanswered = np.where(self.focus, np.int8(RESTORED), np.int8(UNMARKED))
        marks = np.where(answered(self.marks), unanswered, self.marks)
        return EvidenceMap(marks, self.focus)


def answered(marks: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether marks were left by rejecting or confirming a whole concept.

    Args:
        marks: of any shape, as in `EvidenceMap`.
    """
    return np.isin(marks, (REJECTED, CONFIRMED))


def marked(marks: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether marks suppress or force evidence, be it of a patch or of a whole concept.

    Args:
        marks: of any shape, as in `EvidenceMap`.
    """
    return np.isin(marks, (SUPPRESSED, FORCED, REJECTED, CONFIRMED))


def merge_edits(
    edits: Iterable[Edit],
    concepts: Sequence[str],
    grid: tuple[int, int],
    onto: EvidenceMap | None = None,
) -> EvidenceMap:
    """Merge edits into one map; where edits of one concept meet in a cell, the later one wins.

    Args:
        edits: in the order they were made.
        concepts: names of the K concepts.
        grid: rows and columns of the patch grid, (H, W).
        onto: the edits made before these, merged already; it stays as it is.

    Returns:
        The merged map. No edits at all give an unmarked, unfocused map.

    Raises:
        EditError: if an edit names an unknown concept or a patch outside the grid.
    """
    marks = onto.marks.copy() if onto else np.zeros((len(concepts), *grid), np.int8)  # (K, H, W)
    focus = onto.focus.copy() if onto else np.zeros(grid, np.bool_)  # (H, W)
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
                focus[index] = True
            case Reject(concept):
                marks[concept_index(concept, concepts)] = REJECTED
            case Confirm(concept):
                marks[concept_index(concept, concepts)] = CONFIRMED
            case Erase(cells, concept=None):
                index = _index(cells, grid)
                marks[:, *index] = UNMARKED
                focus[index] = False
            case Erase(cells, concept) if concept is not None:
                # The focus is drawn for every concept at once: restoring one concept keeps it.
                index = _index(cells, grid)
                marks[concept_index(concept, concepts), *index] = np.where(
                    focus[index], RESTORED, UNMARKED
                )
            case _:
                raise EditError(f"{edit!r} is not an edit; use Suppress, Force, Ignore, Focus, …")
    return EvidenceMap(marks, focus)


def apply_evidence(
    similarity: NDArray[np.float32],
    marks: NDArray[np.int8],
    focus: NDArray[np.bool_],
    profiles: Profiles,
    semantics: Semantics = "calibrated",
    share: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply a merged map once to the similarity maps of some concepts (Eqs. 12-13).

    Calibrated: suppressed and rejected cells fall to the absent profile, forced and confirmed ones
    rise to the present profile, and outside the focus evidence is pulled towards the absent profile
    by 1 - α. Rejected and confirmed cells go only a share of the way, if the model has learned it.
    Paper: Ŝ = A ⊙ S with A = 0, 1 or α. The paper has no way to add evidence, so a forced cell
    is one that nothing else dampens (A = 1). Negative similarities are clamped to 0 where A ≠ 1,
    because shrinking them would raise them, and an edited score never passes the plain one.

    Args:
        similarity: (n, M, H, W), cosines in [-1, 1].
        marks: (n, H, W), the marks of the same concepts.
        focus: (H, W), the patches in focus; where there are any, the others are dampened.
        profiles: of the same concepts, each (n, M).
        semantics: "calibrated" or "paper".
        share: of the way, see `answers.AnswerWeights`; the paper has no such thing.

    Returns:
        The edited maps (n, M, H, W) and their scores (n, M), the maximum over all cells (Eq. 10).
        Where nothing is marked the values are those given, bit for bit.

    Raises:
        EditError: if the semantics has another name.
    """
    spread = marks[:, None]  # (n, 1, H, W)
    low = (spread == SUPPRESSED) | (spread == REJECTED)
    high = (spread == FORCED) | (spread == CONFIRMED)
    if semantics == "calibrated":
        absent = profiles.absent[:, :, None, None]  # (n, M, 1, 1)
        present = profiles.present[:, :, None, None]
        unanswered = similarity
        if focus.any():
            damped = absent + np.float32(ALPHA) * (similarity - absent)
            outside = (spread == UNMARKED) | (answered(spread) & ~focus)
            unanswered = np.where(outside, damped, similarity)
        edited = np.where(low, np.minimum(similarity, absent), unanswered)
        edited = np.where(high, np.maximum(similarity, present), edited)
        if share < 1:
            part_way = np.float32(share) * edited + np.float32(1 - share) * unanswered
            edited = np.where(answered(spread), part_way, edited)
        return edited, edited.max(axis=(2, 3))
    if semantics == "paper":
        clamped = np.maximum(similarity, 0)
        edited = np.where(low, np.float32(0), similarity)
        if focus.any():
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
