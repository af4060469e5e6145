"""What a simulated reader's edits are worth in cross-validation."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from csr_core.evidence import Profiles, Semantics
from csr_core.intervals import macro_f1_difference
from csr_core.interventions import (
    POLICIES,
    Choice,
    Curve,
    Plan,
    ScoredImages,
    ask_reader,
    choose_plan,
)
from csr_core.revision import Revision, pooled
from csr_core.safety import UNDECIDED_MARGIN
from csr_core.score_model import ScoreModel

__all__ = ["review_curves", "review_figures"]

TRIGGERS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Margins to choose from; `UNDECIDED_MARGIN`, the paper's, is among them."""

PROTOCOL = (
    "A simulated reader knows the true concepts and answers questions about them; unknown ones are "
    "left alone. “chosen”: policy, kind of answer, number of questions and margin are those with "
    "the best macro-F1 on the validation rows of each fold, asking nothing among them. “all "
    "concepts”: every concept of every image reviewed. “margin 0.3”: all concepts of images whose "
    "two likeliest diagnoses are less than 0.3 apart. Judged on the rows of each fold that nothing "
    "was fitted to or chosen on; the folds are pooled."
)

Fold = tuple[ScoreModel, ScoredImages, ScoredImages]
"""Model, images to choose on, images to judge on."""


def review_figures(
    folds: Sequence[Mapping[str, NDArray]],
    labels: NDArray[np.int8],
    diagnoses: NDArray[np.int64],
) -> dict[str, Any]:
    """Measure reviews of the images of all folds.

    Args:
        folds: of each its `scores` (N, K, M) of all rows, `weight` (classes, K, M), `bias`,
            `absent` and `present` (K, M), `validation` and `held` rows.
        labels: (N, K), true concepts of all rows, -1 where unknown.
        diagnoses: (N,), true classes of all rows, -1 where unknown.

    Returns:
        JSON values: by semantics and kind of review the effect, `macro_f1_change` with its paired
        95 % bootstrap `interval`, and what was chosen for each fold.
    """
    parts = [_fold(arrays, labels, diagnoses) for arrays in folds]
    figures: dict[str, Any] = {"protocol": PROTOCOL}
    for semantics in get_args(Semantics):
        every = Plan(semantics=semantics)
        fixed = {
            "all concepts": every,
            "margin 0.3": Plan(threshold=UNDECIDED_MARGIN, semantics=semantics),
        }
        figures[semantics] = {
            name: _worth(pooled([ask_reader(model, held, plan)[-1] for model, _, held in parts]))
            for name, plan in fixed.items()
        }
        for name, thresholds in (("chosen", (None,)), ("chosen, with margin", TRIGGERS)):
            choices = [
                choose_plan(model, validation, held, semantics=semantics, thresholds=thresholds)
                for model, validation, held in parts
            ]
            figures[semantics][name] = _worth(pooled([choice.revision for choice in choices])) | {
                "choices": [_told(choice) for choice in choices]
            }
    return figures


def review_curves(
    folds: Sequence[Mapping[str, NDArray]],
    labels: NDArray[np.int8],
    diagnoses: NDArray[np.int64],
) -> list[Curve]:
    """Curves of macro-F1 against questions, every policy, semantics and trigger, folds pooled.

    Args:
        folds: as of `review_figures`.
        labels: likewise.
        diagnoses: likewise.
    """
    parts = [_fold(arrays, labels, diagnoses) for arrays in folds]
    curves = []
    for semantics, threshold, policy in product(
        get_args(Semantics), (None, UNDECIDED_MARGIN), POLICIES
    ):
        plan = Plan(policy, semantics=semantics, threshold=threshold)
        reviews = [ask_reader(model, held, plan) for model, _, held in parts]
        points = tuple(pooled(revisions).effect() for revisions in zip(*reviews, strict=True))
        curves.append(Curve(plan, points))
    return curves


def _fold(
    arrays: Mapping[str, NDArray], labels: NDArray[np.int8], diagnoses: NDArray[np.int64]
) -> Fold:
    profiles = Profiles(arrays["absent"], arrays["present"])
    images = ScoredImages(arrays["scores"], labels, diagnoses)
    model = ScoreModel(arrays["weight"], arrays["bias"], profiles)
    return model, images.of(arrays["validation"]), images.of(arrays["held"])


def _worth(revision: Revision) -> dict[str, Any]:
    """The effect of a review, and how sure its change of macro-F1 is."""
    change, interval = macro_f1_difference(
        revision.truth, revision.after, revision.before, revision.classes
    )
    return revision.effect().to_json() | {"macro_f1_change": change, "interval": interval}


def _told(choice: Choice) -> dict[str, Any]:
    told = choice.to_json()
    return {key: told[key] for key in ("plan", "questions", "chosen_on")}
