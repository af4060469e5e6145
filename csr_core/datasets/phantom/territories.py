"""Which part of the lesion each concept owns, so that none hides another."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from csr_core.datasets.phantom.fields import Field, fractal_noise, pixel_grid, smoothstep
from csr_core.datasets.phantom.lesion import Lesion

__all__ = ["allot_territories"]

# Territories are smooth, so they are laid out on a canvas this many times smaller.
_REDUCTION = 4
_ATTEMPTS = 8
_ENOUGH = 0.07

# How far a territory may reach from its centre, in lesion radii: networks spread over
# whatever is free, a veil or a regression zone stays a zone.
_REACH = {
    "typical_network": 2.0,
    "atypical_network": 1.4,
    "negative_network": 0.85,
    "dots_and_globules": 0.85,
    "milia_like_cyst": 1.0,
    "blue_whitish_veil": 0.75,
    "regression": 0.7,
}


def allot_territories(
    rng: np.random.Generator, lesion: Lesion, concepts: Sequence[str]
) -> dict[str, Field]:
    """Divide the lesion among the concepts that fill an area.

    Several random layouts are tried until every territory prevails in at least 7 % of the lesion;
    failing that, the one whose smallest territory is largest is kept.

    Args:
        rng: Source of randomness.
        lesion: The lesion to divide.
        concepts: Area concepts, in a fixed order; may be empty.

    Returns:
        For each concept its ownership, 0..1 with wide, irregular borders in which neighbours
        interpenetrate, (size, size).
    """
    if not concepts:
        return {}
    small = lesion.size // _REDUCTION
    inside = cv2.resize(lesion.depth, (small, small), interpolation=cv2.INTER_AREA) > 0
    best: tuple[float, Field] | None = None
    for _ in range(_ATTEMPTS):
        layout = _layout(rng, lesion, concepts, small)
        mine = (layout > 0.5) & (layout == layout.max(axis=0)) & inside
        smallest = float(mine.sum(axis=(1, 2)).min() / inside.sum())
        if best is None or smallest > best[0]:
            best = smallest, layout
        if smallest >= _ENOUGH:
            break
    assert best is not None
    return {
        concept: cv2.resize(own, (lesion.size, lesion.size), interpolation=cv2.INTER_CUBIC).clip(
            0, 1
        )
        for concept, own in zip(concepts, best[1], strict=True)
    }


def _layout(rng: np.random.Generator, lesion: Lesion, concepts: Sequence[str], small: int) -> Field:
    """One random division, (concepts, small, small)."""
    radius = lesion.radius / _REDUCTION
    x0, y0 = (c / _REDUCTION for c in lesion.centre)
    columns, rows = pixel_grid(small)
    count = len(concepts)
    turn = rng.uniform(0, 2 * math.pi)
    order = rng.permutation(count)
    spread = 0.0 if count == 1 else 0.52
    distances = []
    for slot in order:
        angle = turn + 2 * math.pi * slot / count + rng.uniform(-0.25, 0.25)
        offset = radius * (spread + rng.uniform(-0.08, 0.12))
        x, y = x0 + offset * math.cos(angle), y0 + offset * math.sin(angle)
        bend = 0.2 * fractal_noise(rng, small, 0.55 * radius, 4, gain=0.6)
        distances.append(np.hypot(columns - x, rows - y) / radius + bend)
    field = np.stack(distances)  # (concepts, small, small)

    owned = []
    for index, concept in enumerate(concepts):
        own = smoothstep(-0.22, 0.12, _REACH[concept] * rng.uniform(0.85, 1.1) - field[index])
        if count > 1:
            nearest_other = np.delete(field, index, axis=0).min(axis=0)
            # Centred below zero: neighbours overlap, and fade into each other over 10-20 px.
            own = own * smoothstep(-0.29, 0.22, nearest_other - field[index])
        thinning = own * (1 - own) * fractal_noise(rng, small, 0.22 * radius, 3)
        owned.append(np.clip(own + 0.8 * thinning, 0, 1))
    return np.stack(owned).astype(np.float32)
