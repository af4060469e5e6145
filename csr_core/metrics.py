"""Figures a model is judged by, each with its protocol."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

__all__ = ["PointingGame", "f1_by_class", "macro_f1", "pointing_game"]


def f1_by_class(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> NDArray[np.float64]:
    """F1 of each class; one that is never right counts 0.

    Args:
        truth: (N,) class indices.
        predicted: (N,) class indices.
        classes: number of classes, so that one missing from the sample still counts.

    Returns:
        (classes,), in [0, 1].
    """
    return f1_score(truth, predicted, labels=np.arange(classes), average=None, zero_division=0)


def macro_f1(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> float:
    """F1 averaged over all classes alike; arguments as in `f1_by_class`."""
    return float(f1_by_class(truth, predicted, classes).mean())


@dataclass(frozen=True)
class PointingGame:
    """Hits of a concept's map, beside those of a random point.

    Attributes:
        hits: (K,) share of regions hit, NaN where a concept has no region.
        random: (K,) share that a uniformly random point would hit: the mean area of the regions.
        pairs: (K,) number of (image, concept) pairs judged.
    """

    hits: NDArray[np.float64]
    random: NDArray[np.float64]
    pairs: NDArray[np.int64]


def pointing_game(
    concept_maps: NDArray[np.float32], regions: list[list[NDArray[np.bool_] | None]]
) -> PointingGame:
    """Does the peak of each concept's map fall inside the region where the concept is seen?

    Every (image, concept) pair with a region counts, whatever the model says of it. Maps are
    upsampled bicubically to the size of the region and the first largest pixel is taken.

    Args:
        concept_maps: (N, K, H, W), one map a concept.
        regions: N lists of K masks, or None where an image has no region of a concept.

    Returns:
        Hit rates a concept.
    """
    N, K = concept_maps.shape[:2]
    hits: list[list[bool]] = [[] for _ in range(K)]
    areas: list[list[float]] = [[] for _ in range(K)]
    for image in range(N):
        for concept in range(K):
            region = regions[image][concept]
            if region is None or not region.any():
                continue
            height, width = region.shape
            map_ = cv2.resize(
                concept_maps[image, concept], (width, height), interpolation=cv2.INTER_CUBIC
            )
            hits[concept].append(bool(region.flat[map_.argmax()]))
            areas[concept].append(float(region.mean()))
    return PointingGame(
        hits=np.array([np.mean(h) if h else np.nan for h in hits]),
        random=np.array([np.mean(a) if a else np.nan for a in areas]),
        pairs=np.array([len(h) for h in hits]),
    )
