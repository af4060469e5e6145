"""Bootstrap intervals: how far a figure would move had other images been drawn.

Images are the unit that is drawn anew. Every figure here is a function of sums over images, so a
resample is a row of counts, and all resamples are one matrix product. The same seed and number of
images give the same resamples, whatever is measured: differences are therefore paired.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INTERVAL_PROTOCOL",
    "bootstrap",
    "f1_from_sums",
    "f1_terms",
    "macro_f1_difference",
    "macro_f1_interval",
]

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
CHUNK = 4_000_000
"""Draws held in memory at a time."""

INTERVAL_PROTOCOL = (
    f"{LEVEL:.0%} percentile intervals of {RESAMPLES} bootstrap resamples of the images, seed "
    f"{SEED}; differences are paired: both models are judged on the same resamples."
)


def bootstrap(
    terms: NDArray[np.number] | NDArray[np.bool_],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Percentile interval of a figure that depends on sums over images.

    Args:
        terms: (N, ...), what each image adds to the sums.
        statistic: maps sums (R, ...) of R resamples to figures (R, ...); a NaN is left out.
        seed: of the resamples.

    Returns:
        Lower and upper end, (2, ...).
    """
    figures = statistic(_resampled_sums(np.asarray(terms, dtype=np.float64), seed))
    return np.nanpercentile(figures, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2], axis=0)


def f1_terms(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> NDArray[np.int8]:
    """What each image adds to the F1 of each class.

    Args:
        truth: (N,) class indices.
        predicted: (N,) class indices.
        classes: number of classes.

    Returns:
        (N, 2, classes): whether the class was rightly said, and in how many of truth and
        prediction it occurs.
    """
    eye = np.eye(classes, dtype=np.int8)
    return np.stack([eye[truth] * eye[predicted], eye[truth] + eye[predicted]], axis=1)


def f1_from_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of each class, 2 TP / (2 TP + FP + FN), from sums of `f1_terms` (..., 2, classes).

    Returns:
        (..., classes); 0 for a class that is neither there nor said.
    """
    right, occurring = sums[..., 0, :], sums[..., 1, :]
    return np.divide(2 * right, occurring, out=np.zeros_like(right), where=occurring > 0)


def macro_f1_interval(
    truth: NDArray[np.integer], said: NDArray[np.integer], classes: int
) -> list[float]:
    """Lower and upper end of the interval of macro-F1.

    Args:
        truth: (N,) class indices.
        said: (N,) predicted class indices.
        classes: number of classes.
    """
    terms = f1_terms(truth, said, classes)
    return bootstrap(terms, lambda sums: f1_from_sums(sums).mean(axis=-1)).tolist()


def macro_f1_difference(
    truth: NDArray[np.integer],
    one: NDArray[np.integer],
    other: NDArray[np.integer],
    classes: int,
) -> tuple[float, list[float]]:
    """Macro-F1 of one prediction minus that of another on the same images, with its interval.

    Args:
        truth: (N,) class indices.
        one: (N,) predicted class indices.
        other: (N,) likewise.
        classes: number of classes.

    Returns:
        The difference, and the lower and upper end of its paired interval.
    """
    terms = np.stack([f1_terms(truth, said, classes) for said in (one, other)], axis=1)

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        macro = f1_from_sums(sums).mean(axis=-1)  # (..., 2)
        return macro[..., 0] - macro[..., 1]

    whole = difference(terms.sum(axis=0, dtype=np.float64))
    return float(whole), bootstrap(terms, difference).tolist()


def _resampled_sums(terms: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Sums of each resample, (RESAMPLES, ...)."""
    N = len(terms)
    rng = np.random.default_rng(seed)
    flat = terms.reshape(N, -1)
    sums = np.empty((RESAMPLES, flat.shape[1]))
    step = max(1, CHUNK // N)
    for start in range(0, RESAMPLES, step):
        R = min(step, RESAMPLES - start)
        drawn = rng.integers(N, size=(R, N)) + np.arange(R)[:, None] * N
        counts = np.bincount(drawn.ravel(), minlength=R * N).reshape(R, N)
        sums[start : start + R] = counts @ flat
    return sums.reshape(RESAMPLES, *terms.shape[1:])
