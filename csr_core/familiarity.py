"""What a model usually sees: range of scores and place of features on images it never learnt from.

Both are split-conformal: one half of the held-out images gives location and spread, the other half
the limit that at most the stated share of usual images passes. Scores of training images would be
optimistic, so they must not be used here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FALSE_ALARM_RATE",
    "CalibrationError",
    "Familiarity",
    "ScoreRange",
    "fewest_images",
    "fit_familiarity",
    "fit_score_range",
]

FALSE_ALARM_RATE = 0.05
MAX_AXES = 16
MAX_VALUES = 2_000_000
SMALLEST_SPREAD = 1e-6
LARGEST_VALUE = 1e9

Numbers = NDArray[np.float64]


class CalibrationError(ValueError):
    """A calibration can't be fitted to these data, or was not written by this program."""


def fewest_images(false_alarm_rate: float = FALSE_ALARM_RATE) -> int:
    """The fewest images from which limits at a false alarm rate can be read."""
    return 2 * max(8, math.ceil(1 / false_alarm_rate))


@dataclass(frozen=True, eq=False)
class ScoreRange:
    """The usual upper end of every score.

    Attributes:
        limits: (K, M); a usual image stays below all of them.
        false_alarm_rate: share of usual images that pass at least one limit, at most, in (0, 1).
        images: held-out images it was measured on.
    """

    limits: Numbers
    false_alarm_rate: float
    images: int

    def excess(self, scores: NDArray[np.floating]) -> Numbers:
        """How far scores (K, M) lie above their limits; negative below.

        Raises:
            ValueError: if the scores are of another model.
        """
        if scores.shape != self.limits.shape:
            raise ValueError(
                f"The score range is for {self.limits.shape} scores, not for {scores.shape}."
            )
        return scores - self.limits

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values, the inverse of `from_json`."""
        return {
            "limits": self.limits.tolist(),
            "false_alarm_rate": self.false_alarm_rate,
            "images": self.images,
        }

    @classmethod
    def from_json(cls, record: object) -> "ScoreRange":
        """Read untrusted JSON values.

        Raises:
            CalibrationError: naming the field that is wrong.
        """
        fields = _fields(record)
        return cls(_array(fields, "limits", 2), _rate(fields), _images(fields))


def fit_score_range(
    scores: NDArray[np.floating], false_alarm_rate: float = FALSE_ALARM_RATE
) -> ScoreRange:
    """Measure the usual upper end of every score.

    Args:
        scores: (N, K, M) of images the model was not trained on, without edits.
        false_alarm_rate: share of usual images that may be flagged.

    Raises:
        CalibrationError: if there are too few images for that rate.
    """
    shape_half, limit_half = _halves(scores.reshape(len(scores), -1), false_alarm_rate)
    centre = np.median(shape_half, axis=0)
    spread = np.maximum(shape_half.std(axis=0), SMALLEST_SPREAD)
    highest = ((limit_half - centre) / spread).max(axis=1)
    limits = centre + _conformal_limit(highest, false_alarm_rate) * spread
    return ScoreRange(limits.reshape(scores.shape[1:]), false_alarm_rate, len(scores))


@dataclass(frozen=True, eq=False)
class Familiarity:
    """How usual a vector of features is: a Mahalanobis distance with few principal axes.

    Along the axes the distance counts in their standard deviations, across them in one common
    standard deviation, so it is defined for more dimensions than images.

    Attributes:
        centre: (D,), mean of usual vectors.
        axes: (r, D), orthonormal, of the largest variance.
        deviations: (r,), standard deviation along each axis.
        residual: standard deviation across the axes, per dimension.
        limit: distance that usual images stay below.
        false_alarm_rate: share of usual images beyond the limit, at most, in (0, 1).
        images: held-out images it was measured on.
    """

    centre: Numbers
    axes: Numbers
    deviations: Numbers
    residual: float
    limit: float
    false_alarm_rate: float
    images: int

    def distance(self, vector: NDArray[np.floating]) -> float:
        """Distance of a vector (D,) from what is usual, in standard deviations.

        Raises:
            ValueError: if the vector is of another model.
        """
        if vector.shape != self.centre.shape:
            raise ValueError(
                f"The familiarity is for {len(self.centre)} features, not for {vector.size}."
            )
        distances = _distances(vector[None], self.centre, self.axes, self.deviations, self.residual)
        return float(distances[0])

    def to_json(self) -> dict[str, Any]:
        """Write as plain JSON values, the inverse of `from_json`."""
        return {
            "centre": self.centre.tolist(),
            "axes": self.axes.tolist(),
            "deviations": self.deviations.tolist(),
            "residual": self.residual,
            "limit": self.limit,
            "false_alarm_rate": self.false_alarm_rate,
            "images": self.images,
        }

    @classmethod
    def from_json(cls, record: object) -> "Familiarity":
        """Read untrusted JSON values.

        Raises:
            CalibrationError: naming the field that is wrong.
        """
        fields = _fields(record)
        centre, axes = _array(fields, "centre", 1), _array(fields, "axes", 2)
        deviations = _array(fields, "deviations", 1)
        if axes.shape != (len(deviations), len(centre)):
            raise CalibrationError(
                "The calibration needs one axis a deviation, as long as the centre."
            )
        if not (deviations > 0).all():
            raise CalibrationError("The calibration needs deviations above 0.")
        residual, limit = _positive(fields, "residual"), _positive(fields, "limit")
        return cls(centre, axes, deviations, residual, limit, _rate(fields), _images(fields))


def fit_familiarity(
    vectors: NDArray[np.floating], false_alarm_rate: float = FALSE_ALARM_RATE
) -> Familiarity:
    """Measure what vectors of features are usual.

    Args:
        vectors: (N, D), for instance the pooled features of images the model was not trained on.
        false_alarm_rate: share of usual images that may be flagged.

    Raises:
        CalibrationError: if there are too few images for that rate.
    """
    shape_half, limit_half = _halves(vectors, false_alarm_rate)
    centre = shape_half.mean(axis=0)
    _, lengths, axes = np.linalg.svd(shape_half - centre, full_matrices=False)
    number, dimensions = shape_half.shape
    kept = min(MAX_AXES, number // 8, dimensions)
    variances = lengths**2 / (number - 1)
    residual = math.sqrt(variances[kept:].sum() / max(dimensions - kept, 1))
    residual = max(residual, SMALLEST_SPREAD)
    deviations = np.maximum(np.sqrt(variances[:kept]), residual)
    axes = axes[:kept]
    distances = _distances(limit_half, centre, axes, deviations, residual)
    limit = _conformal_limit(distances, false_alarm_rate)
    return Familiarity(
        centre,
        axes,
        deviations,
        residual,
        max(limit, SMALLEST_SPREAD),
        false_alarm_rate,
        len(vectors),
    )


def _distances(
    vectors: NDArray[np.floating],
    centre: Numbers,
    axes: Numbers,
    deviations: Numbers,
    residual: float,
) -> Numbers:
    offsets = vectors.astype(np.float64) - centre  # (n, D)
    along = offsets @ axes.T  # (n, r)
    across = offsets - along @ axes
    squares = ((along / deviations) ** 2).sum(axis=1) + ((across / residual) ** 2).sum(axis=1)
    return np.sqrt(squares)


def _halves(vectors: NDArray[np.floating], rate: float) -> tuple[Numbers, Numbers]:
    if not 0 < rate < 1:
        raise CalibrationError(f"A false alarm rate lies between 0 and 1, not at {rate}.")
    least = fewest_images(rate)
    if len(vectors) < least:
        raise CalibrationError(
            f"{len(vectors)} images are too few for a false alarm rate of {rate:g}; give at least "
            f"{least} held-out images."
        )
    if not np.isfinite(vectors).all():
        raise CalibrationError("The scores or features hold values that are not finite numbers.")
    order = np.random.default_rng(0).permutation(len(vectors))
    middle = len(vectors) // 2
    shuffled = vectors[order].astype(np.float64)
    return shuffled[:middle], shuffled[middle:]


def _conformal_limit(values: Numbers, rate: float) -> float:
    """The value that one more of the same kind exceeds with at most the given probability."""
    rank = math.ceil((len(values) + 1) * (1 - rate))
    return float(np.sort(values)[min(rank, len(values)) - 1])


def _fields(record: object) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise CalibrationError("A calibration is a JSON object.")
    return record


def _array(fields: Mapping[str, Any], key: str, dimensions: int) -> Numbers:
    try:
        array = np.array(fields.get(key))
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if (
        array.dtype.kind not in "if"
        or array.ndim != dimensions
        or not 0 < array.size <= MAX_VALUES
        or not (np.abs(array) < LARGEST_VALUE).all()
    ):
        raise CalibrationError(f"The calibration needs {key!r} as finite numbers.")
    return array.astype(np.float64)


def _positive(fields: Mapping[str, Any], key: str) -> float:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        raise CalibrationError(f"The calibration needs {key!r} as a positive number.")
    return float(value)


def _rate(fields: Mapping[str, Any]) -> float:
    rate = _positive(fields, "false_alarm_rate")
    if rate >= 1:
        raise CalibrationError("The calibration needs a false alarm rate below 1.")
    return rate


def _images(fields: Mapping[str, Any]) -> int:
    images = fields.get("images")
    if isinstance(images, bool) or not isinstance(images, int) or not 0 < images < 1e12:
        raise CalibrationError("The calibration needs 'images' as a positive whole number.")
    return images
