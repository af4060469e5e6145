"""Stage 1: backbone and concept head learn the concepts."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from csr_core.datasets import Dataset
from csr_core.metrics import macro_f1
from csr_core.network import CSRNetwork
from csr_core.training.depthwise import quick_depthwise
from csr_core.training.drop_path import DropPaths
from csr_core.training.images import (
    batches,
    image_batches,
    random_colours,
    random_views,
    recolour,
    square_images,
    warp,
)
from csr_core.training.processes import Processes
from csr_core.training.recipe import Recipe
from csr_core.training.regions import RegionLoss, region_precision
from csr_core.training.state import (
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
)
from csr_core.training.targets import Found, Targets, concept_model_loss, read_targets

__all__ = ["train_concept_model"]

MARGIN = 8 / 7
"""Training images are kept this much larger than the input, so that shifts and turns have room."""

FEWEST = 5
"""Images with a concept, and without, from which epochs are judged by it: the rank of a single one
is chance."""

MEMORY = 1 / 8
"""Share of the training that the running average of the weights looks back on."""


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
        self.lesion_head = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(
        self, image: Tensor, gather: Callable[[Tensor], Tensor] = lambda share: share
    ) -> Found:
        """Find concepts, diagnoses and lesions in images.

        Args:
            image: (n, 3, H₀, W₀), a batch or a share of it.
            gather: makes batches of B of shares of n, see `Processes.gather`.
        """
        features = self.network.features(image)  # (n, C, H, W)
        cams = gather(self.network.concept_head(features))
        diagnosis_logits = self.diagnosis_head(gather(features.mean(dim=(2, 3))))
        lesion_logits = gather(self.lesion_head(features))
        return Found(cams.float(), diagnosis_logits.float(), lesion_logits.float())


def train_concept_model(
    network: CSRNetwork,
    dataset: Dataset,
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    work: Path,
) -> dict[str, Any]:
    """Fit backbone and concept head, keeping the epoch that does best on validation.

    What is judged and kept is a running average of the weights, which generalises better than the
    weights of any one step.

    The run is a function of data, recipe and seed. It saves its state after every epoch and goes
    on from there if it was killed. Several processes must call this with the same arguments; they
    share each batch, and their number changes nothing but rounding.

    Args:
        network: changed in place.
        dataset: with labels; unknown ones (-1) carry no gradient.
        fit: rows to learn from.
        validation: rows to select on.
        recipe: settings.
        seed: of shuffling, augmentation and the auxiliary head.
        work: folder for decoded images and the saved state.

    Returns:
        The epoch kept, its validation figures and the mean loss of each epoch. Only the main
        process validates and keeps: the others return nothing, and their network is of no use.
    """
    processes = Processes()
    torch.manual_seed(seed)
    model = ConceptModel(network, recipe.region_weight > 0).to(processes.device)
    model.to(memory_format=torch.channels_last)
    paths = DropPaths(network.backbone, recipe.drop_path)
    targets = read_targets(dataset, fit, recipe, processes.device)
    with processes.main_first():
        images = square_images(dataset, round(recipe.image_size * MARGIN), work / "images.npy")
    optimizer = torch.optim.AdamW(
        _parameter_groups(model, recipe), lr=recipe.learning_rate, betas=(0.9, 0.99)
    )
    steps = math.ceil(len(fit) / recipe.batch)
    decay = math.exp(-1 / (MEMORY * recipe.epochs * steps))
    average = get_ema_multi_avg_fn(decay)
    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    best: dict[str, Any] = {"score": -1.0}
    losses: list[float] = []
    first = 0
    saved = load_state(work / "stage1.safetensors")
    if saved is not None:
        tensors, numbers = saved
        model.load_state_dict(_part(tensors, "model"))
        averaged.load_state_dict(_part(tensors, "averaged"))
        restore_optimizer(optimizer, tensors)
        best, losses, first = numbers["best"], numbers["losses"], numbers["epoch"] + 1
        kept = _part(tensors, "kept")
    for epoch in range(first, recipe.epochs):
        generator = torch.Generator().manual_seed(seed * 10_007 + epoch)
        # Dropout draws from the global generator: a resumed epoch must draw the same.
        torch.manual_seed(seed * 10_007 + epoch)
        model.train()
        plan = batches(fit, recipe.batch, generator)
        shares = [rows[processes.share(len(rows))] for rows in plan]
        bar = tqdm(
            image_batches(images, shares),
            total=steps,
            desc=f"stage 1, epoch {epoch + 1}/{recipe.epochs}",
            unit="batch",
            disable=not processes.main,
        )
        losses.append(0.0)
        for step, (rows, image) in enumerate(zip(plan, bar, strict=True)):
            rate = _learning_rate(epoch + step / steps, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            # Chance is drawn for the whole batch, so that an image's does not depend on the share.
            size, own = len(rows), processes.share(len(rows))
            views = random_views(size, recipe.any_orientation, generator).to(processes.device)
            colours = random_colours(size, generator).to(processes.device)
            paths.draw(size, own, generator)
            image = warp(image.to(processes.device), views[own], recipe.image_size)
            image = recolour(image, colours[own]).contiguous(memory_format=torch.channels_last)
            with (
                _autocast(processes.device, recipe),
                _quick(model, processes.device),
                processes.pooled_batch_norm(),
            ):
                found = model(image, partial(processes.gather, size=size))
            loss = concept_model_loss(found, targets, rows, views, model.region_loss, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            processes.average_gradients(model.parameters())
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            averaged.update_parameters(model)
            losses[-1] += loss.item() * size / len(fit)
            bar.set_postfix(loss=f"{loss.item():.3f}")
        if not processes.main:
            continue
        figures = _validate(
            cast(ConceptModel, averaged.module), images, dataset, targets, validation, recipe
        )
        tqdm.write(
            f"epoch {epoch + 1}: loss {losses[-1]:.4f}, "
            + ", ".join(f"{k} {v:.4f}" for k, v in figures.items())
        )
        # On a tie the later epoch is kept: it was trained longer at a lower rate.
        if figures["score"] >= best["score"]:
            best = figures | {"epoch": epoch + 1}
            kept = {key: value.clone() for key, value in averaged.module.state_dict().items()}
        state = {f"model.{key}": value for key, value in model.state_dict().items()}
        state |= {f"averaged.{key}": value for key, value in averaged.state_dict().items()}
        state |= {f"kept.{key}": value for key, value in kept.items()}
        save_state(
            work / "stage1.safetensors",
            state | optimizer_tensors(optimizer),
            {"epoch": epoch, "best": best, "losses": losses},
        )
    paths.remove()
    if not processes.main:
        return {}
    model.load_state_dict(kept)
    network.to("cpu").to(memory_format=torch.contiguous_format)
    return best | {"losses": losses}


def _autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.half_precision)


def _quick(model: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    return quick_depthwise(model) if device.type == "cpu" else nullcontext()


@torch.inference_mode()
def _validate(
    model: ConceptModel,
    images: NDArray[np.uint8],
    dataset: Dataset,
    targets: Targets,
    rows: NDArray[np.int64],
    recipe: Recipe,
) -> dict[str, float]:
    """Mean average precision over concepts, and of what else is trained; `score` is their mean."""
    model.eval()
    device = model.network.prototypes.device
    plan = batches(rows, recipe.batch)
    outputs = []
    for image in image_batches(images, plan):
        small = F.interpolate(
            image.to(device), size=recipe.image_size, mode="bilinear", antialias=True
        )
        with _autocast(device, recipe):
            outputs.append(model(small.contiguous(memory_format=torch.channels_last)))
    cams = torch.cat([found.cams for found in outputs]).cpu()  # (B, K, H, W)
    figures = {
        "concept_precision": mean_average_precision(
            dataset.concept_labels[rows], cams.mean(dim=(2, 3)).numpy(), FEWEST
        )
    }
    if targets.regions is not None:
        figures["region_precision"] = region_precision(cams, targets.regions.of(rows))
    if recipe.diagnosis_weight:
        known = dataset.diagnoses[rows] >= 0
        diagnosis_logits = torch.cat([found.diagnosis_logits for found in outputs]).cpu().numpy()
        figures["macro_f1"] = macro_f1(
            dataset.diagnoses[rows][known],
            diagnosis_logits[known].argmax(axis=1),
            len(dataset.classes),
        )
    figures["score"] = float(np.mean(list(figures.values())))
    return figures


def mean_average_precision(
    labels: NDArray[np.int8], scores: NDArray[np.floating], fewest: int = 1
) -> float:
    """Average precision, averaged over the concepts that have both kinds of known label.

    Args:
        labels: (N, K), 1, 0 or -1 for unknown.
        scores: (N, K), larger for present.
        fewest: labels of each kind from which a concept is judged.

    Returns:
        In [0, 1]; 0 if no concept can be judged.
    """
    values = []
    for column, score in zip(labels.T, scores.T, strict=True):
        known = column >= 0
        if min((column == 1).sum(), (column == 0).sum()) >= fewest:
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


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
