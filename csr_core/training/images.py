"""Images on their way into stage 1: decoded once to disk, then augmented batch by batch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from csr_core.datasets import Dataset, load_image
from csr_core.imaging import to_square

__all__ = [
    "batches",
    "image_batches",
    "random_colours",
    "random_views",
    "recolour",
    "square_images",
    "warp",
]


def square_images(dataset: Dataset, size: int, path: Path) -> NDArray[np.uint8]:
    """Decode every image of a data set once.

    Args:
        dataset: N images.
        size: side of the squares in pixels.
        path: file to keep them in, reused if it is there and complete.

    Returns:
        (N, size, size, 3) uint8 RGB, mapped from disk: it may be larger than memory.

    Raises:
        ImageError: if an image can't be used.
    """
    shape = (len(dataset.image_ids), size, size, 3)
    if not path.exists():
        partial = path.with_suffix(".partial")
        images = np.lib.format.open_memmap(partial, "w+", dtype=np.uint8, shape=shape)
        for row in tqdm(range(shape[0]), desc="decoding images", unit="image", leave=False):
            images[row] = to_square(load_image(dataset, row), size)
        images.flush()
        partial.replace(path)
    images = np.load(path, mmap_mode="r")
    if images.shape != shape:
        raise ValueError(f"{path} holds images of another run; delete it and start again.")
    return images


def batches(
    rows: NDArray[np.int64], size: int, generator: torch.Generator | None = None
) -> list[NDArray[np.int64]]:
    """Cut rows into batches, shuffled if a generator is given."""
    if generator is not None:
        rows = rows[torch.randperm(len(rows), generator=generator).numpy()]
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def image_batches(images: NDArray[np.uint8], rows: list[NDArray[np.int64]]) -> Iterator[Tensor]:
    """Read batches of images.

    Args:
        images: (N, S, S, 3) uint8.
        rows: of each batch.

    Yields:
        (B, 3, S, S) float32 in [0, 1], channels last in memory, which convolutions prefer.
    """
    for batch in rows:
        pixels = torch.from_numpy(np.ascontiguousarray(images[np.sort(batch)]))
        order = torch.from_numpy(np.argsort(np.argsort(batch)))
        yield pixels[order].permute(0, 3, 1, 2).float().div_(255)


def random_views(count: int, any_orientation: bool, generator: torch.Generator) -> Tensor:
    """Draw how each image of a batch is turned, mirrored, zoomed and shifted.

    Args:
        count: B, images in the batch.
        any_orientation: turn by any angle, or by ±10°; both mirror left to right.
        generator: the source of chance.

    Returns:
        Affine maps from the view to the image, (B, 2, 3), for `warp`.
    """
    low, high = (-torch.pi, torch.pi) if any_orientation else (-0.17, 0.17)
    angle = _uniform(generator, low, high, count)
    zoom = _uniform(generator, 0.65, 1.1, count)
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    shift = _uniform(generator, -0.08, 0.08, count, 2)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    rows = [
        torch.stack([cos * mirror, -sin, shift[:, 0]], dim=1),
        torch.stack([sin * mirror, cos, shift[:, 1]], dim=1),
    ]
    return torch.stack(rows, dim=1)


def warp(image: Tensor, views: Tensor, size: int) -> Tensor:
    """Look at images through views; beyond the border they are mirrored.

    Args:
        image: (B, C, S, S).
        views: (B, 2, 3), from `random_views`.
        size: side of the result in pixels.

    Returns:
        (B, C, size, size).
    """
    shape = [*image.shape[:2], size, size]
    if not len(image):  # a process may have no image of a batch; PyTorch makes no grid for none
        return image.new_empty(shape)
    grid = F.affine_grid(views, shape, align_corners=False)
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)


def random_colours(count: int, generator: torch.Generator) -> Tensor:
    """Draw how the colours of each image of a batch are changed.

    Args:
        count: B, images in the batch.
        generator: the source of chance.

    Returns:
        Gains of red, green and blue, saturation and contrast, (B, 5), for `recolour`.
    """
    balance = _uniform(generator, 0.9, 1.1, count, 3)
    brightness = _uniform(generator, 0.85, 1.15, count, 1)
    saturation = _uniform(generator, 0.8, 1.2, count, 1)
    contrast = _uniform(generator, 0.85, 1.2, count, 1)
    return torch.cat([balance * brightness, saturation, contrast], dim=1)


def recolour(image: Tensor, colours: Tensor) -> Tensor:
    """Change white balance, brightness, saturation and contrast, each image in its own way.

    Args:
        image: (B, 3, H₀, W₀), RGB in [0, 1].
        colours: (B, 5), from `random_colours`.

    Returns:
        Of the same shape and range.
    """
    gain, saturation, contrast = colours[:, :, None, None].split([3, 1, 1], dim=1)
    grey = image.mean(dim=1, keepdim=True)
    level = image.mean(dim=(1, 2, 3), keepdim=True)
    coloured = grey + saturation * (image - grey)
    return ((level + contrast * (coloured - level)) * gain).clamp(0, 1)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low
