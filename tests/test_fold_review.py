"""Reviews in cross-validation: pooled, paired, chosen on other images than they are judged on."""

import numpy as np
import pytest

from csr_core.training.fold_review import fold_curves, review_figures

K, M = 2, 1


def fold(validation: list[int], held: list[int], scores: np.ndarray) -> dict[str, np.ndarray]:
    """A model that says class 1 if the first concept scores above 0.5, whatever the second."""
    return {
        "scores": scores.astype(np.float32),
        "weight": np.array([[[0.0], [0.0]], [[8.0], [0.0]]]),
        "bias": np.array([4.0, 0.0]),
        "absent": np.full((K, M), 0.2, np.float32),
        "present": np.full((K, M), 0.8, np.float32),
        "validation": np.array(validation),
        "held": np.array(held),
    }


@pytest.fixture
def known() -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([[0, 1], [1, 0], [0, -1], [1, 0], [0, 0], [1, 1], [0, 0], [1, 1]], np.int8)
    return labels, labels[:, 0].astype(np.int64)


@pytest.fixture
def folds(known) -> list[dict[str, np.ndarray]]:
    """In each fold one held image is wrong: a present concept that scores 0.45, an absent 0.9."""
    right = np.where(known[0] == 1, 0.7, 0.3)[:, :, None]
    first, second = right.copy(), right.copy()
    first[1, 0], second[4, 0] = 0.45, 0.9
    return [fold([4, 5, 6, 7], [0, 1, 2, 3], first), fold([0, 1, 2, 3], [4, 5, 6, 7], second)]


def test_the_truth_mends_what_was_wrong_and_only_that(folds, known):
    figures = review_figures(folds, *known)
    whole = figures["calibrated"]["all concepts"]
    # Of eight images two are wrong, one of each class: before, F1 of both classes is 6 / 8.
    assert whole["macro_f1_before"] == pytest.approx(0.75)
    assert (whole["macro_f1"], whole["fixed"], whole["broken"]) == (1.0, 2, 0)
    assert whole["macro_f1_change"] == pytest.approx(0.25)
    low, high = whole["interval"]
    assert 0 <= low <= 0.25 <= high <= 1


def test_the_margin_decides_who_is_reviewed(folds, known):
    """Logits are 8 s - 4 apart: 0.4 at 0.45, a margin of 0.197; 3.2 at 0.9, a margin of 0.92."""
    figures = review_figures(folds, *known)["calibrated"]["margin 0.3"]
    assert (figures["fixed"], figures["broken"]) == (1, 0)
    assert figures["edits"] == pytest.approx(2 / 8)


def test_the_paper_can_reject_but_not_confirm(folds, known):
    figures = review_figures(folds, *known)["paper"]["all concepts"]
    assert (figures["fixed"], figures["broken"]) == (1, 0)


def test_what_is_judged_has_no_part_in_the_choice(folds, known):
    labels, diagnoses = known
    before = review_figures(folds, labels, diagnoses)
    # Whatever is true of the rows held in the first fold, they are only chosen on in the second.
    other = diagnoses.copy()
    other[:4] = 1 - other[:4]
    after = review_figures(folds[:1], labels, other)
    for semantics in ("calibrated", "paper"):
        for name in ("chosen", "chosen, with margin"):
            assert after[semantics][name]["choices"] == before[semantics][name]["choices"][:1]
            assert after[semantics][name]["macro_f1"] != before[semantics][name]["macro_f1"]


def test_curves_start_unedited_and_end_where_all_concepts_are_reviewed(folds, known):
    whole = review_figures(folds, *known)["calibrated"]["all concepts"]
    curves = fold_curves(folds, *known)
    assert len(curves) == 16
    for curve in curves:
        assert curve.points[0].macro_f1 == curve.points[0].macro_f1_before == pytest.approx(0.75)
        if curve.plan.semantics == "calibrated" and curve.plan.threshold is None:
            assert curve.points[-1].macro_f1 == whole["macro_f1"]
