"""Streaks: radial streaming and pseudopods in sectors of the lesion's border."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import (
    Field,
    as_field,
    blurred,
    close_region,
    fractal_noise,
    unevenly_focused,
    unit,
    warped,
)
from csr_core.datasets.phantom.layers import Layer
from csr_core.datasets.phantom.lesion import Lesion

__all__ = ["paint_streaks"]

# Share of the outline that streams, in one to three sectors.
_SHARE = (0.32, 0.6)
_TURN = 2 * math.pi


def paint_streaks(rng: np.random.Generator, lesion: Lesion) -> Layer:
    """Tapering strokes of unequal length, width and darkness that leave a smudgy dark rim."""
    u = unit(lesion.size)
    strokes = np.zeros((lesion.size, lesion.size), np.uint8)
    for first, last in _sectors(rng):
        for angle, length in _roots(rng, lesion, first, last):
            _draw_stroke(rng, strokes, lesion, angle, length)
    bent = warped(rng, strokes.astype(np.float32) / np.float32(255), 12 * u, 1.2 * u)
    marks = unevenly_focused(rng, bent, 0.8 * u, 1.9 * u)
    rim = blurred(bent, 5 * u) * lesion.coverage
    smudge = (1 + 0.35 * fractal_noise(rng, lesion.size, 16 * u, 3)).clip(0.3, 1.7)
    density = marks * rng.uniform(0.8, 1.2) + rim * smudge * rng.uniform(0.9, 1.6)
    region = close_region(marks > 0.25, 7 * u)
    return Layer(region, np.zeros_like(marks), 0.0, as_field(density))


def _sectors(rng: np.random.Generator) -> list[tuple[float, float]]:
    """First and last angle of each streaming sector, radians."""
    count = int(rng.integers(1, 4))
    shares = rng.dirichlet(np.full(count, 6.0)) * rng.uniform(*_SHARE)
    gaps = rng.dirichlet(np.full(count, 4.0)) * (1 - shares.sum())
    starts = rng.uniform(0, _TURN) + _TURN * (np.cumsum(shares + gaps) - shares)
    return [(start, start + _TURN * share) for start, share in zip(starts, shares, strict=True)]


def _roots(
    rng: np.random.Generator, lesion: Lesion, first: float, last: float
) -> list[tuple[float, float]]:
    """Angle and length beyond the outline (pixels) of each stroke of a sector."""
    u = unit(lesion.size)
    roots = []
    angle = first
    tuft = rng.uniform(5, 15)
    while angle < last:
        along = (angle - first) / (last - first)
        envelope = 0.35 + 0.65 * math.sin(math.pi * along)
        roots.append((angle, tuft * envelope * rng.lognormal(-0.2, 0.5) * u))
        angle += rng.gamma(3.0, 1.35) * u / lesion.radius
        # Lengths change in tufts: neighbours are alike until the next one begins.
        if rng.random() < 0.25:
            tuft = rng.uniform(3, 17)
    return roots


def _draw_stroke(
    rng: np.random.Generator,
    canvas: NDArray[np.uint8],
    lesion: Lesion,
    angle: float,
    length: float,
) -> None:
    """Fill one tapering stroke, some with a bulb at the tip, into `canvas`."""
    u = unit(lesion.size)
    along: Field = np.linspace(0, 1, 14, dtype=np.float32)
    border = float(lesion.border_radius(np.array([angle]))[0])
    start, end = border - rng.uniform(5, 20) * u, border + min(max(length, 3 * u), 17 * u)
    heading = angle + rng.normal(0, 0.08) * along + rng.normal(0, 0.06) * along**2
    spine = np.array(lesion.centre) + (start + (end - start) * along)[:, None] * np.stack(
        [np.cos(heading), np.sin(heading)], axis=1
    )
    bulb = rng.uniform(0.6, 1.5) if rng.random() < 0.25 else 0.0
    half = u * (rng.lognormal(0, 0.45) * (1 - along) ** 0.6 + bulb * along**4 + 0.25)
    sideways = np.stack([-np.sin(heading), np.cos(heading)], axis=1) * half[:, None]
    outline = np.concatenate([spine + sideways, (spine - sideways)[::-1]])
    strength = int(255 * rng.uniform(0.4, 1.0) ** 0.7)
    cv2.fillPoly(canvas, [np.rint(outline * 16).astype(np.int32)], strength, cv2.LINE_AA, 4)
