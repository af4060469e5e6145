"""The lesion without its dermoscopic structures: outline, border softness, colours."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import (
    Field,
    as_field,
    fractal_noise,
    pixel_grid,
    smoothstep,
    unit,
)

__all__ = ["Lesion", "draw_lesion"]

# Absorption in R, G, B of one unit of lesion pigment: orange-brown, brown, grey-brown.
_BROWNS = np.array([[0.28, 0.82, 1.50], [0.40, 0.86, 1.30], [0.60, 0.90, 1.08]], np.float32)


@dataclass(frozen=True)
class Lesion:
    """A structureless lesion on the working canvas.

    Attributes:
        depth: Roughly the distance to the outline in pixels, positive inside; (size, size).
        coverage: Opacity of the lesion, 0..1 with its soft border; (size, size).
        pigment: Melanin density, about 0.15 (light tan) to 2 (black); (size, size).
        absorption: Absorption of one unit of pigment in R, G, B; (size, size, 3).
        blood: Density of red and pink zones, 0 and up; (size, size).
        strength: Factor on all pigment, structures included: tan lesions to black ones.
        centre: x, y in pixels.
        radius: Of the circle of equal area, in pixels, before lobes and roughness.
    """

    depth: Field
    coverage: Field
    pigment: Field
    absorption: Field
    blood: Field
    strength: float
    centre: tuple[float, float]
    radius: float

    @property
    def size(self) -> int:
        """Side of the canvas in pixels."""
        return int(self.depth.shape[0])

    def border_radius(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance from the centre to the outline along each of `angles` (radians), pixels."""
        steps = np.arange(0.2 * self.radius, 2.2 * self.radius, 1.0)
        x = self.centre[0] + np.cos(angles)[:, None] * steps
        y = self.centre[1] + np.sin(angles)[:, None] * steps
        limit = self.size - 1
        depth = self.depth[
            np.clip(y, 0, limit).astype(int), np.clip(x, 0, limit).astype(int)
        ]  # (angles, steps)
        last_inside = len(steps) - 1 - np.argmax(depth[:, ::-1] > 0, axis=1)
        return steps[last_inside]


def draw_lesion(rng: np.random.Generator, size: int, crowding: int) -> Lesion:
    """A lesion near the middle of a (size, size) canvas.

    Args:
        rng: Source of randomness.
        size: Side of the canvas in pixels.
        crowding: Number of structures it must have room for; more make it larger.
    """
    u = unit(size)
    radius = min(rng.uniform(48, 78) + 5 * crowding, 90) * u
    x0, y0 = size / 2 + rng.uniform(-14, 14, 2) * u
    columns, rows = pixel_grid(size)
    dx = columns - x0 + 8 * u * fractal_noise(rng, size, 80 * u, 5, gain=0.5)
    dy = rows - y0 + 8 * u * fractal_noise(rng, size, 80 * u, 5, gain=0.5)
    tilt = rng.uniform(0, math.pi)
    squash = math.sqrt(rng.uniform(0.66, 1.0))
    along = (dx * math.cos(tilt) + dy * math.sin(tilt)) * squash
    across = (dy * math.cos(tilt) - dx * math.sin(tilt)) / squash
    # Beyond the middle of the frame distances grow faster, so that lesions end inside it.
    outlying = np.hypot(columns - size / 2, rows - size / 2) - 0.38 * size
    distance = np.hypot(along, across) + 1.5 * np.maximum(outlying, 0)

    roughness = rng.uniform(1.5, 4.5) * u
    depth = radius * _lobes(rng, np.arctan2(across, along)) - distance
    depth = depth + roughness * fractal_noise(rng, size, 22 * u, 6, gain=0.66)
    typical_softness = rng.uniform(math.log(3.5), math.log(14.0))
    softness = np.exp(typical_softness + 0.6 * fractal_noise(rng, size, 70 * u, 1)).clip(1.5, 22)
    coverage = smoothstep(as_field(-u * softness), as_field(u * softness), depth)

    return Lesion(
        depth=depth.astype(np.float32),
        coverage=coverage,
        pigment=_pigment(rng, size, distance / radius)
        * (1 - rng.uniform(0, 0.5) * (1 - smoothstep(-0.05 * radius, 0.5 * radius, depth))),
        absorption=_absorption(rng, size),
        blood=_blood(rng, size),
        strength=math.exp(rng.uniform(-0.25, 0.45)),
        centre=(float(x0), float(y0)),
        radius=float(radius),
    )


def _lobes(rng: np.random.Generator, angle: Field) -> Field:
    """Outline radius relative to the mean, for `angle` in -pi..pi."""
    turns = np.linspace(-math.pi, math.pi, 2048, dtype=np.float32)
    outline = np.ones_like(turns)
    for order in range(2, 6):
        amplitude = rng.normal(0, 0.09) / order**1.3
        outline += amplitude * np.cos(order * turns + rng.uniform(0, 2 * math.pi))
    at = (angle + math.pi) * np.float32((len(turns) - 1) / (2 * math.pi))
    return outline[np.clip(at, 0, len(turns) - 1).astype(np.int32)]


def _pigment(rng: np.random.Generator, size: int, relative_distance: Field) -> Field:
    """Melanin: a level, a slope, a darker or paler centre, eccentric zones and mottling."""
    u = unit(size)
    columns, rows = pixel_grid(size)
    pigment = rng.uniform(0.4, 1.0) + rng.uniform(-0.2, 0.6) * np.exp(-2.5 * relative_distance**2)
    downhill = rng.uniform(0, 2 * math.pi)
    across = (columns * math.cos(downhill) + rows * math.sin(downhill)) / size
    pigment = pigment + rng.uniform(0, 0.9) * (across - across.mean())
    zones = fractal_noise(rng, size, 70 * u, 5, gain=0.5)
    if rng.random() < 0.6:
        reach = rng.uniform(0.2, 0.8)
        pigment = pigment + rng.uniform(0.3, 1.0) * smoothstep(reach, reach + 1.1, zones)
    if rng.random() < 0.55:
        pigment = pigment * (1 - rng.uniform(0.3, 0.65) * smoothstep(0.1, 1.2, -zones))
    mottled = rng.uniform(0.10, 0.2) * fractal_noise(rng, size, 30 * u, 5, gain=0.65)
    grain = rng.uniform(0.07, 0.15) * fractal_noise(rng, size, 6 * u, 4, gain=0.85)
    return np.clip(pigment * (1 + mottled + grain), 0.15, 2.0).astype(np.float32)


def _absorption(rng: np.random.Generator, size: int) -> Field:
    """Two browns blended in smooth patches."""
    first, second = (rng.dirichlet((1.0, 2.0, 1.0)).astype(np.float32) @ _BROWNS for _ in range(2))
    blend = smoothstep(-1.2, 1.2, fractal_noise(rng, size, 60 * unit(size), 2))
    return first + blend[..., None] * (second - first)


def _blood(rng: np.random.Generator, size: int) -> Field:
    if rng.random() < 0.5:
        return np.zeros((size, size), np.float32)
    patches = fractal_noise(rng, size, 60 * unit(size), 3)
    flush = rng.uniform(0.0, 0.4) + rng.uniform(0.3, 1.2) * smoothstep(0.2, 1.4, patches)
    return as_field(cv2.GaussianBlur(as_field(flush), (0, 0), 2 * unit(size)))
