"""Region supervision: where boxes or masks exist, they teach stage 1 where to look.

Those of a concept teach its activation map. The outline of the lesion, in which all concepts lie,
teaches the features they share.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from tqdm import tqdm

from csr_core.datasets import Dataset, lesion_mask, region_mask
from csr_core.training.images import warp

__all__ = [
    "RegionLoss",
    "Regions",
    "lesion_loss",
    "read_lesions",
    "read_regions",
    "region_precision",
]

SIZE = 64
"""Side of the stored regions: finer than any patch grid, small enough to keep in memory."""

SAMPLES = 4
"""Samples along an edge of a patch when its coverage is measured."""

POSITIVE_WEIGHT = 6.0


@dataclass(frozen=True, eq=False)
class Regions:
    """Where each concept is seen, or the lesion as if it were the only one.

    Attributes:
        masks: (N, K, SIZE, SIZE) bool.
        known: (N, K) bool; false where a concept is present, or unknown, without a region.
    """

    masks: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def of(self, rows: NDArray[np.int64]) -> "Regions":
        """The regions of some images."""
        return Regions(self.masks[rows], self.known[rows])


def read_regions(dataset: Dataset) -> Regions:
    """Gather the masks or boxes of a data set; an absent concept is seen nowhere."""
    N, K = dataset.concept_labels.shape
    masks = np.zeros((N, K, SIZE, SIZE), dtype=bool)
    known = dataset.concept_labels == 0
    for row, concept in tqdm(np.argwhere(dataset.concept_labels == 1), "regions", leave=False):
        region = region_mask(dataset, dataset.concepts[concept], dataset.image_ids[row], SIZE)
        if region is not None:
            masks[row, concept], known[row, concept] = region, True
    return Regions(masks, known)


def read_lesions(dataset: Dataset) -> Regions:
    """Gather the outlines of the lesions of a data set, N regions of K = 1."""
    N = len(dataset)
    masks, known = np.zeros((N, 1, SIZE, SIZE), dtype=bool), np.zeros((N, 1), dtype=bool)
    for row, image_id in enumerate(tqdm(dataset.image_ids, "lesions", leave=False)):
        outline = lesion_mask(dataset, image_id, SIZE)
        if outline is not None:
            masks[row, 0], known[row, 0] = outline, True
    return Regions(masks, known)


class RegionLoss(nn.Module):
    """Binary cross-entropy between activation maps and regions, patch by patch.

    The image-level logit is the mean of a map, so a concept that fills a tenth of the image needs
    a map that is high there, and not low elsewhere. A scale and a shift a concept turn such maps
    into logits of patches; they serve training only.

    Args:
        concepts: K.
    """

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(concepts, 1, 1))
        self.shift = nn.Parameter(torch.full((concepts, 1, 1), -2.0))

    def forward(self, cams: Tensor, masks: Tensor, known: Tensor, views: Tensor) -> Tensor:
        """Compare maps with regions seen through the same views.

        Args:
            cams: (B, K, H, W), concept activation maps of the views.
            masks: (B, K, SIZE, SIZE), regions in the images, 0 or 1.
            known: (B, K) bool; the others carry no gradient.
            views: (B, 2, 3), how the images were turned.

        Returns:
            Mean over patches that are clearly inside or outside; those at the edge don't count.
        """
        inside, counted = _patches(masks, known, views, cams.shape[-1])
        losses = F.binary_cross_entropy_with_logits(
            cams * self.scale + self.shift,
            inside.to(cams.dtype),
            reduction="none",
            pos_weight=cams.new_tensor(POSITIVE_WEIGHT),
        )
        return (losses * counted).sum() / counted.sum().clamp(min=1)


def lesion_loss(logits: Tensor, masks: Tensor, known: Tensor, views: Tensor) -> Tensor:
    """Binary cross-entropy between the share of each patch that is lesion and what was found.

    Args:
        logits: (B, 1, H, W), of the views.
        masks: (B, 1, SIZE, SIZE), outlines in the images, 0 or 1.
        known: (B, 1) bool; the others carry no gradient.
        views: (B, 2, 3), how the images were turned.

    Returns:
        Mean over the patches of known lesions; 0 where none is known.
    """
    coverage = _coverage(masks, views, logits.shape[-1])
    losses = F.binary_cross_entropy_with_logits(logits, coverage, reduction="none")
    return (losses.mean(dim=(2, 3)) * known).sum() / known.sum().clamp(min=1)


def region_precision(cams: Tensor, regions: Regions) -> float:
    """How well activation maps tell the patches of a concept's regions from all others.

    Args:
        cams: (B, K, H, W), of images as they are.
        regions: of the same images.

    Returns:
        Average precision over patches, averaged over the concepts that have both kinds; 0 if none
        has.
    """
    unturned = torch.eye(2, 3).expand(len(cams), 2, 3)
    masks, known = torch.from_numpy(regions.masks), torch.from_numpy(regions.known)
    inside, counted = _patches(masks, known, unturned, cams.shape[-1])
    values = []
    for own, judged, cam in zip(inside.unbind(1), counted.unbind(1), cams.unbind(1), strict=True):
        truth = own[judged]
        if truth.any() and not truth.all():
            values.append(average_precision_score(truth.numpy(), cam[judged].numpy()))
    return float(np.mean(values)) if values else 0.0


def _patches(masks: Tensor, known: Tensor, views: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Which patches lie inside regions, and which count, (B, K, H, W) each.

    Those at the edge of a region, and those of unknown regions, don't count.
    """
    coverage = _coverage(masks, views, side)
    clear = (coverage >= 0.5) | (coverage <= 0.05)
    return coverage >= 0.5, known[:, :, None, None] & clear


def _coverage(masks: Tensor, views: Tensor, side: int) -> Tensor:
    """Share of each patch that regions cover, (B, K, H, W) in [0, 1]."""
    return F.avg_pool2d(warp(masks.float(), views, side * SAMPLES), SAMPLES)
