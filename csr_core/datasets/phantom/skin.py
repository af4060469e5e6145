"""Skin around the lesion: tone, furrows, mottling, freckles and follicles."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import (
    Field,
    discs,
    fractal_noise,
    oriented_noise,
    smoothstep,
    softened,
    unit,
)

__all__ = ["BLOOD", "MELANIN", "Skin", "paint_skin"]

# Absorption per unit of chromophore in R, G, B: melanin browns, blood reddens.
MELANIN = np.array([0.46, 0.75, 0.94], np.float32)
BLOOD = np.array([0.03, 0.32, 0.25], np.float32)

_DERMIS = np.array([0.92, 0.87, 0.84], np.float32)
# Melanin of Fitzpatrick types I-VI and how often each is drawn.
_TYPE_MELANIN = (0.03, 0.08, 0.16, 0.32, 0.6, 0.95)
_TYPE_RATES = (0.16, 0.24, 0.22, 0.16, 0.12, 0.10)


@dataclass(frozen=True)
class Skin:
    """Painted skin.

    Attributes:
        reflectance: (size, size, 3), RGB in 0..1, before lighting.
        tone: Mean reflectance, (3,).
        relief: Fine surface texture, about -0.1..0.1; pigment gathers where it is high.
    """

    reflectance: Field
    tone: NDArray[np.float32]
    relief: Field


def paint_skin(rng: np.random.Generator, size: int) -> Skin:
    """Skin of a random Fitzpatrick type on a (size, size) canvas."""
    u = unit(size)
    fitzpatrick = int(rng.choice(6, p=_TYPE_RATES))
    melanin_level = _TYPE_MELANIN[fitzpatrick] * rng.uniform(0.85, 1.2)
    blood_level = rng.uniform(0.0, 0.5) ** 1.6

    texture = _furrows(rng, size) * rng.uniform(0.01, 0.07)
    texture += fractal_noise(rng, size, 4 * u, 3, gain=0.8) * rng.uniform(0.008, 0.025)
    melanin = melanin_level * (1 + 0.10 * fractal_noise(rng, size, 90 * u, 3)) + texture
    melanin += _freckles(rng, size)
    # Some skin is sallow, some rosy: the base of the dermis varies with it.
    dermis = _DERMIS * np.exp(rng.normal(0, 1, 3) * [0.01, 0.015, 0.035]).astype(np.float32)
    blood = blood_level * (
        1 + rng.uniform(0.1, 0.4) * fractal_noise(rng, size, 26 * u, 5, gain=0.65)
    )
    blood = np.clip(blood, 0, None) + 0.5 * texture + _vessels(rng, size)

    density = melanin[..., None] * MELANIN + blood[..., None] * BLOOD
    tone = dermis * np.exp(-melanin_level * MELANIN - blood_level * BLOOD)
    return Skin(dermis * np.exp(-density), tone, texture)


def _furrows(rng: np.random.Generator, size: int) -> Field:
    """Criss-crossing fine lines, each where a stretched noise crosses zero; (size, size)."""
    u = unit(size)
    angle = rng.uniform(0, math.pi)
    lines = np.zeros((size, size), np.float32)
    for turn in (0.0, rng.uniform(0.9, 1.5)):
        stripes = oriented_noise(rng, size, rng.uniform(3.5, 6) * u, 28 * u, angle + turn)
        lines += np.exp(-((stripes / 0.22) ** 2))
    worn = smoothstep(-1.0, 1.2, fractal_noise(rng, size, 45 * u, 2))
    return lines * worn * rng.choice([-1, 1])


def _vessels(rng: np.random.Generator, size: int) -> Field:
    """Blood of fine branching vessels, in parts of some skins; (size, size)."""
    u = unit(size)
    if rng.random() < 0.6:
        return np.zeros((size, size), np.float32)
    courses = np.exp(-((fractal_noise(rng, size, 26 * u, 5, gain=0.6) / 0.08) ** 2))
    where = smoothstep(0.2, 1.4, fractal_noise(rng, size, 70 * u, 2))
    return courses * where * rng.uniform(0.15, 0.5)


def _freckles(rng: np.random.Generator, size: int) -> Field:
    """Melanin of faint lentigines and, on some skins, pinpoint follicles; (size, size)."""
    u = unit(size)
    freckles = np.zeros((size, size), np.float32)
    if rng.random() < 0.4:
        blotches = smoothstep(0.9, 3.2, fractal_noise(rng, size, 15 * u, 3, gain=0.4))
        freckles += blotches * rng.uniform(0.06, 0.25)
    if rng.random() < 0.2:
        count = int(rng.integers(15, 50))
        centres = rng.uniform(0, size, (count, 2)).astype(np.float32)
        radii = (rng.uniform(0.6, 1.1, count) * u).astype(np.float32)
        freckles += softened(discs(rng, size, centres, radii), 0.3 * u) * rng.uniform(0.1, 0.25)
    return freckles
