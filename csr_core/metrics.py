"""Figures a model is judged by, each with its protocol."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

__all__ = [
    "PointingGame",
    "PrototypeUse",
    "area_under_curve",
    "average_precision",
    "evidence_outside",
    "f1_by_class",
    "macro_f1",
    "pointing_games",
    "prototype_use",
]


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


def area_under_curve(
    labels: NDArray[np.integer] | NDArray[np.bool_], scores: NDArray[np.floating]
) -> float | None:
    """Area under the ROC curve, or None if only one kind of label is there.

    Args:
        labels: (N,), 1 or 0.
        scores: (N,), larger for 1.
    """
    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def average_precision(
    labels: NDArray[np.integer] | NDArray[np.bool_], scores: NDArray[np.floating]
) -> float | None:
    """Average precision, or None as in `area_under_curve`; chance gives the share of ones."""
    if not 0 < labels.sum() < len(labels):
        return None
    return float(average_precision_score(labels, scores))


@dataclass(frozen=True, eq=False)
class PointingGame:
    """Hits of a concept's map, beside those of a random point.

    Attributes:
        judged: (N, K) bool, the (image, concept) pairs that have a region.
        hit: (N, K) bool, whether the peak of the map lies in the region.
        area: (N, K), share of the image that the region fills; 0 where there is none.
    """

    judged: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    area: NDArray[np.float64]

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(K,), number of pairs judged."""
        return self.judged.sum(axis=0)

    @property
    def hits(self) -> NDArray[np.float64]:
        """(K,), share of regions hit, NaN where a concept has no region."""
        return self.rates(self.hit.sum(axis=0), self.pairs)

    @property
    def random(self) -> NDArray[np.float64]:
        """(K,), share that a uniformly random point would hit: the mean area of the regions."""
        return self.rates(self.area.sum(axis=0), self.pairs)

    @staticmethod
    def rates(sums: NDArray, pairs: NDArray) -> NDArray[np.float64]:
        """Divide sums (..., K) by numbers of pairs (..., K); NaN where there are none."""
        return np.divide(sums, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def pointing_games(
    maps: Mapping[str, NDArray[np.float32]],
    regions: Iterable[Sequence[NDArray[np.bool_] | None]],
) -> dict[str, PointingGame]:
    """Does the peak of each concept's map fall inside the region where the concept is seen?

    Every (image, concept) pair with a region counts, whatever the model says of it. Maps are
    upsampled bicubically to the size of the region and the first largest pixel is taken.

    Args:
        maps: of each kind (N, K, H, W), one map a concept.
        regions: of each of the N images K masks, or None where it has no region of a concept.

    Returns:
        Hits of each pair, by kind of map.
    """
    N, K = next(iter(maps.values())).shape[:2]
    judged, area = np.zeros((N, K), dtype=bool), np.zeros((N, K))
    hits = {kind: np.zeros((N, K), dtype=bool) for kind in maps}
    for image, masks in enumerate(regions):
        for concept, region in enumerate(masks):
            if region is None or not region.any():
                continue
            judged[image, concept] = True
            area[image, concept] = region.mean()
            for kind, coarse in maps.items():
                fine = cv2.resize(
                    coarse[image, concept], region.shape[::-1], interpolation=cv2.INTER_CUBIC
                )
                hits[kind][image, concept] = region.flat[fine.argmax()]
    return {kind: PointingGame(judged, hit, area) for kind, hit in hits.items()}


def evidence_outside(
    contributions: NDArray[np.floating],
    peaks: NDArray[np.integer],
    outside: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Share of an image's evidence for its diagnosis that stands outside a region.

    A score is the maximum of its map, so all that a prototype contributes comes from one patch.

    Args:
        contributions: (N, K, M), what each prototype adds to the logit of the diagnosis given.
        peaks: (N, K, M), flat index of the patch each score was found in.
        outside: (N, H·W), share of each patch that lies outside, in [0, 1].

    Returns:
        (N,), in [0, 1]: the part of the positive contributions; NaN where none is positive.
    """
    N = len(contributions)
    positive = np.maximum(contributions, 0).reshape(N, -1)
    place = np.take_along_axis(outside, peaks.reshape(N, -1), axis=1)
    total = positive.sum(axis=1)
    part = (positive * place).sum(axis=1)
    return np.divide(part, total, out=np.full(N, np.nan), where=total > 0)


@dataclass(frozen=True, eq=False)
class PrototypeUse:
    """How evenly training vectors fall to the prototypes of each concept.

    Attributes:
        alive: (K,), share of prototypes that any vector is nearest to.
        top_share: (K,), share of vectors that fall to the busiest prototype.
        effective_number: (K,), exponential of the entropy of the shares: M if all are alike, 1 if
            one prototype wins everything.
    """

    alive: NDArray[np.float64]
    top_share: NDArray[np.float64]
    effective_number: NDArray[np.float64]


def prototype_use(hits: NDArray[np.integer]) -> PrototypeUse:
    """Measure from hit counts (K, M); a concept without any hit counts 0 throughout."""
    total = np.maximum(hits.sum(axis=1), 1)
    some = hits.max(axis=1) > 0
    even = np.where(some[:, None], hits, 1)
    return PrototypeUse(
        alive=(hits > 0).mean(axis=1),
        top_share=hits.max(axis=1) / total,
        effective_number=np.where(some, np.exp(entropy(even, axis=1)), 0.0),
    )
