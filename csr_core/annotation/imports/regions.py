"""Untrusted regions of COCO files: polygons, run lengths and boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csr_core.annotation.imports.polygons import fill_polygon
from csr_core.annotation.rle import region_of_runs, runs_of
from csr_core.datasets.regions import Box, resized

__all__ = ["Frame", "box_of", "region_of_segmentation"]

_MAX_CORNERS = 100_000
_MAX_RUNS = 4_000_000
_MAX_POLYGONS = 1000
_FAR = 1e6
"""Pixels beyond which no number of a region makes sense."""
_CLOSE = 1e-3
"""Pixels by which a box may differ from its exact corners and still be the same."""


@dataclass(frozen=True)
class Frame:
    """The image of a COCO file, and the size regions are wanted at, in pixels."""

    height: int
    width: int
    drawn_height: int
    drawn_width: int


def region_of_segmentation(value: object, frame: Frame) -> NDArray[np.bool_]:
    """Draw a segmentation: a list of polygons, whose union counts, or run lengths.

    Args:
        value: untrusted.
        frame: of the image.

    Returns:
        (drawn height, drawn width) bool.

    Raises:
        ValueError: saying what is there instead.
    """
    match value:
        case {"size": [height, width], "counts": str() | list() as counts}:
            if (height, width) != (frame.height, frame.width):
                raise ValueError(f"run lengths of {height!r} × {width!r} pixels")
            runs = runs_of(counts) if isinstance(counts, str) else counts
            if len(runs) > _MAX_RUNS or not all(type(run) is int for run in runs):
                raise ValueError(f"run lengths that are not up to {_MAX_RUNS} whole numbers")
            region = region_of_runs(runs, frame.height, frame.width)
            return resized(region, frame.drawn_height, frame.drawn_width)
        case [list(), *_] if len(value) <= _MAX_POLYGONS:
            union = np.zeros((frame.drawn_height, frame.drawn_width), bool)
            for polygon in value:
                union |= fill_polygon(_corners(polygon, frame), *union.shape)
            return union
    raise ValueError(f"neither up to {_MAX_POLYGONS} polygons nor run lengths")


def box_of(concept: str, bounds: object, exact: object, frame: Frame) -> Box:
    """Bring a box to fractions; what lies outside the image is cut off.

    Args:
        concept: it shows.
        bounds: left, top, width and height in pixels; untrusted.
        exact: its corners in fractions as they were exported, which count unless the box was moved
            since; untrusted.
        frame: of the image.

    Raises:
        ValueError: saying what is there instead.
    """
    left, top, across, down = _numbers(bounds, 4)
    sides = (frame.width, frame.height) * 2
    corners = [left, top, left + across, top + down]
    fractions = [min(max(c / side, 0.0), 1.0) for c, side in zip(corners, sides, strict=True)]
    if isinstance(exact, list) and len(exact) == 4:
        wanted = _numbers(exact, 4)
        pixels = [c * side for c, side in zip(wanted, sides, strict=True)]
        if np.allclose(pixels, corners, rtol=0, atol=_CLOSE) and _inside(wanted):
            fractions = wanted
    if not _inside(fractions):
        raise ValueError("a box without area in the image")
    return Box(concept, *fractions)


def _inside(corners: list[float]) -> bool:
    left, top, right, bottom = corners
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def _corners(polygon: object, frame: Frame) -> NDArray[np.float64]:
    if not isinstance(polygon, list) or len(polygon) % 2 or len(polygon) < 6:
        raise ValueError("a polygon of less than three corners")
    if len(polygon) > 2 * _MAX_CORNERS:
        raise ValueError(f"a polygon of more than {_MAX_CORNERS} corners")
    corners = np.array(_numbers(polygon, len(polygon))).reshape(-1, 2)
    scale = [frame.drawn_width / frame.width, frame.drawn_height / frame.height]
    return corners * scale


def _numbers(value: object, count: int) -> list[float]:
    if isinstance(value, list) and len(value) == count:
        numbers = [float(n) for n in value if type(n) in (int, float) and abs(n) < _FAR]
        if len(numbers) == count:
            return numbers
    raise ValueError(f"not {count} numbers of pixels")
