"""What stage 1 should give for every image, and how far a batch is from it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from csr_core.datasets import Dataset
from csr_core.losses import masked_concept_loss
from csr_core.training.recipe import Recipe
from csr_core.training.regions import (
    RegionLoss,
    Regions,
    lesion_loss,
    read_lesions,
    read_regions,
)

__all__ = ["Found", "Targets", "concept_model_loss", "read_targets"]


class Found(NamedTuple):
    """What stage 1 found in a batch.

    Attributes:
        cams: concept activation maps, (B, K, H, W).
        diagnosis_logits: (B, classes).
        lesion_logits: of each patch, (B, 1, H, W).
    """

    cams: Tensor
    diagnosis_logits: Tensor
    lesion_logits: Tensor


@dataclass(frozen=True, eq=False)
class Targets:
    """What all N images should give; unknown labels are -1.

    Attributes:
        concepts: (N, K), 1, 0 or -1.
        diagnoses: (N,).
        regions: of the concepts; None if the recipe leaves them out.
        lesions: likewise.
        positive_weight: of present concepts, (K,).
        class_weight: of diagnoses, (classes,).
    """

    concepts: Tensor
    diagnoses: Tensor
    regions: Regions | None
    lesions: Regions | None
    positive_weight: Tensor
    class_weight: Tensor


def read_targets(
    dataset: Dataset, fit: NDArray[np.int64], recipe: Recipe, device: torch.device
) -> Targets:
    """Gather what stage 1 learns from.

    Args:
        dataset: N images with labels, and regions if the recipe weighs them.
        fit: rows whose frequencies give the weights.
        recipe: settings.
        device: of the tensors.
    """
    return Targets(
        concepts=torch.tensor(dataset.concept_labels).float().to(device),
        diagnoses=torch.tensor(dataset.diagnoses).to(device),
        regions=read_regions(dataset) if recipe.region_weight else None,
        lesions=read_lesions(dataset) if recipe.lesion_weight else None,
        positive_weight=_positive_weights(dataset.concept_labels[fit]).to(device),
        class_weight=_class_weights(dataset.diagnoses[fit], len(dataset.classes)).to(device),
    )


def concept_model_loss(
    found: Found,
    targets: Targets,
    rows: NDArray[np.int64],
    views: Tensor,
    region_loss: RegionLoss | None,
    recipe: Recipe,
) -> Tensor:
    """Concept loss, and the auxiliary losses the recipe asks for, of one batch.

    Args:
        found: by the concept model.
        targets: of all images.
        rows: of the batch, (B,).
        views: how its images were turned, (B, 2, 3).
        region_loss: judges the maps; None without region supervision.
        recipe: settings.
    """
    concepts, diagnoses = targets.concepts[rows], targets.diagnoses[rows]
    loss = masked_concept_loss(found.cams.mean(dim=(2, 3)), concepts, targets.positive_weight)
    if targets.regions is not None and region_loss is not None:
        regions = _tensors(targets.regions, rows, found.cams.device)
        loss = loss + recipe.region_weight * region_loss(found.cams, *regions, views)
    if targets.lesions is not None:
        outlines = _tensors(targets.lesions, rows, found.cams.device)
        loss = loss + recipe.lesion_weight * lesion_loss(found.lesion_logits, *outlines, views)
    if recipe.diagnosis_weight and (diagnoses >= 0).any():
        loss = loss + recipe.diagnosis_weight * F.cross_entropy(
            found.diagnosis_logits,
            diagnoses,
            weight=targets.class_weight,
            ignore_index=-1,
            label_smoothing=0.05,
        )
    return loss


def _tensors(
    regions: Regions, rows: NDArray[np.int64], device: torch.device
) -> tuple[Tensor, Tensor]:
    own = regions.of(rows)
    return torch.from_numpy(own.masks).to(device), torch.from_numpy(own.known).to(device)


def _class_weights(diagnoses: NDArray[np.int64], classes: int) -> Tensor:
    """Inverse square root of frequency, mean one over the rows: full balance overfits the rare."""
    counts = np.bincount(diagnoses[diagnoses >= 0], minlength=classes).clip(min=1)
    weights = counts**-0.5
    return torch.from_numpy(weights * counts.sum() / (weights * counts).sum()).float()


def _positive_weights(labels: NDArray[np.int8]) -> Tensor:
    """Square root of absent to present, at most 5."""
    present = (labels == 1).sum(axis=0).clip(min=1)
    absent = (labels == 0).sum(axis=0).clip(min=1)
    return torch.from_numpy(np.sqrt(absent / present).clip(1, 5)).float()
