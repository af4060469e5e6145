"""The safety strip: when a verdict should not be taken at its word, what it means, what to do."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from csr_core.advice import margins_of, presence, spoken
from csr_core.edits import Cell, Edit, Focus, Force
from csr_core.evidence import Profiles, Semantics, concept_index, merge_edits
from csr_core.familiarity import Familiarity, ScoreRange
from csr_core.reasoner import EncodedCase, Reasoner, Verdict

__all__ = [
    "UNDECIDED_MARGIN",
    "Level",
    "Notice",
    "focus_effect",
    "mismatch",
    "model_limits",
    "safety_notices",
    "undecided",
    "unfamiliar",
    "unusual_scores",
]

UNDECIDED_MARGIN = 0.3
"""Margin between the two likeliest diagnoses below which the paper advises to intervene."""
CLEARLY_STRONGER = 0.5
"""Half the way from the absent to the present profile."""

Level = Literal["alert", "caution", "note"]
_LEVELS: tuple[Level, ...] = ("alert", "caution", "note")


class Notice(NamedTuple):
    """One line of the safety strip.

    Attributes:
        level: "alert" if the verdict may mean nothing, "caution" if it needs a look, else "note".
        kind: a word for programs: undecided, scores, unfamiliar, mismatch, focus, model, unchecked.
        meaning: what was found and what it means, one sentence.
        action: what to do, one sentence.
    """

    level: Level
    kind: str
    meaning: str
    action: str


def safety_notices(
    reasoner: Reasoner,
    case: EncodedCase,
    edits: Sequence[Edit],
    semantics: Semantics,
) -> tuple[Notice, ...]:
    """Everything there is to warn of, the gravest first.

    Args:
        reasoner: the model that encoded the case.
        case: from `Reasoner.encode`.
        edits: in effect.
        semantics: how edits are read.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded the case.
    """
    usual = reasoner.calibration
    notices = [
        undecided(reasoner.reason(case, edits, semantics), reasoner.classes),
        unusual_scores(case, usual.score_range, reasoner.concepts) if usual else None,
        unfamiliar(case, usual.familiarity) if usual else None,
        mismatch(case, edits, reasoner.profiles, reasoner.concepts),
        focus_effect(reasoner, case, edits, semantics),
        model_limits(reasoner.card),
    ]
    if usual is None:
        notices.append(
            Notice(
                "note",
                "unchecked",
                "What is usual for this model was never measured, so images unlike its training "
                "images go unnoticed.",
                "Judge for yourself whether the image is of the kind the model was trained on.",
            )
        )
    found = [notice for notice in notices if notice]
    return tuple(sorted(found, key=lambda notice: _LEVELS.index(notice.level)))


def undecided(verdict: Verdict, classes: Sequence[str]) -> Notice | None:
    """Warn if the two likeliest diagnoses are less than 0.3 apart."""
    margin = margins_of(verdict.probabilities)
    if margin >= UNDECIDED_MARGIN:
        return None
    second, first = np.argsort(verdict.probabilities, kind="stable")[-2:]
    return Notice(
        "caution",
        "undecided",
        f"The model is undecided between {spoken(classes[first])} and {spoken(classes[second])}: "
        f"they are {margin:.2f} apart, less than {UNDECIDED_MARGIN}.",
        "Look at the concepts under “Ask me next” and reject or confirm what you can judge.",
    )


def unusual_scores(
    case: EncodedCase, score_range: ScoreRange, concepts: Sequence[str]
) -> Notice | None:
    """Warn if any score of the image, before edits, lies above what the model usually gives.

    Raises:
        ValueError: if the range is of another model.
    """
    excess = score_range.excess(case.similarity_scores)
    above = np.flatnonzero((excess > 0).any(axis=1))
    if not len(above):
        return None
    ranked = above[np.argsort(-excess[above].max(axis=1), kind="stable")]
    names = ", ".join(spoken(concepts[index]) for index in ranked)
    return Notice(
        "caution",
        "scores",
        f"Similarity above its usual range for {names}; {_rate(score_range)}.",
        "Check that these patches show the concept and not an artefact such as a ruler or hair; "
        "suppress them if they don't.",
    )


def unfamiliar(case: EncodedCase, familiarity: Familiarity) -> Notice | None:
    """Warn if the pooled features of the image are far from those the model usually meets.

    Raises:
        ValueError: if the familiarity is of another model.
    """
    distance = familiarity.distance(case.pooled)
    if distance <= familiarity.limit:
        return None
    return Notice(
        "alert",
        "unfamiliar",
        f"The image is unlike those the model was made for: distance {distance:.1f}, limit "
        f"{familiarity.limit:.1f}; {_rate(familiarity)}.",
        "Check that the kind of image is the right one and its quality good; otherwise disregard "
        "the probabilities.",
    )


def mismatch(
    case: EncodedCase, edits: Sequence[Edit], profiles: Profiles, concepts: Sequence[str]
) -> Notice | None:
    """Warn if the latest forced region looks clearly more like another concept.

    Each concept is measured on the scale from its absent to its present profile, by the best of
    the patches for each prototype, in what the model saw before any edit.

    Raises:
        EditError: if the edit names an unknown concept.
    """
    drawn = next((edit for edit in reversed(edits) if isinstance(edit, Force) and edit.cells), None)
    if drawn is None:
        return None
    claimed = concept_index(drawn.concept, concepts)
    levels = _levels_in(case, drawn.cells, profiles)
    other = int(levels.argmax())
    if levels[other] - max(levels[claimed], 0.0) <= CLEARLY_STRONGER:
        return None
    return Notice(
        "caution",
        "mismatch",
        f"The region forced for {spoken(concepts[claimed])} looks to the model more like "
        f"{spoken(concepts[other])} ({levels[other]:.0%} against {levels[claimed]:.0%} of the way "
        "from absent to present).",
        f"Check the region; if it shows {spoken(concepts[other])}, undo the stroke and draw it "
        "for that concept.",
    )


def focus_effect(
    reasoner: Reasoner, case: EncodedCase, edits: Sequence[Edit], semantics: Semantics
) -> Notice | None:
    """Say what the first focus mark did to the likeliest diagnosis, while any focus is in effect.

    Raises:
        EditError: if an edit does not fit the case.
    """
    if not merge_edits(edits, reasoner.concepts, reasoner.grid).focused:
        return None
    first = next(
        index for index, edit in enumerate(edits) if isinstance(edit, Focus) and edit.cells
    )
    before, after = (
        reasoner.reason(case, edits[:count], semantics).probabilities
        for count in (first, first + 1)
    )
    top = int(before.argmax())
    return Notice(
        "note",
        "focus",
        f"The first focus mark dims every patch outside it: {spoken(reasoner.classes[top])} "
        f"{before[top]:.2f} → {after[top]:.2f}.",
        "Erase the focus to give all patches their full weight again.",
    )


def model_limits(card: Mapping[str, Any]) -> Notice:
    """Say what the model may be used for, from its card."""
    if card.get("synthetic"):
        return Notice(
            "caution",
            "model",
            "The model was trained on synthetic images only: it knows nothing of real ones.",
            "Use it to try the studio, never to judge a patient's image.",
        )
    return Notice(
        "note",
        "model",
        "Research use only: the model is not a medical device.",
        "Do not base a decision about a patient on it.",
    )


def _levels_in(case: EncodedCase, cells: Sequence[Cell], profiles: Profiles) -> NDArray[np.float64]:
    rows, columns = np.array(cells, dtype=np.intp).T
    return presence(case.similarity_maps[:, :, rows, columns].max(axis=2), profiles)  # (K,)


def _rate(calibration: ScoreRange | Familiarity) -> str:
    share = math.ceil(1000 * calibration.false_alarm_rate) / 10
    return f"about {share:g} % of usual images are flagged so by chance"
