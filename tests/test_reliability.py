"""Calibration error and Brier score against sums made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_core.reliability import CALIBRATION_PROTOCOL, brier_score, measure_reliability

# Twice 0.9 sure, once right; twice 0.65 sure, both right.
PROBABILITIES = np.array([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [0.65, 0.35]])
TRUTH = np.array([0, 1, 1, 0])


def test_calibration_error_of_four_predictions():
    reliability = measure_reliability(TRUTH, PROBABILITIES)
    # Of fifteen bins, 0.9 lies in the 14th and 0.65 in the 10th.
    assert np.flatnonzero(reliability.counts).tolist() == [9, 13]
    assert reliability.counts[[9, 13]].tolist() == [2, 2]
    assert reliability.confidence[[9, 13]] == pytest.approx([0.65, 0.9])
    assert reliability.accuracy[[9, 13]].tolist() == [1, 0.5]
    assert reliability.error == pytest.approx(0.5 * (1 - 0.65) + 0.5 * (0.9 - 0.5))


def test_brier_score_of_four_predictions():
    assert brier_score(TRUTH, PROBABILITIES) == pytest.approx((0.02 + 1.62 + 0.245 + 0.245) / 4)


def test_brier_score_of_three_classes_where_one_is_missing():
    # (1 - 0.5)² + 0.3² + 0.2²
    assert brier_score(np.array([0]), np.array([[0.5, 0.3, 0.2]])) == pytest.approx(0.38)


def test_certainty_has_a_bin():
    reliability = measure_reliability(np.array([0, 1]), np.array([[1.0, 0], [1, 0]]))
    assert reliability.counts.tolist() == [0] * 14 + [2]
    assert reliability.error == 0.5


def test_an_empty_bin_has_neither_confidence_nor_accuracy():
    reliability = measure_reliability(np.array([0]), np.array([[1.0, 0]]))
    assert np.isnan(reliability.confidence[:14]).all()
    assert np.isnan(reliability.accuracy[:14]).all()


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_every_image_is_in_one_bin_and_the_error_is_a_share(pairs):
    truth = np.array([label for label, _ in pairs])
    first = np.array([share for _, share in pairs])
    reliability = measure_reliability(truth, np.stack([first, 1 - first], axis=1))
    assert reliability.counts.sum() == len(pairs)
    assert 0 <= reliability.error <= 1


def test_the_protocol_names_bins_and_ranges():
    for word in ("15 bins of equal width", "largest probability", "summed over classes"):
        assert word in CALIBRATION_PROTOCOL
