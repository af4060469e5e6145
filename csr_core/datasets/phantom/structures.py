"""One painter per dermoscopic concept that fills an area; streaks have a module of their own.

A painter is a pure function of its random stream, the lesion and the territory it was given;
it returns a `Layer`. Densities are absorptions in units of lesion pigment, tints are opaque
scatter lying over it.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import (
    Field,
    as_field,
    blurred,
    cell_border_distance,
    close_region,
    discs,
    fractal_noise,
    scattered_points,
    smoothstep,
    softened,
    stretched,
    unevenly_focused,
    unit,
    warped,
)
from csr_core.datasets.phantom.layers import Layer, Tint
from csr_core.datasets.phantom.lesion import Lesion

__all__ = ["AREA_PAINTERS"]

_OWNED = 0.5  # ownership from which a pixel counts as part of a territory
_THINLY_OWNED = 0.4  # spots are strewn sparsely down to this ownership


def _typical_network(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Regular mesh of thin brown lines round paler holes, fading out at the border."""
    size, u = lesion.size, unit(lesion.size)
    spacing = rng.uniform(5.2, 6.9) * u
    to_line, _ = cell_border_distance(scattered_points(rng, size, spacing, jitter=0.19), size)
    # The slow warp lets the mesh widen and narrow, the fast one bends its lines.
    to_line = warped(rng, warped(rng, to_line, 60 * u, 3.5 * u), 14 * u, 1.3 * u)
    width = u * rng.uniform(0.95, 1.25) * (1 + 0.2 * fractal_noise(rng, size, 20 * u, 2))
    lines = np.exp(-((to_line / width.clip(0.7 * u)) ** 2))
    contrast = (1 + 0.35 * fractal_noise(rng, size, 22 * u, 3)).clip(0.45, 1.7)
    fade = smoothstep(-2 * u, rng.uniform(0.25, 0.45) * lesion.radius, lesion.depth)
    strength = smoothstep(0.05, 0.85, own) * (0.25 + 0.75 * fade) * fade**0.5 * contrast
    density = strength * (rng.uniform(0.5, 0.68) * lines - 0.1) * (1 - _follicles(rng, size))
    region = (own > _OWNED) & (fade > 0.2)
    return Layer(region, _ground(0.55 * own), rng.uniform(0.4, 0.65), density)


def _atypical_network(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Holes of unequal size in thick, smudged, dark lines that stop abruptly."""
    size, u = lesion.size, unit(lesion.size)
    points = scattered_points(rng, size, rng.uniform(7.3, 9.2) * u, jitter=0.28)
    thinning = fractal_noise(rng, size, 30 * u, 1)
    at = np.clip(np.rint(points).astype(int), 0, size - 1)
    points = points[rng.random(len(points)) < 0.7 + 0.25 * np.sign(thinning[at[:, 1], at[:, 0]])]
    to_line, _ = cell_border_distance(points, size)
    to_line = warped(rng, to_line, 24 * u, 2.3 * u)
    width = u * (1.6 + 0.9 * fractal_noise(rng, size, 18 * u, 2)).clip(0.8, 3.6)
    lines = unevenly_focused(rng, np.exp(-((to_line / width) ** 2)), 0.7 * u, 1.2 * u)
    smudge = smoothstep(0.6, 1.6, fractal_noise(rng, size, 24 * u, 3))
    strength = smoothstep(0.3, 0.65, own) * smoothstep(-1 * u, 4 * u, lesion.depth)
    darkness = (rng.uniform(1.0, 1.25) + 0.35 * fractal_noise(rng, size, 16 * u, 3)).clip(0.6, 1.9)
    density = strength * (darkness * np.maximum(lines, 0.6 * smudge) - 0.1)
    region = (own > _OWNED) & (lesion.depth > 0)
    return Layer(region, _ground(0.6 * own), rng.uniform(0.45, 0.65), density)


def _negative_network(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Pale, thin, broken serpiginous lines round elongated brown globular holes."""
    size, u = lesion.size, unit(lesion.size)
    points = scattered_points(rng, size, rng.uniform(7.5, 9.5) * u, jitter=0.24)
    to_line, _ = cell_border_distance(points, size)
    to_line = stretched(to_line, rng.uniform(1.2, 1.6), rng.uniform(0, math.pi))
    to_line = warped(rng, to_line, 26 * u, 2.8 * u)
    lines = np.exp(-((to_line / (rng.uniform(1.1, 1.4) * u)) ** 2))
    holes = smoothstep(1.2 * u, 4.0 * u, to_line)
    unbroken = 0.2 + 0.8 * smoothstep(-1.2, 0.3, fractal_noise(rng, size, 14 * u, 2))
    brown = (1 + 0.35 * fractal_noise(rng, size, 12 * u, 2)).clip(0.3, 1.7)
    strength = smoothstep(0.1, 0.75, own) * smoothstep(0, 7 * u, lesion.depth)
    density = strength * (0.4 * holes * brown - 0.25 * lines * unbroken)
    milky = blurred(lines * unbroken, 0.75 * u)
    tint = Tint((0.88, 0.75, 0.70), as_field(strength * milky * rng.uniform(0.38, 0.48)))
    region = (own > _OWNED) & (lesion.depth > 2 * u)
    return Layer(region, _ground(0.6 * own), rng.uniform(0.65, 0.9), density, (tint,))


def _dots_and_globules(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Clustered round to oval, brown to black blobs of unequal size, some out of focus."""
    size, u = lesion.size, unit(lesion.size)
    centres = _spots(rng, own, lesion.depth > 3 * u, rng.uniform(6.5, 9) * u, 0.28, keep=0.62)
    radii = _radii(rng, len(centres), 2.1, 0.42, (1.0, 4.6), u)
    spots = warped(rng, discs(rng, size, centres, radii).astype(np.float32), 6 * u, 0.7 * u)
    blobs = unevenly_focused(rng, spots, 0.8 * u, 1.7 * u) / np.float32(255)
    shade = (rng.uniform(0.8, 1.2) + 0.3 * fractal_noise(rng, size, 14 * u, 1)).clip(0.6, 2)
    region = close_region(blobs > 0.35, 7 * u) & (own > _THINLY_OWNED)
    return Layer(region, _ground(0.55 * own), rng.uniform(0.4, 0.65), as_field(blobs * shade))


def _milia_like_cysts(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Bright white to yellowish round spots with a soft halo: a few large, many tiny."""
    size, u = lesion.size, unit(lesion.size)
    centres = _spots(rng, own, lesion.depth > 4 * u, rng.uniform(11, 15) * u, 0.45, keep=0.55)
    large = max(2, round(0.22 * len(centres)))
    radii = np.concatenate([
        _radii(rng, large, 2.8, 0.28, (2.1, 4.6), u),
        _radii(rng, max(0, len(centres) - large), 1.2, 0.3, (0.8, 2.0), u),
    ])[: len(centres)]  # fmt: skip
    spots = discs(rng, size, centres, radii)
    core, halo = softened(spots, u), softened(spots, 3.2 * u)
    tint = Tint((0.97, 0.91, 0.80), np.clip(1.05 * core + 0.6 * halo, 0, 0.9))
    region = close_region(core > 0.25, 15 * u) & (own > _THINLY_OWNED)
    return Layer(region, _ground(0.5 * own), rng.uniform(0.65, 0.95), -0.2 * halo, (tint,))


def _blue_whitish_veil(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """Confluent structureless steel-blue zone under a white ground-glass haze."""
    u = unit(lesion.size)
    zone = _frayed(rng, own, lesion)
    uneven = 1 + 0.15 * fractal_noise(rng, lesion.size, 35 * u, 4, gain=0.65)
    blue = Tint((0.39, 0.43, 0.51), (zone * rng.uniform(0.45, 0.62) * uneven).clip(0, 0.9))
    clouds = smoothstep(-1.4, 2.4, fractal_noise(rng, lesion.size, 26 * u, 4, gain=0.65))
    haze = Tint((0.78, 0.81, 0.86), zone * clouds * rng.uniform(0.35, 0.55))
    density = zone * 0.15 * fractal_noise(rng, lesion.size, 8 * u, 4, gain=0.75)
    return Layer(zone > _OWNED, 0.85 * zone, rng.uniform(1.2, 1.6), density, (blue, haze))


def _regression(rng: np.random.Generator, lesion: Lesion, own: Field) -> Layer:
    """White scar-like area with blue-grey peppering."""
    u = unit(lesion.size)
    zone = _frayed(rng, own, lesion)
    scar = 0.48 + 0.17 * fractal_noise(rng, lesion.size, 22 * u, 5, gain=0.65)
    white = Tint((0.93, 0.86, 0.83), zone * scar.clip(0.15, 0.8))
    centres = _spots(rng, own, lesion.depth > 2 * u, 4.2 * u, 0.4, keep=0.6)
    radii = (rng.uniform(0.45, 1.25, len(centres)) * u).astype(np.float32)
    pepper = softened(discs(rng, lesion.size, centres, radii), 0.6 * u)
    dusty = smoothstep(-0.6, 0.9, fractal_noise(rng, lesion.size, 22 * u, 2))
    grey = Tint((0.42, 0.42, 0.46), zone * dusty * pepper * 0.75)
    mist = Tint((0.55, 0.56, 0.61), zone * dusty * 0.25)
    return Layer(zone > _OWNED, 0.85 * zone, 0.18, np.zeros_like(zone), (white, mist, grey))


def _frayed(rng: np.random.Generator, own: Field, lesion: Lesion) -> Field:
    """A territory whose border dissolves irregularly, inside the lesion; 0..1."""
    u = unit(lesion.size)
    at_border = 4 * own * (1 - own)
    ragged = own + 0.15 * at_border * fractal_noise(rng, lesion.size, 20 * u, 4, gain=0.6)
    zone = smoothstep(0.2, 0.95, ragged) * smoothstep(-3 * u, 14 * u, lesion.depth)
    return blurred(zone, 4.5 * u)


def _ground(weight: Field) -> Field:
    """How far a structure recolours the lesion below: as its territory, without its seams."""
    return blurred(weight, 7 * unit(weight.shape[0]))


def _follicles(rng: np.random.Generator, size: int) -> Field:
    """Where hair follicles interrupt a network, 0..1."""
    u = unit(size)
    centres = scattered_points(rng, size, rng.uniform(18, 28) * u, jitter=0.35)
    return softened(discs(rng, size, centres, _radii(rng, len(centres), 2.2, 0.3, (1, 4), u)), u)


def _radii(
    rng: np.random.Generator,
    count: int,
    median: float,
    spread: float,
    limits: tuple[float, float],
    u: float,
) -> NDArray[np.float32]:
    """Log-normal radii in canvas pixels; `median` and `limits` on a 256-pixel image."""
    return (rng.lognormal(math.log(median), spread, count).clip(*limits) * u).astype(np.float32)


def _spots(
    rng: np.random.Generator,
    own: Field,
    allowed: NDArray[np.bool_],
    spacing: float,
    jitter: float,
    *,
    keep: float,
) -> NDArray[np.float32]:
    """Points about `spacing` apart, sparser where ownership is low; (N, 2) as x, y.

    A share `keep` of those offered remains, but at least five wherever the lattice offers
    them, so a labelled concept can be seen.
    """
    points = scattered_points(rng, allowed.shape[0], spacing, jitter)
    at = np.rint(points).astype(int)
    within = ((at >= 0) & (at < allowed.shape[0])).all(axis=1)
    points, at = points[within], at[within]
    weight = own[at[:, 1], at[:, 0]] * allowed[at[:, 1], at[:, 0]]
    offered = weight > _THINLY_OWNED
    points, weight = points[offered], weight[offered]
    # Exponential waiting times: the shortest are a sample weighted without replacement.
    order = np.argsort(rng.exponential(size=len(points)) / weight**2)
    return points[order[: max(5, round(keep * float(weight.sum())))]]


Painter = Callable[[np.random.Generator, Lesion, Field], Layer]

AREA_PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "typical_network": _typical_network,
        "atypical_network": _atypical_network,
        "negative_network": _negative_network,
        "dots_and_globules": _dots_and_globules,
        "milia_like_cyst": _milia_like_cysts,
        "blue_whitish_veil": _blue_whitish_veil,
        "regression": _regression,
    }
)
