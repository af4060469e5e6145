"""What a simulated reader's edits are worth in cross-validation."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from csr_core import review_worth
from csr_core.answers import AnswerWeights
from csr_core.evidence import Profiles, Semantics
from csr_core.interventions import Choice, Curve, ScoredImages, choose_plan
from csr_core.revision import pooled
from csr_core.score_model import ScoreModel

__all__ = ["fold_curves", "review_figures"]

TRIGGERS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Margins to choose from; the paper's 0.3 is among them."""

PROTOCOL = (
    f"{review_worth.READER_PROTOCOL} “chosen”: policy, kind of answer, number of questions and "
    "margin are those with the best macro-F1 on the validation rows of each fold, asking nothing "
    "among them. Judged on the rows of each fold that nothing was fitted to or chosen on; the "
    "folds are pooled."
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
            `absent` and `present` (K, M), `validation` and `held` rows, and `rejected` and
            `confirmed` (classes, K) and `share` if it learned what answers are worth.
        labels: (N, K), true concepts of all rows, -1 where unknown.
        diagnoses: (N,), true classes of all rows, -1 where unknown.

    Returns:
        JSON values: by semantics and kind of review the effect, `macro_f1_change` with its paired
        95 % bootstrap `interval`, and what was chosen for each fold.
    """
    parts = [_fold(arrays, labels, diagnoses) for arrays in folds]
    figures: dict[str, Any] = {"protocol": PROTOCOL}
    for semantics in get_args(Semantics):
        figures[semantics] = review_worth.fixed_reviews(
            [(model, held) for model, _, held in parts], semantics
        )
        for name, thresholds in (("chosen", (None,)), ("chosen, with margin", TRIGGERS)):
            choices = [
                choose_plan(model, validation, held, semantics=semantics, thresholds=thresholds)
                for model, validation, held in parts
            ]
            revision = pooled([choice.revision for choice in choices])
            told = {"choices": [_told(choice) for choice in choices]}
            figures[semantics][name] = review_worth.worth(revision) | told
    return figures


def fold_curves(
    folds: Sequence[Mapping[str, NDArray]],
    labels: NDArray[np.int8],
    diagnoses: NDArray[np.int64],
) -> list[Curve]:
    """Curves of macro-F1 against questions, folds pooled; arguments as of `review_figures`."""
    parts = [_fold(arrays, labels, diagnoses) for arrays in folds]
    return review_worth.review_curves([(model, held) for model, _, held in parts])


def _fold(
    arrays: Mapping[str, NDArray], labels: NDArray[np.int8], diagnoses: NDArray[np.int64]
) -> Fold:
    profiles = Profiles(arrays["absent"], arrays["present"])
    images = ScoredImages(arrays["scores"], labels, diagnoses)
    answers = None
    if "rejected" in arrays:
        answers = AnswerWeights(arrays["rejected"], arrays["confirmed"], float(arrays["share"]))
    model = ScoreModel(arrays["weight"], arrays["bias"], profiles, answers)
    return model, images.of(arrays["validation"]), images.of(arrays["held"])


def _told(choice: Choice) -> dict[str, Any]:
    told = choice.to_json()
    return {key: told[key] for key in ("plan", "questions", "chosen_on")}
