"""Whether probabilities mean what they say: reliability, calibration error and Brier score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

__all__ = ["CALIBRATION_PROTOCOL", "Reliability", "brier_score", "measure_reliability"]

BINS = 15
CALIBRATION_PROTOCOL = (
    f"Expected calibration error: {BINS} bins of equal width over the largest probability, mean "
    "distance between how sure the model is and how often it is right, weighted by images. Brier "
    "score: squared distance between probabilities and truth, summed over classes; 0 is perfect, "
    "2 the worst."
)


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a model is right, by how sure it is.

    Attributes:
        counts: (BINS,) images whose largest probability lies in each bin of equal width.
        confidence: (BINS,) mean largest probability, NaN in an empty bin.
        accuracy: (BINS,) share of right diagnoses, NaN in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error, in [0, 1]."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float(np.average(gaps, weights=self.counts[filled]))


def measure_reliability(
    truth: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> Reliability:
    """Sort predictions into bins of equal width by their largest probability.

    Args:
        truth: (N,) class indices, N at least 1.
        probabilities: (N, classes), each row sums to 1.
    """
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    # The upper edge of a bin belongs to it, so that a probability of 1 has one.
    place = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            counts,
            np.bincount(place, weights=sure, minlength=BINS) / counts,
            np.bincount(place, weights=right, minlength=BINS) / counts,
        )


def brier_score(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Squared distance between probabilities and truth, summed over classes, in [0, 2].

    Args:
        truth: (N,) class indices.
        probabilities: (N, classes), each row sums to 1.
    """
    labels = np.arange(probabilities.shape[1])
    return float(brier_score_loss(truth, probabilities, labels=labels, scale_by_half=False))
