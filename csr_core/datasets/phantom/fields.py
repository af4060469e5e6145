"""Scalar fields every painter is built from: noise, soft steps, cell borders, discs.

All sizes are in pixels of the (square) working canvas. `unit` converts lengths that were
chosen on a 256-pixel image, so the same case looks alike at every output size.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Field",
    "as_field",
    "blurred",
    "cell_border_distance",
    "close_region",
    "discs",
    "fractal_noise",
    "oriented_noise",
    "pixel_grid",
    "scattered_points",
    "smoothstep",
    "softened",
    "stretched",
    "unevenly_focused",
    "unit",
    "warped",
]

Field = NDArray[np.float32]

# Cubic interpolation of white noise lowers its standard deviation to about this value.
_CUBIC_STD = 0.74

# From this many pixels on a blur is taken on a quarter of the resolution.
_WIDE_BLUR = 6.0


def unit(size: int) -> float:
    """Working pixels per pixel of a 256-pixel image."""
    return size / 256


def as_field(array: Any) -> Field:
    """`array` as a float32 field: opencv's and numpy's stubs leave the type open."""
    return np.asarray(array, np.float32)


def softened(marks: NDArray[np.uint8], sigma: float) -> Field:
    """Marks of 0..255 blurred by `sigma` pixels, as opacity 0..1."""
    return as_field(cv2.GaussianBlur(marks, (0, 0), sigma)) / np.float32(255)


def blurred(field: Field, sigma: float) -> Field:
    """Gaussian blur by `sigma` pixels; wide ones on a smaller canvas, where they are cheap."""
    size = field.shape[0]
    if sigma < _WIDE_BLUR:
        return as_field(cv2.GaussianBlur(field, (0, 0), sigma))
    small = cv2.resize(field, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return as_field(cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR))


def unevenly_focused(rng: np.random.Generator, marks: Field, sharp: float, soft: float) -> Field:
    """Marks blurred by `sharp` pixels in some places and by `soft` in others."""
    size = marks.shape[0]
    focus = smoothstep(-1.0, 0.8, fractal_noise(rng, size, 26 * unit(size), 1))
    hazy = blurred(marks, soft)
    return hazy + focus * (blurred(marks, sharp) - hazy)


def stretched(field: Field, factor: float, angle: float) -> Field:
    """`field` drawn out by `factor` (1 or more) along `angle` radians about its centre."""
    size = field.shape[0]
    along = np.array([math.cos(angle), math.sin(angle)])
    squeeze = np.eye(2) - (1 - 1 / factor) * np.outer(along, along)
    middle = np.full(2, (size - 1) / 2)
    to_source = np.column_stack([squeeze, middle - squeeze @ middle])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return as_field(
        cv2.warpAffine(field, to_source, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT)
    )


def pixel_grid(size: int) -> tuple[Field, Field]:
    """Column and row coordinate of every pixel, each (size, size)."""
    ramp = np.arange(size, dtype=np.float32)
    return np.broadcast_to(ramp, (size, size)), np.broadcast_to(ramp[:, None], (size, size))


def smoothstep(low: float | Field, high: float | Field, value: Field) -> Field:
    """Cubic step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _enlarged(
    rng: np.random.Generator, grid: Field, shape: tuple[int, int], cell: tuple[float, float]
) -> Field:
    """A random window of `shape` from `grid` drawn with cells of `cell` pixels (rows, columns)."""
    (height, width), (rows, columns) = shape, grid.shape
    enlarged = cv2.resize(
        grid, (round(columns * cell[1]), round(rows * cell[0])), interpolation=cv2.INTER_CUBIC
    )
    top, left = (int(rng.uniform(0.5, 1.5) * length) for length in cell)
    return as_field(enlarged[top : top + height, left : left + width]) / np.float32(_CUBIC_STD)


def fractal_noise(
    rng: np.random.Generator, size: int, wavelength: float, octaves: int = 3, gain: float = 0.5
) -> Field:
    """Isotropic noise, (size, size), mean 0 and standard deviation about 1.

    Args:
        rng: Source of randomness.
        size: Side of the canvas in pixels.
        wavelength: Length of the coarsest octave in pixels; each octave halves it.
        octaves: How many octaves are summed.
        gain: Amplitude of an octave relative to the one before.
    """
    octaves = max(1, min(octaves, 1 + int(math.log2(max(1.0, wavelength)))))
    cells = math.ceil(size / wavelength) + 3
    grid = rng.standard_normal((cells, cells), dtype=np.float32)
    for octave in range(1, octaves):
        cells *= 2
        grid = as_field(cv2.resize(grid, (cells, cells), interpolation=cv2.INTER_CUBIC))
        grid += gain**octave * rng.standard_normal((cells, cells), dtype=np.float32)
    power = sum(gain ** (2 * octave) for octave in range(octaves))
    finest = wavelength / 2 ** (octaves - 1)
    return _enlarged(rng, grid, (size, size), (finest, finest)) / math.sqrt(power)


def oriented_noise(
    rng: np.random.Generator, size: int, across: float, along: float, angle: float
) -> Field:
    """Noise stretched into stripes running at `angle` radians; (size, size), unit deviation."""
    side = math.ceil(size * math.sqrt(2))
    cells = (math.ceil(side / across) + 3, math.ceil(side / along) + 3)
    grid = rng.standard_normal(cells, dtype=np.float32)
    stripes = _enlarged(rng, grid, (side, side), (across, along))
    turn = np.array(
        cv2.getRotationMatrix2D((side / 2, side / 2), math.degrees(angle), 1.0), np.float64
    )
    turn[:, 2] -= (side - size) / 2
    return as_field(cv2.warpAffine(stripes, turn, (size, size), flags=cv2.INTER_LINEAR))


def warped(rng: np.random.Generator, field: Field, wavelength: float, amplitude: float) -> Field:
    """`field` with its coordinates displaced by noise: straight lines turn organic."""
    size = field.shape[0]
    columns, rows = pixel_grid(size)
    dx = fractal_noise(rng, size, wavelength, 2) * amplitude
    dy = fractal_noise(rng, size, wavelength, 2) * amplitude
    moved = cv2.remap(
        field, columns + dx, rows + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return as_field(moved)


def scattered_points(
    rng: np.random.Generator, size: int, spacing: float, jitter: float
) -> NDArray[np.float32]:
    """Jittered hexagonal lattice over the canvas, (N, 2) as x, y; jitter in parts of spacing."""
    step = spacing * math.sqrt(3) / 2
    rows = math.ceil(size / step) + 2
    columns = math.ceil(size / spacing) + 2
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    lattice = np.stack([(x + 0.5 * (y % 2) - 0.5) * spacing, (y - 0.5) * step], axis=-1)
    lattice = lattice.reshape(-1, 2) + rng.normal(0, jitter * spacing, (rows * columns, 2))
    return lattice.astype(np.float32)


def cell_border_distance(points: NDArray[np.float32], size: int) -> tuple[Field, Field]:
    """Distances in the Voronoi diagram of `points`, in pixels.

    Args:
        points: (N, 2) as x, y; those outside the canvas are left out.
        size: Side of the canvas in pixels.

    Returns:
        Distance to the nearest cell border and distance to the nearest point, (size, size) each.
    """
    seeds = np.full((size, size), 255, np.uint8)
    inside = np.rint(points).astype(int)
    inside = inside[((inside >= 0) & (inside < size)).all(axis=1)]
    seeds[inside[:, 1], inside[:, 0]] = 0
    to_point, labels = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    interior = np.full((size, size), 255, np.uint8)
    interior[:, 1:][labels[:, 1:] != labels[:, :-1]] = 0
    interior[1:, :][labels[1:, :] != labels[:-1, :]] = 0
    return as_field(cv2.distanceTransform(interior, cv2.DIST_L2, 5)), as_field(to_point)


def discs(
    rng: np.random.Generator, size: int, centres: NDArray[np.float32], radii: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Slightly oval filled spots of unequal strength, 0..255 with smooth edges, (size, size)."""
    canvas = np.zeros((size, size), np.uint8)
    for (x, y), radius in zip(centres, radii, strict=True):
        squash = rng.uniform(0.7, 1.0)
        cv2.ellipse(
            canvas,
            ((float(x), float(y)), (2 * radius / squash**0.5, 2 * radius * squash**0.5),
             float(rng.uniform(0, 180))),
            int(rng.integers(170, 256)),
            -1,
            cv2.LINE_AA,
        )  # fmt: skip
    return canvas


def close_region(painted: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """The region an annotator would draw round painted marks: gaps up to 2 × `reach` closed.

    The result is `painted` dilated by `reach` and eroded by 60 % of it, so a margin stays.
    """
    grow, shrink = (
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(r) + 1, 2 * round(r) + 1))
        for r in (reach, 0.6 * reach)
    )
    return cv2.erode(cv2.dilate(painted.astype(np.uint8), grow), shrink).astype(bool)
