"""Stage 1: backbone and concept head learn the concepts."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from tqdm import tqdm

from csr_core.datasets import Dataset
from csr_core.losses import masked_concept_loss
from csr_core.metrics import macro_f1
from csr_core.network import CSRNetwork
from csr_core.training.images import (
    batches,
    image_batches,
    random_views,
    recolour,
    square_images,
    warp,
)
from csr_core.training.recipe import Recipe
from csr_core.training.regions import RegionLoss, Regions, read_regions
from csr_core.training.state import (
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
)

__all__ = ["train_concept_model"]

MARGIN = 8 / 7
"""Training images are kept this much larger than the input, so that shifts and turns have room."""


class ConceptModel(nn.Module):
    """Stage 1's part of the network, with auxiliary heads that are not kept."""

    def __init__(self, network: CSRNetwork, with_regions: bool) -> None:
        super().__init__()
        self.network = network
        channels = network.concept_head.in_channels
        self.diagnosis_head = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(channels, network.config.classes)
        )
        self.region_loss = RegionLoss(network.config.concepts) if with_regions else None

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (B, 3, H₀, W₀) to cams (B, K, H, W) and diagnosis logits (B, classes)."""
        features = self.network.features(image)  # (B, C, H, W)
        cams = self.network.concept_head(features)
        return cams.float(), self.diagnosis_head(features.mean(dim=(2, 3))).float()


def train_concept_model(
    network: CSRNetwork,
    dataset: Dataset,
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    work: Path,
) -> dict[str, float]:
    """Fit backbone and concept head, keeping the epoch that does best on validation.

    The run is a function of data, recipe and seed. It saves its state after every epoch and goes
    on from there if it was killed.

    Args:
        network: changed in place.
        dataset: with labels; unknown ones (-1) carry no gradient.
        fit: rows to learn from.
        validation: rows to select on.
        recipe: settings.
        seed: of shuffling, augmentation and the auxiliary head.
        work: folder for decoded images and the saved state.

    Returns:
        The epoch kept and its validation figures.
    """
    torch.manual_seed(seed)
    model = ConceptModel(network, recipe.region_weight > 0).to(memory_format=torch.channels_last)
    targets = _targets(dataset, fit, recipe)
    images = square_images(dataset, round(recipe.image_size * MARGIN), work / "images.npy")
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, recipe), lr=recipe.learning_rate, betas=(0.9, 0.99)
    )
    steps = math.ceil(len(fit) / recipe.batch)
    best: dict[str, float] = {"score": -1.0}
    first = 0
    saved = load_state(work / "stage1.safetensors")
    if saved is not None:
        tensors, numbers = saved
        model.load_state_dict(_part(tensors, "model"))
        restore_optimizer(optimizer, tensors)
        best, first = numbers["best"], numbers["epoch"] + 1
        kept = _part(tensors, "kept")
    for epoch in range(first, recipe.epochs):
        generator = torch.Generator().manual_seed(seed * 10_007 + epoch)
        # Dropout draws from the global generator: a resumed epoch must draw the same.
        torch.manual_seed(seed * 10_007 + epoch)
        model.train()
        plan = batches(fit, recipe.batch, generator)
        bar = tqdm(
            image_batches(images, plan),
            total=steps,
            desc=f"stage 1, epoch {epoch + 1}/{recipe.epochs}",
            unit="batch",
        )
        for step, (rows, image) in enumerate(zip(plan, bar, strict=True)):
            rate = _learning_rate(epoch + step / steps, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            views = random_views(len(rows), recipe.any_orientation, generator)
            image = recolour(warp(image, views, recipe.image_size), generator)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.half_precision):
                cams, diagnosis_logits = model(image.contiguous(memory_format=torch.channels_last))
            loss = _loss(model, cams, diagnosis_logits, targets, rows, views, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            bar.set_postfix(loss=f"{loss.item():.3f}")
        figures = _validate(model, images, dataset, validation, recipe)
        tqdm.write(f"epoch {epoch + 1}: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()))
        # On a tie the later epoch is kept: it was trained longer at a lower rate.
        if figures["score"] >= best["score"]:
            best = figures | {"epoch": epoch + 1}
            kept = {key: value.clone() for key, value in model.state_dict().items()}
        state = {f"model.{key}": value for key, value in model.state_dict().items()}
        state |= {f"kept.{key}": value for key, value in kept.items()}
        save_state(
            work / "stage1.safetensors",
            state | optimizer_tensors(optimizer),
            {"epoch": epoch, "best": best},
        )
    model.load_state_dict(kept)
    network.to(memory_format=torch.contiguous_format)
    return best


@dataclass(frozen=True, eq=False)
class _Targets:
    """What all N images should give; unknown labels are -1."""

    concepts: Tensor  # (N, K)
    diagnoses: Tensor  # (N,)
    regions: Regions | None
    positive_weight: Tensor  # (K,)
    class_weight: Tensor  # (classes,)


def _targets(dataset: Dataset, fit: NDArray[np.int64], recipe: Recipe) -> _Targets:
    return _Targets(
        concepts=torch.tensor(dataset.concept_labels).float(),
        diagnoses=torch.tensor(dataset.diagnoses),
        regions=read_regions(dataset) if recipe.region_weight else None,
        positive_weight=_positive_weights(dataset.concept_labels[fit]),
        class_weight=_class_weights(dataset.diagnoses[fit], len(dataset.classes)),
    )


def _loss(
    model: ConceptModel,
    cams: Tensor,
    diagnosis_logits: Tensor,
    targets: _Targets,
    rows: NDArray[np.int64],
    views: Tensor,
    recipe: Recipe,
) -> Tensor:
    """Concept loss, and the auxiliary losses the recipe asks for, of one batch."""
    concepts, diagnoses = targets.concepts[rows], targets.diagnoses[rows]
    loss = masked_concept_loss(cams.mean(dim=(2, 3)), concepts, targets.positive_weight)
    if targets.regions is not None and model.region_loss is not None:
        masks = torch.from_numpy(targets.regions.masks[rows])
        known = torch.from_numpy(targets.regions.known[rows])
        loss = loss + recipe.region_weight * model.region_loss(cams, masks, known, views)
    if recipe.diagnosis_weight and (diagnoses >= 0).any():
        loss = loss + recipe.diagnosis_weight * F.cross_entropy(
            diagnosis_logits,
            diagnoses,
            weight=targets.class_weight,
            ignore_index=-1,
            label_smoothing=0.05,
        )
    return loss


@torch.inference_mode()
def _validate(
    model: ConceptModel,
    images: NDArray[np.uint8],
    dataset: Dataset,
    rows: NDArray[np.int64],
    recipe: Recipe,
) -> dict[str, float]:
    """Mean average precision over concepts and, if trained, macro-F1 of the diagnosis."""
    model.eval()
    plan = batches(rows, recipe.batch)
    outputs = []
    for image in image_batches(images, plan):
        small = F.interpolate(image, size=recipe.image_size, mode="bilinear", antialias=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.half_precision):
            outputs.append(model(small.contiguous(memory_format=torch.channels_last)))
    concept_logits = torch.cat([cams.mean(dim=(2, 3)) for cams, _ in outputs]).numpy()
    diagnosis_logits = torch.cat([diagnosis for _, diagnosis in outputs]).numpy()
    precision = mean_average_precision(dataset.concept_labels[rows], concept_logits)
    figures = {"concept_precision": precision, "score": precision}
    if recipe.diagnosis_weight:
        known = dataset.diagnoses[rows] >= 0
        figures["macro_f1"] = macro_f1(
            dataset.diagnoses[rows][known],
            diagnosis_logits[known].argmax(axis=1),
            len(dataset.classes),
        )
        figures["score"] = (precision + figures["macro_f1"]) / 2
    return figures


def mean_average_precision(labels: NDArray[np.int8], scores: NDArray[np.floating]) -> float:
    """Average precision, averaged over the concepts that have both kinds of known label.

    Args:
        labels: (N, K), 1, 0 or -1 for unknown.
        scores: (N, K), larger for present.

    Returns:
        In [0, 1]; 0 if no concept can be judged.
    """
    values = []
    for column, score in zip(labels.T, scores.T, strict=True):
        known = column >= 0
        if 0 < column[known].sum() < known.sum():
            values.append(average_precision_score(column[known], score[known]))
    return float(np.mean(values)) if values else 0.0


def _learning_rate(progress: float, recipe: Recipe) -> float:
    """One epoch of warm-up, then a cosine to a hundredth; `progress` in epochs."""
    warmup = min(1.0, recipe.epochs / 4)
    if progress < warmup:
        return recipe.learning_rate * (0.01 + 0.99 * progress / warmup)
    done = (progress - warmup) / (recipe.epochs - warmup)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict]:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]


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


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
