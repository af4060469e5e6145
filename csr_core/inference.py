"""Run a network over many images of a data set, batch by batch, and keep what figures need."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from csr_core.datasets import Dataset, load_image
from csr_core.imaging import to_square
from csr_core.network import CSRNetwork
from csr_core.overlays import concept_maps

__all__ = ["Outputs", "run_network", "square_batches"]

BATCH = 16


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network makes of N images.

    Attributes:
        logits: (N, classes) float64.
        scores: s, (N, K, M) float32 (Eq. 10).
        peaks: (N, K, M), flat index h·W + w of the patch each score was found in.
        concept_maps: (N, K, H, W) float32, at each patch the similarity of the best prototype.
        mean_maps: (N, K, H, W) float32, at each patch the mean similarity over the prototypes.
        cams: concept activation maps, (N, K, H, W) float32.
        pooled: spatial mean of the features, (N, C) float32.
    """

    logits: NDArray[np.float64]
    scores: NDArray[np.float32]
    peaks: NDArray[np.int64]
    concept_maps: NDArray[np.float32]
    mean_maps: NDArray[np.float32]
    cams: NDArray[np.float32]
    pooled: NDArray[np.float32]

    @property
    def concept_logits(self) -> NDArray[np.float32]:
        """Spatial mean of the concept activation maps, (N, K) float32."""
        return self.cams.mean(axis=(2, 3))


@torch.inference_mode()
def run_network(network: CSRNetwork, dataset: Dataset, rows: NDArray[np.int64]) -> Outputs:
    """Run a network as `Reasoner.encode` would, many images at a time.

    Args:
        network: used in evaluation mode.
        dataset: with the images.
        rows: of the N images, at least one.

    Returns:
        The outputs in the order of `rows`.

    Raises:
        ImageError: if an image can't be used.
    """
    network.eval()
    device = network.prototypes.device
    parts: list[tuple[NDArray, ...]] = []
    with tqdm(total=len(rows), desc="measuring", unit="image") as bar:
        for image in square_batches(dataset, rows, network.config.image_size):
            output = network(image.to(device))
            maps = output.similarity_maps.cpu().numpy()  # (B, K, M, H, W)
            flat = maps.reshape(*maps.shape[:3], -1)
            parts.append(
                (
                    output.logits.cpu().numpy(),
                    output.similarity_scores.cpu().numpy(),
                    flat.argmax(axis=-1),
                    concept_maps(maps),
                    maps.mean(axis=2),
                    output.cams.cpu().numpy(),
                    output.features.mean(dim=(2, 3)).cpu().numpy(),
                )
            )
            bar.update(len(image))
    return Outputs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def square_batches(dataset: Dataset, rows: NDArray[np.int64], size: int) -> Iterator[Tensor]:
    """Decode images in a second thread while the network is busy with those before.

    Args:
        dataset: with the images.
        rows: which of them, in this order.
        size: side of the square network input in pixels.

    Yields:
        (B, 3, size, size) float32, RGB in [0, 1].

    Raises:
        ImageError: if an image can't be used.
    """

    def read(batch: NDArray[np.int64]) -> Tensor:
        pixels = np.stack([to_square(load_image(dataset, row), size) for row in batch])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    plan = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = [reader.submit(read, batch) for batch in plan[:1]]
        for batch in [*plan[1:], None]:
            ready = coming.pop()
            image = ready.result()
            if batch is not None:
                coming.append(reader.submit(read, batch))
            yield image
