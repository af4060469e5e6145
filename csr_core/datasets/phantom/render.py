"""Composing one synthetic case: skin, lesion, structures, artefacts, camera."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.artefacts import ARTEFACT_PAINTERS
from csr_core.datasets.phantom.fields import (
    Field,
    as_field,
    fractal_noise,
    oriented_noise,
    pixel_grid,
    smoothstep,
    unit,
)
from csr_core.datasets.phantom.frequencies import PHANTOM_ARTEFACTS, PHANTOM_CONCEPTS
from csr_core.datasets.phantom.layers import Layer
from csr_core.datasets.phantom.lesion import Lesion, draw_lesion
from csr_core.datasets.phantom.skin import BLOOD, Skin, paint_skin
from csr_core.datasets.phantom.streaks import paint_streaks
from csr_core.datasets.phantom.structures import AREA_PAINTERS
from csr_core.datasets.phantom.territories import allot_territories

__all__ = ["SIZE_LIMITS", "PhantomCase", "check_size", "render_case"]

SIZE_LIMITS = (64, 1024)

# Lines and dots are painted on a finer canvas, then averaged down.
_SUPERSAMPLING = 2
_HIDDEN = 0.5

# Change of a colour, of about 1 at most, from which an artefact is seen: ten grey levels or so.
_SEEN = 0.04

# Gains of R, G, B: balanced, reddish, bluish-grey, yellowish cameras and how often each is met.
_WHITE_BALANCES = np.array(
    [[1.0, 1.0, 1.0], [1.08, 0.92, 0.89], [0.90, 0.98, 1.05], [1.0, 0.99, 0.88]], np.float32
)
_WHITE_BALANCE_RATES = (0.62, 0.10, 0.13, 0.15)

# Pigment denser than this darkens all colours alike: dark brown turns black, not orange.
_BROWN_LIMIT = np.float32(0.95)
_BLACK = np.array([0.72, 0.92, 1.0], np.float32)


@dataclass(frozen=True)
class PhantomCase:
    """One synthetic dermoscopic picture with its truth.

    Attributes:
        image: (size, size, 3) uint8, RGB.
        masks: For each present concept the visible pixels of its region, (size, size) bool.
        lesion_mask: Visible pixels of the lesion, (size, size) bool.
        artefact_masks: For each artefact the pixels that it visibly changes or hides, its shadow
            among them, (size, size) bool.
    """

    image: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.bool_]]
    lesion_mask: NDArray[np.bool_]
    artefact_masks: Mapping[str, NDArray[np.bool_]]


def render_case(
    rng: np.random.Generator,
    concepts: frozenset[str],
    artefacts: frozenset[str],
    size: int = 256,
) -> PhantomCase:
    """Paint a lesion that shows exactly the given concepts.

    The diagnosis is no argument: given its concepts, a picture holds no other hint of it.

    Args:
        rng: Source of randomness; equal states give equal pictures.
        concepts: Subset of `PHANTOM_CONCEPTS`; the two pigment networks exclude each other.
        artefacts: Subset of `PHANTOM_ARTEFACTS`.
        size: Side of the picture in pixels, 64 to 1024.

    Raises:
        ValueError: For an unknown or contradictory name, or a size out of range.
    """
    _check(concepts, artefacts, size)
    # A stream per stage: an artefact more or less leaves skin and lesion as they are.
    streams = [np.random.default_rng(seed) for seed in rng.integers(0, 2**63, 5)]
    skin_rng, lesion_rng, structure_rng, artefact_rng, camera_rng = streams
    canvas = _SUPERSAMPLING * size

    skin = paint_skin(skin_rng, canvas)
    lesion = draw_lesion(lesion_rng, canvas, crowding=len(concepts))
    layers = _paint_layers(structure_rng, lesion, concepts)
    photo = _compose(skin, lesion, layers)
    photo = _gloss(camera_rng, photo, lesion)
    hidden = np.zeros((canvas, canvas), np.float32)
    artefact_masks: dict[str, NDArray[np.bool_]] = {}
    for artefact, painter in ARTEFACT_PAINTERS.items():
        stream = np.random.default_rng(artefact_rng.integers(0, 2**63))
        if artefact in artefacts:
            painted, cover = painter(stream, photo, lesion)
            covered = _shrink(cover, size) >= _HIDDEN
            changed = _shrink(np.abs(painted - photo).max(axis=2), size) >= _SEEN
            artefact_masks = {name: mask & ~covered for name, mask in artefact_masks.items()}
            artefact_masks[artefact] = changed | covered
            photo, hidden = painted, np.maximum(hidden, cover)

    visible = _shrink(hidden, size) < _HIDDEN
    return PhantomCase(
        image=_photograph(camera_rng, photo, skin, size),
        masks={
            name: (_shrink(layer.region.astype(np.float32), size) >= 0.5) & visible
            for name, layer in layers.items()
        },
        lesion_mask=_largest_part(_shrink(lesion.depth, size) > 0) & visible,
        artefact_masks=artefact_masks,
    )


def check_size(size: int) -> None:
    """Raise ValueError unless pictures of this size can be painted."""
    low, high = SIZE_LIMITS
    if not low <= size <= high:
        raise ValueError(f"size is {size}; choose {low} to {high} pixels")


def _check(concepts: frozenset[str], artefacts: frozenset[str], size: int) -> None:
    for kind, names, known in (
        ("concept", concepts, PHANTOM_CONCEPTS),
        ("artefact", artefacts, PHANTOM_ARTEFACTS),
    ):
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"unknown {kind} {unknown[0]!r}; choose from {', '.join(known)}")
    if {"typical_network", "atypical_network"} <= concepts:
        raise ValueError("a lesion has a typical or an atypical network, not both; name one")
    check_size(size)


def _paint_layers(
    rng: np.random.Generator, lesion: Lesion, concepts: frozenset[str]
) -> dict[str, Layer]:
    present = [name for name in PHANTOM_CONCEPTS if name in concepts]
    territories = allot_territories(
        rng, lesion, [name for name in present if name in AREA_PAINTERS]
    )
    return {
        name: AREA_PAINTERS[name](rng, lesion, territories[name])
        if name in territories
        else paint_streaks(rng, lesion)
        for name in present
    }


def _compose(skin: Skin, lesion: Lesion, layers: Mapping[str, Layer]) -> Field:
    """Light passes pigment and blood (Beer-Lambert), then scatter lies over it."""
    pigment = lesion.pigment
    mean = float(pigment[lesion.depth > 0].mean())
    for layer in layers.values():
        # The level moves, most of the mottling stays.
        shift = layer.ground_level - mean - 0.35 * (pigment - mean)
        pigment = pigment + layer.ground_weight * shift
    density = lesion.coverage * pigment
    for layer in layers.values():
        density = density + layer.density
    flush = lesion.coverage * lesion.blood
    density = density * (lesion.strength * (1 + 1.5 * skin.relief))
    brown = np.clip(density, 0, _BROWN_LIMIT)[..., None] * lesion.absorption
    black = np.maximum(density - _BROWN_LIMIT, 0)[..., None] * _BLACK
    photo = skin.reflectance * cv2.exp(-(brown + black + flush[..., None] * BLOOD))
    # The camera exposes for the skin; scatter keeps its brightness in the picture.
    brightness = 1.05 / _exposure(skin)
    for layer in layers.values():
        for tint in layer.tints:
            colour = np.array(tint.colour, np.float32) * np.float32(brightness)
            photo = photo + tint.opacity[..., None] * (colour - photo)
    return photo.astype(np.float32)


def _exposure(skin: Skin) -> float:
    """Gain that makes up for about half of what dark skin swallows."""
    return float(skin.tone @ np.array([0.3, 0.59, 0.11], np.float32)) ** -0.58


def _gloss(rng: np.random.Generator, photo: Field, lesion: Lesion) -> Field:
    """Specular flecks of skin ridges, in a patch of the frame and not on the lesion."""
    if rng.random() < 0.7:
        return photo
    size, u = lesion.size, unit(lesion.size)
    ridges = oriented_noise(rng, size, 1.8 * u, 5 * u, rng.uniform(0, math.pi))
    flecks = 0.75 * ridges + 0.65 * fractal_noise(rng, size, 4 * u, 3, gain=0.7)
    where = smoothstep(0.3, 1.5, fractal_noise(rng, size, 60 * u, 3))
    off_lesion = 1 - smoothstep(-10 * u, 0.0, lesion.depth)
    shine = smoothstep(1.7, 2.9, flecks) * where * off_lesion * rng.uniform(0.2, 0.7)
    return photo + shine[..., None] * (np.float32(1.0) - photo)


def _photograph(rng: np.random.Generator, photo: Field, skin: Skin, size: int) -> NDArray[np.uint8]:
    """Uneven light, white balance, lens blur, tone curve, saturation and sensor noise."""
    canvas = photo.shape[0]
    columns, rows = pixel_grid(canvas)
    exposure = rng.uniform(0.76, 1.1) * _exposure(skin)
    x, y = rng.uniform(0.3, 0.7, 2) * canvas
    fall = np.hypot(columns - x, rows - y) / (0.7 * canvas)
    slope = (columns * rng.normal(0, 1) + rows * rng.normal(0, 1)) / canvas
    light = (1 - rng.uniform(0.0, 0.22) * fall**2) * (1 + 0.05 * (slope - slope.mean()))
    cast = np.exp(rng.normal(0, 1, 3) * [0.03, 0.012, 0.045]).astype(np.float32)
    cast *= _WHITE_BALANCES[rng.choice(len(_WHITE_BALANCES), p=_WHITE_BALANCE_RATES)]
    lit = photo * (light * exposure).astype(np.float32)[..., None] * cast

    small = _shrink(lit, size)
    small = as_field(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.75) * unit(size)))
    # A shoulder keeps bright skin from clipping to flat white.
    small = np.where(small > 0.8, 0.8 + 0.2 * np.tanh((small - 0.8) / 0.2), small)
    grey = small.mean(axis=2, keepdims=True)
    small = grey + rng.uniform(0.66, 1.02) * (small - grey)
    contrast = rng.uniform(0.9, 1.15)
    small = np.clip(0.5 + contrast * (small - 0.5), 0, 1)
    grain = rng.standard_normal((size, size, 3), dtype=np.float32)
    small = small + rng.uniform(0.005, 0.015) * grain
    return np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)


def _shrink(field: Field, size: int) -> Field:
    return as_field(cv2.resize(field, (size, size), interpolation=cv2.INTER_AREA))


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected part of `mask` with its holes filled."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, [max(contours, key=cv2.contourArea)], -1, 1, -1)
    return filled.astype(bool)
