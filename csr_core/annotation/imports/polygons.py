"""Polygons become pixels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["fill_polygon"]

_EDGES = 1000
"""Edges looked at at a time: each may cross every row."""


def fill_polygon(corners: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """Fill a polygon by the even-odd rule.

    Args:
        corners: (N, 2), x and y in pixels; the last is joined to the first.
        height: of the result in pixels.
        width: of the result in pixels.

    Returns:
        (height, width) bool: the pixels whose centre is inside.
    """
    crossed = np.zeros((height, width + 1), bool)
    ends = np.roll(corners, -1, axis=0)
    for start in range(0, len(corners), _EDGES):
        edges = slice(start, start + _EDGES)
        crossed ^= _crossings(corners[edges], ends[edges], height, width)
    return np.logical_xor.accumulate(crossed[:, :width], axis=1)


def _crossings(
    begins: NDArray[np.float64], ends: NDArray[np.float64], height: int, width: int
) -> NDArray[np.bool_]:
    """The first pixel, in each row, right of an odd number of edges that cross the row there."""
    low, high = np.minimum(begins[:, 1], ends[:, 1]), np.maximum(begins[:, 1], ends[:, 1])
    first = np.ceil(low - 0.5).clip(0, height).astype(int)
    stop = np.ceil(high - 0.5).clip(0, height).astype(int)
    counts = stop - first  # (E,), rows whose centres each edge crosses
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    (x0, y0), (x1, y1) = begins[edge].T, ends[edge].T
    x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    columns = np.ceil(x - 0.5).clip(0, width).astype(int)
    hits = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    return (hits % 2 == 1).reshape(height, width + 1)
