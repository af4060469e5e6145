"""Regions in pixels of the image, as COCO counts them."""

from dataclasses import dataclass

import numpy as np

from csr_core.annotation.masks import Mask, run_lengths
from csr_core.annotation.rle import compressed
from csr_core.datasets.regions import Box, resized

__all__ = ["Shape", "box_shape", "mask_shape"]


@dataclass(frozen=True)
class Shape:
    """A region in an image.

    Attributes:
        bounds: left, top, width and height in pixels.
        area: pixels inside.
        runs: COCO's compressed run lengths; blank for a box.
    """

    bounds: tuple[float, float, float, float]
    area: float
    runs: str = ""


def mask_shape(mask: Mask, height: int, width: int) -> Shape:
    """Bring a mask that is not empty to the size of its image."""
    region = resized(mask.pixels(), height, width)
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top, right, bottom = (int(n) for n in (columns[0], rows[0], columns[-1], rows[-1]))
    bounds = (left, top, right - left + 1, bottom - top + 1)
    return Shape(bounds, int(region.sum()), compressed(run_lengths(region)))


def box_shape(box: Box, height: int, width: int) -> Shape:
    """Bring a box to the size of its image."""
    left, top = box.x_min * width, box.y_min * height
    across, down = box.x_max * width - left, box.y_max * height - top
    return Shape((left, top, across, down), across * down)
