"""From how a concept scores to how likely it is there (Platt's scaling, one a concept)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from csr_core.familiarity import CalibrationError

__all__ = ["USUAL_PRESENCE", "PresenceScale", "fit_presence"]

SHRINKAGE = 0.1
"""Weight of the squared slope beside the log-likelihood: a handful of examples prove little."""


@dataclass(frozen=True, eq=False)
class PresenceScale:
    """How likely concepts are by their levels: σ(slope · level + offset).

    Levels are those of `csr_core.advice.presence`.

    Attributes:
        slope: a number a concept, (K,), at least 0; or one for all, (1,).
        offset: likewise.
    """

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]

    def probabilities(self, levels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map levels (..., K) to probabilities (..., K)."""
        return expit(self.slope * levels + self.offset)

    def to_json(self) -> dict[str, list[float]]:
        """Plain JSON values."""
        return {"slope": self.slope.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_json(cls, record: object, concepts: int) -> "PresenceScale":
        """Read what `to_json` gave, from a file that may come from anyone.

        Raises:
            CalibrationError: if it is anything else.
        """
        if isinstance(record, Mapping):
            slope, offset = (_numbers(record.get(key)) for key in ("slope", "offset"))
            if slope.shape == offset.shape == (concepts,) and (slope >= 0).all():
                return cls(slope, offset)
        raise CalibrationError(
            f"The presence needs slope and offset as {concepts} numbers each, no slope below 0."
        )


USUAL_PRESENCE = PresenceScale(np.array([4.0]), np.array([-2.0]))
"""For models whose scale was not measured: between that of good and of poor ones."""


def fit_presence(levels: NDArray[np.floating], labels: NDArray[np.int8]) -> PresenceScale:
    """Measure how often a concept is there, by its level.

    Args:
        levels: (N, K), of images the model was not fitted to.
        labels: (N, K), 1, 0 or -1 for unknown.

    Returns:
        A scale a concept. With few examples it stays near their frequency, without any at one half.
    """
    pairs = [
        _fit(levels[known, concept].astype(np.float64), labels[known, concept])
        for concept in range(labels.shape[1])
        for known in [labels[:, concept] >= 0]
    ]
    slope, offset = np.array(pairs).reshape(-1, 2).T
    return PresenceScale(slope, offset)


def _fit(levels: NDArray[np.float64], labels: NDArray[np.int8]) -> tuple[float, float]:
    present = int(labels.sum())
    # Platt's targets: no finite number of examples proves that a concept is always there.
    targets = np.where(labels == 1, (present + 1) / (present + 2), 1 / (len(labels) - present + 2))

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, offset = values
        logits = slope * levels + offset
        wrong = expit(logits) - targets
        value = (np.logaddexp(0, logits) - targets * logits).sum() + SHRINKAGE * slope**2 / 2
        return value, np.array([(wrong * levels).sum() + SHRINKAGE * slope, wrong.sum()])

    found = minimize(
        loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return float(found.x[0]), float(found.x[1])


def _numbers(value: Any) -> NDArray[np.float64]:
    try:
        numbers = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, ArithmeticError):
        return np.empty(0)
    return numbers if np.isfinite(numbers).all() else np.empty(0)
