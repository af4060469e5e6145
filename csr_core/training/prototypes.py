"""Stage 2: projector and prototypes learn what the vectors of each concept look like."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from torch import Tensor
from tqdm import tqdm

from csr_core.atlas import prototype_hits
from csr_core.losses import multi_prototype_contrastive_loss
from csr_core.network import CSRNetwork
from csr_core.training.heads import mean_loss
from csr_core.training.recipe import Recipe

__all__ = ["initialise_prototypes", "project_vectors", "surely_lower", "train_prototypes", "whiten"]

LEARNING_RATE = 1e-3
BATCH = 256
CHECK_EVERY = 4
"""Epochs between two looks at validation."""

SURE = 2.0
"""Standard errors by which validation must be better for the prototypes to be given up."""


def whiten(network: CSRNetwork, patches: NDArray[np.float32], shrinkage: float) -> None:
    """Set the projector to a whitening of training patches, its blocks to the identity.

    Patches, not concept vectors: these are averages, hardly vary where patches do, and whitening
    them would let the background dominate every similarity map. A shrunk covariance keeps
    directions of little variance, which are mostly noise, from being blown up.

    Args:
        network: its projector is changed in place.
        patches: (N, C), features of patches drawn from the training images.
        shrinkage: see `Recipe.shrinkage`.

    Raises:
        ValueError: if the features have fewer channels than the projected space.
    """
    layer = network.projector.whitening
    assert layer.bias is not None
    D, C = layer.weight.shape[:2]
    if D > C:
        raise ValueError(f"The projection has {D} channels, the features only {C}; choose fewer.")
    data = patches.astype(np.float64)
    mean = data.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(data - mean, rowvar=False))
    values, directions = values[::-1][:D].clip(min=0), directions[:, ::-1][:, :D]
    # An eigenvector has no sign of its own; fixing it makes the result the same everywhere.
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(D)])
    weight = (directions / np.sqrt(values + shrinkage * values.mean() + 1e-12)).T  # (D, C)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight)[:, :, None, None])
        layer.bias.copy_(torch.from_numpy(-weight @ mean))


@torch.inference_mode()
def project_vectors(network: CSRNetwork, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project concept vectors (N, C) as single cells: v' = P(v), (N, D), unit length."""
    network.eval()
    return network.projector(torch.from_numpy(vectors)[:, :, None, None])[:, :, 0, 0].numpy()


def initialise_prototypes(
    network: CSRNetwork, vectors: NDArray[np.float32], concepts: NDArray[np.int64], seed: int
) -> None:
    """Start the prototypes of each concept at the k-means centres of its projected vectors.

    Args:
        network: its prototypes are changed in place; its projector is used as it is.
        vectors: v, (N, C), one for every training image and concept present in it.
        concepts: (N,), the concept of each.
        seed: of k-means.

    Raises:
        ValueError: if a concept has no vector.
    """
    projected = project_vectors(network, vectors)
    K, M, _ = network.prototypes.shape
    for concept in range(K):
        own = projected[concepts == concept]
        if not len(own):
            raise ValueError(
                f"Concept {concept + 1} is present in no image that may be fitted to; label more."
            )
        clusters = min(M, len(np.unique(own, axis=0)))
        centres = KMeans(clusters, n_init=4, random_state=seed).fit(own).cluster_centers_
        # Fewer vectors than prototypes: the rest repeat a centre and will show as dead.
        chosen = torch.from_numpy(centres[np.arange(M) % clusters]).float()
        with torch.no_grad():
            network.prototypes[concept] = F.normalize(chosen, dim=-1)


def train_prototypes(
    network: CSRNetwork,
    vectors: NDArray[np.float32],
    concepts: NDArray[np.int64],
    judge: Callable[[], NDArray[np.float64]],
    recipe: Recipe,
    seed: int,
) -> dict[str, float]:
    """Minimise the contrastive loss, and keep what validation is surely better for.

    Of a few hundred validation images some look is better by chance; kept for that, the result was
    worse on new images (see `surely_lower`).

    γ = 1000 makes the assignment an argmax, so only winners learn. After every check, dead
    prototypes are placed on a vector that the living ones explain worst.

    Args:
        network: whitened and initialised; its projector and prototypes are changed in place.
        vectors: v, (N, C), one for every training image and concept present in it.
        concepts: (N,), the concept of each.
        judge: the loss of each validation example (V,) by the network as it is now.
        recipe: settings.
        seed: of shuffling and re-seeding.

    Returns:
        The mean loss on validation before and after, the epoch kept (0 is none: the prototypes
        stay as they were) and the share alive.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    parameters = [network.prototypes, *network.projector.blocks.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    cells = torch.from_numpy(vectors)[:, :, None, None]
    targets = torch.from_numpy(concepts)
    counts = np.bincount(concepts, minlength=network.config.concepts).clip(min=1)
    weight = torch.from_numpy(np.sqrt(counts.mean() / counts)).float()
    before = best = judge()
    kept, epoch_kept = _snapshot(network), 0
    for epoch in tqdm(range(1, recipe.prototype_epochs + 1), desc="stage 2", unit="epoch"):
        network.projector.train()
        for group in optimizer.param_groups:
            group["lr"] = (
                LEARNING_RATE * (1 + math.cos(math.pi * epoch / recipe.prototype_epochs)) / 2
            )
        order = torch.randperm(len(targets))
        # A last batch of one has no batch statistics.
        for rows in (part for part in order.split(BATCH) if len(part) > 1):
            projected = network.projector(cells[rows])[:, :, 0, 0]
            loss = multi_prototype_contrastive_loss(
                projected, targets[rows], network.prototypes, concept_weight=weight
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if epoch % CHECK_EVERY == 0 or epoch == recipe.prototype_epochs:
            _reseed_dead(network, vectors, concepts, rng)
            losses = judge()
            if mean_loss(losses) < mean_loss(best) and surely_lower(losses, before):
                best, kept, epoch_kept = losses, _snapshot(network), epoch
    network.load_state_dict(kept, strict=False)
    projected = project_vectors(network, vectors)
    hits = prototype_hits(projected, concepts, _unit_prototypes(network))
    return {
        "validation_loss_before": mean_loss(before),
        "validation_loss": mean_loss(best),
        "epoch": float(epoch_kept),
        "alive": float((hits > 0).mean()),
    }


def surely_lower(losses: NDArray[np.float64], before: NDArray[np.float64]) -> bool:
    """Whether losses fell by more than chance explains: two standard errors of the mean fall.

    Args:
        losses: (V,), of validation examples.
        before: (V,), of the same examples.
    """
    fall = before - losses
    return len(fall) > 1 and fall.mean() > SURE * fall.std(ddof=1) / math.sqrt(len(fall))


def _reseed_dead(
    network: CSRNetwork,
    vectors: NDArray[np.float32],
    concepts: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    projected = project_vectors(network, vectors)
    prototypes = _unit_prototypes(network)
    hits = prototype_hits(projected, concepts, prototypes)
    for concept, prototype in zip(*np.nonzero(hits == 0), strict=True):
        own = projected[concepts == concept]
        distance = (1 - (own @ prototypes[concept].T).max(axis=1)).clip(min=0) + 1e-9
        chosen = own[rng.choice(len(own), p=distance / distance.sum())]
        prototypes[concept, prototype] = chosen
        with torch.no_grad():
            network.prototypes[concept, prototype] = torch.from_numpy(chosen)


def _snapshot(network: CSRNetwork) -> dict[str, Tensor]:
    return {
        key: value.clone()
        for key, value in network.state_dict().items()
        if key.startswith(("projector.", "prototypes"))
    }


def _unit_prototypes(network: CSRNetwork) -> NDArray[np.float32]:
    return F.normalize(network.prototypes.detach(), dim=-1).numpy().copy()
