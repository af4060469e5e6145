"""Ask me next: which concept is worth a look, by uncertainty times influence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.edits import Cell, Confirm, Edit, Focus, Ignore, Reject
from csr_core.evidence import Profiles, Semantics, marked
from csr_core.reasoner import EncodedCase, Reasoner

__all__ = [
    "Question",
    "ask_next",
    "influence",
    "margins_of",
    "presence",
    "spoken",
    "strongest_group",
    "uncertainty",
]

UNDECIDED = 0.25
"""Uncertainty from which a concept is called undecided: between a quarter and three quarters."""
NEGLIGIBLE = 0.01
"""Influence, in probability, below which a concept is said to move nothing."""


@dataclass(frozen=True)
class Question:
    """A concept a reviewer may want to judge.

    Attributes:
        concept: its name.
        cells: where to look: the strongest group of touching patches, as edited.
        level: where its scores lie between their absent (0) and present profile (1), may be beyond.
        uncertainty: in [0, 0.5]; 0.5 is midway between the profiles.
        influence: the largest change of a class probability between reject and confirm, in [0, 1].
        moved: index of that class.
        rejected: probability of that class were the concept rejected.
        confirmed: probability of that class were the concept confirmed.
        settled: whether the reviewer has marked this concept already.
        sentence: all that in words.
    """

    concept: str
    cells: tuple[Cell, ...]
    level: float
    uncertainty: float
    influence: float
    moved: int
    rejected: float
    confirmed: float
    settled: bool
    sentence: str


def ask_next(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> tuple[Question, ...]:
    """Rank all concepts by uncertainty × influence; those marked already come last.

    Args:
        reasoner: the model that encoded the case.
        case: from `Reasoner.encode`.
        edits: in effect already.
        semantics: how edits are read.

    Returns:
        One question a concept, the one most worth asking first.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case.
    """
    evidence = reasoner.merge(edits)
    levels = presence(reasoner.reason(case, evidence, semantics).scores, reasoner.profiles)
    maps = reasoner.concept_maps(case, evidence, semantics)
    # Ignored and focused patches say nothing about any one concept.
    own = [edit for edit in edits if not isinstance(edit, Ignore | Focus)]
    settled = np.any(marked(reasoner.merge(own).marks), axis=(1, 2))
    questions = []
    for index, concept in enumerate(reasoner.concepts):
        rejected, confirmed = (
            reasoner.reason(
                case, reasoner.merge([kind(concept)], onto=evidence), semantics
            ).probabilities
            for kind in (Reject, Confirm)
        )
        moved = int(np.abs(confirmed - rejected).argmax())
        level = float(levels[index])
        questions.append(
            Question(
                concept=concept,
                cells=strongest_group(maps[index]),
                level=level,
                uncertainty=float(uncertainty(levels[index])),
                influence=float(influence(rejected, confirmed)),
                moved=moved,
                rejected=float(rejected[moved]),
                confirmed=float(confirmed[moved]),
                settled=bool(settled[index]),
                sentence="",
            )
        )
    strongest = max(questions, key=lambda question: question.influence)
    ranked = sorted(
        questions,
        key=lambda asked: (asked.settled, -asked.uncertainty * asked.influence, -asked.influence),
    )
    return tuple(_worded(question, reasoner.classes, question is strongest) for question in ranked)


def presence(scores: NDArray[np.float32], profiles: Profiles) -> NDArray[np.float64]:
    """Where the scores of each concept lie between their absent and present profiles.

    Each prototype counts by how far its two profiles are apart, that is by how much it tells.

    Args:
        scores: (..., K, M).
        profiles: (K, M) each.

    Returns:
        (..., K): 0 at the absent profile, 1 at the present one, beyond them outside [0, 1]; 0.5
        for a concept whose profiles don't differ.
    """
    absent = profiles.absent.astype(np.float64)
    span = (profiles.present - absent).sum(axis=1)  # (K,)
    above = (scores - absent).sum(axis=-1)
    return np.divide(above, span, out=np.full(above.shape, 0.5), where=span > 1e-6)


def uncertainty(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """How undecided concepts are: 0.5 midway between the profiles, 0 at either or beyond.

    Args:
        levels: of any shape, from `presence`.
    """
    return np.maximum(np.minimum(levels, 1 - levels), 0.0)


def influence(rejected: NDArray[np.float64], confirmed: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest change of a class probability between a concept rejected and confirmed.

    Args:
        rejected: (..., classes), probabilities were the concept rejected.
        confirmed: (..., classes), likewise.

    Returns:
        (...), in [0, 1].
    """
    return np.abs(confirmed - rejected).max(axis=-1)


def margins_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the two likeliest classes are apart.

    Args:
        probabilities: (..., classes).

    Returns:
        (...), in [0, 1]; 1 where there is but one class.
    """
    ordered = np.sort(probabilities, axis=-1)
    second = ordered[..., -2] if ordered.shape[-1] > 1 else 0.0
    return ordered[..., -1] - second


def strongest_group(concept_map: NDArray[np.float32]) -> tuple[Cell, ...]:
    """Find the patches around the strongest one that are more like it than like the typical patch.

    Args:
        concept_map: (H, W) similarities.

    Returns:
        The group of touching patches, diagonals included, that holds the maximum; all its patches
        lie above the middle between the median of the map and its maximum.
    """
    peak = np.unravel_index(concept_map.argmax(), concept_map.shape)
    middle = (np.median(concept_map) + concept_map[peak]) / 2
    above = (concept_map >= middle).astype(np.uint8)
    _, groups = cv2.connectedComponents(above, connectivity=8)
    return tuple((int(row), int(column)) for row, column in np.argwhere(groups == groups[peak]))


def spoken(name: str) -> str:
    """A concept or class name as people say it: without underscores."""
    return name.replace("_", " ")


def _worded(question: Question, classes: Sequence[str], strongest: bool) -> Question:
    name, moved = spoken(question.concept), spoken(classes[question.moved])
    if question.settled:
        state = "you have marked it already"
    elif question.uncertainty >= UNDECIDED:
        state = "undecided"
    else:
        state = "looks present" if question.level > 0.5 else "looks absent"
    if question.influence < NEGLIGIBLE:
        effect = "and it hardly moves any diagnosis"
    else:
        effect = (
            f"and it moves {moved}{' most' if strongest else ''} (±{question.influence / 2:.2f}: "
            f"{question.rejected:.2f} if rejected, {question.confirmed:.2f} if confirmed)"
        )
    return replace(question, sentence=f"{name}: {state}, {effect}.")
