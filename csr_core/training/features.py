"""Frozen features, computed once: stages 2 and 3 never run the backbone again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from csr_core.datasets import Dataset
from csr_core.inference import square_batches
from csr_core.network import CSRNetwork, local_concept_vectors, similarity_maps
from csr_core.spatial_review import covered_cells
from csr_core.training.regions import Regions

__all__ = [
    "FrozenFeatures",
    "cache_features",
    "feature_batches",
    "marked_vectors",
    "present_vectors",
    "sample_patches",
    "score_images",
]

BATCH = 32


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """What the backbone and concept head make of N images.

    Attributes:
        maps: f, (N, C, H, W) float16, mapped from disk.
        vectors: local concept vectors v_k (Eq. 2), (N, K, C) float32.
        pooled: spatial mean of f, (N, C) float32, what a black-box head sees.
        concept_logits: (N, K) float32, spatial mean of the concept activation maps.
    """

    maps: NDArray[np.float16]
    vectors: NDArray[np.float32]
    pooled: NDArray[np.float32]
    concept_logits: NDArray[np.float32]


@torch.inference_mode()
def cache_features(network: CSRNetwork, dataset: Dataset, path: Path) -> FrozenFeatures:
    """Run the backbone once over every image, as `Reasoner.encode` would.

    Args:
        network: with its stage 1 weights; used in evaluation mode.
        dataset: N images.
        path: file for the feature maps.
    """
    network.eval()
    N, (K, C) = len(dataset), network.concept_head.weight.shape[:2]
    shape = (N, C, *network.config.grid)
    maps = np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape)
    vectors = np.empty((N, K, C), dtype=np.float32)
    pooled = np.empty((N, C), dtype=np.float32)
    concept_logits = np.empty((N, K), dtype=np.float32)
    images = square_batches(dataset, np.arange(N), network.config.image_size)
    start = 0
    with tqdm(total=N, desc="caching features", unit="image") as bar:
        for image in images:
            features = network.features(image.to(network.prototypes.device))  # (B, C, H, W)
            cams = network.concept_head(features)
            place = slice(start, start + len(image))
            maps[place] = features.cpu().numpy()
            vectors[place] = local_concept_vectors(features, cams).cpu().numpy()
            pooled[place] = features.mean(dim=(2, 3)).cpu().numpy()
            concept_logits[place] = cams.mean(dim=(2, 3)).cpu().numpy()
            start = place.stop
            bar.update(len(image))
    maps.flush()
    return FrozenFeatures(maps, vectors, pooled, concept_logits)


@torch.inference_mode()
def marked_vectors(
    network: CSRNetwork, features: FrozenFeatures, regions: Regions
) -> FrozenFeatures:
    """Pool the concept vectors within the regions where readers saw the concepts.

    Args:
        network: with its concept head.
        features: of N images, by this network.
        regions: of the same images; where there is none the vector stays as it is.

    Returns:
        The same features with those vectors: Σ_hw softmax_hw(cam_k) · f over the patches that the
        region covers.
    """
    vectors = features.vectors.copy()
    seen = regions.known & regions.masks.any(axis=(2, 3))  # (N, K)
    for row, concept in np.argwhere(seen):
        maps = torch.from_numpy(features.maps[row].astype(np.float32))[None]  # (1, C, H, W)
        cams = network.concept_head(maps)[:, concept : concept + 1]
        inside = torch.zeros(cams.shape[2:], dtype=torch.bool)
        for cell in covered_cells(regions.masks[row, concept], network.config.grid):
            inside[cell] = True
        own = local_concept_vectors(maps, cams.masked_fill(~inside, -torch.inf))
        vectors[row, concept] = own[0, 0].numpy()
    return replace(features, vectors=vectors)


def feature_batches(features: FrozenFeatures) -> Iterator[tuple[slice, Tensor]]:
    """Yield the feature maps in order as (place, (B, C, H, W) float32)."""
    for start in range(0, len(features.maps), BATCH):
        place = slice(start, min(start + BATCH, len(features.maps)))
        yield place, torch.from_numpy(features.maps[place].astype(np.float32))


@torch.inference_mode()
def score_images(
    network: CSRNetwork, features: FrozenFeatures
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Similarity scores of every image (Eq. 10), and the patch each was found in.

    Args:
        network: with projector and prototypes as they are now.
        features: of N images.

    Returns:
        s (N, K, M), and the flat index h·W + w of the best patch, (N, K, M).
    """
    network.eval()
    K, M, _ = network.prototypes.shape
    scores = np.empty((len(features.maps), K, M), dtype=np.float32)
    patches = np.empty((len(features.maps), K, M), dtype=np.int64)
    for place, maps in feature_batches(features):
        similarity = similarity_maps(network.projector(maps), network.prototypes).flatten(3)
        best = similarity.max(dim=-1)
        scores[place], patches[place] = best.values.numpy(), best.indices.numpy()
    return scores, patches


def sample_patches(
    features: FrozenFeatures, rows: NDArray[np.int64], seed: int, per_image: int = 20
) -> NDArray[np.float32]:
    """Draw patches of some images, (len(rows) · per_image, C)."""
    rng = np.random.default_rng(seed)
    _, _, H, W = features.maps.shape
    drawn = [
        features.maps[row, :, rng.integers(0, H, per_image), rng.integers(0, W, per_image)]
        for row in rows
    ]
    return np.concatenate(drawn).astype(np.float32)


def present_vectors(
    features: FrozenFeatures, dataset: Dataset, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Local concept vectors of every (image, present concept), (n, C), and the concepts (n,)."""
    image, concept = np.nonzero(dataset.concept_labels[rows] == 1)
    return features.vectors[rows[image], concept], concept
