"""What a simulated reader's reviews are worth: fixed ones, and curves against the questions."""

from collections.abc import Sequence
from itertools import product
from typing import Any, get_args

from csr_core.evidence import Semantics
from csr_core.intervals import macro_f1_difference
from csr_core.interventions import POLICIES, Curve, Plan, ScoredImages, ask_reader
from csr_core.revision import Revision, pooled
from csr_core.safety import UNDECIDED_MARGIN
from csr_core.score_model import ScoreModel

__all__ = ["READER_PROTOCOL", "fixed_reviews", "review_curves", "worth"]

READER_PROTOCOL = (
    "A simulated reader knows the true concepts and answers questions about them; unknown ones are "
    f"left alone. “all concepts”: every concept of every image reviewed. “margin "
    f"{UNDECIDED_MARGIN:g}”: all concepts of images whose two likeliest diagnoses are less than "
    f"{UNDECIDED_MARGIN:g} apart."
)

Judged = tuple[ScoreModel, ScoredImages]
"""A model, and images that nothing of it was fitted to or chosen on."""


def fixed_reviews(parts: Sequence[Judged], semantics: Semantics) -> dict[str, dict[str, Any]]:
    """Measure the reviews about which there is nothing to choose.

    Args:
        parts: at least one; their images are pooled.
        semantics: how the edits are read.

    Returns:
        By the name of the review what `worth` says.
    """
    plans = {
        "all concepts": Plan(semantics=semantics),
        f"margin {UNDECIDED_MARGIN:g}": Plan(threshold=UNDECIDED_MARGIN, semantics=semantics),
    }
    return {
        name: worth(pooled([ask_reader(model, images, plan)[-1] for model, images in parts]))
        for name, plan in plans.items()
    }


def review_curves(parts: Sequence[Judged]) -> list[Curve]:
    """Curves of macro-F1 against questions, every policy, semantics and trigger.

    Args:
        parts: at least one; their images are pooled.
    """
    curves = []
    for semantics, threshold, policy in product(
        get_args(Semantics), (None, UNDECIDED_MARGIN), POLICIES
    ):
        plan = Plan(policy, semantics=semantics, threshold=threshold)
        reviews = [ask_reader(model, images, plan) for model, images in parts]
        points = tuple(pooled(revisions).effect() for revisions in zip(*reviews, strict=True))
        curves.append(Curve(plan, points))
    return curves


def worth(revision: Revision) -> dict[str, Any]:
    """Say how far a review helps.

    Returns:
        JSON values: the effect, and `macro_f1_change` with its paired 95 % bootstrap `interval`.
    """
    change, interval = macro_f1_difference(
        revision.truth, revision.after, revision.before, revision.classes
    )
    return revision.effect().to_json() | {"macro_f1_change": change, "interval": interval}
