"""What lies on, over or round the skin: hair, ruler, ink, gel bubbles, dark corners, patches."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import (
    Field,
    fractal_noise,
    pixel_grid,
    smoothstep,
    softened,
    unit,
)
from csr_core.datasets.phantom.lesion import Lesion

__all__ = ["ARTEFACT_PAINTERS"]

_SUBPIXEL_BITS = 4

# Orange, blue, red, turquoise, yellow, green.
_PLASTERS = np.array(
    [
        [0.95, 0.45, 0.05],
        [0.05, 0.50, 0.80],
        [0.80, 0.08, 0.12],
        [0.20, 0.68, 0.62],
        [0.95, 0.80, 0.20],
        [0.30, 0.62, 0.25],
    ],
    np.float32,
)


def _blend(photo: Field, colour: NDArray[np.float32] | Field, opacity: Field) -> Field:
    return photo + opacity[..., None] * (colour - photo)


def _stroke(canvas: NDArray[np.uint8], spine: NDArray[np.float64], half: Field) -> None:
    """Fill a curved stroke of varying half-width along `spine` (N, 2) into `canvas`."""
    tangent = np.gradient(spine, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
    normal = tangent[:, ::-1] * np.array([-1, 1]) * half[:, None]
    outline = np.concatenate([spine + normal, (spine - normal)[::-1]])
    points = np.rint(outline * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def _hair(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """Tapered curved hairs, dark or blond, each with a soft shadow."""
    size, u = lesion.size, unit(lesion.size)
    hairs = np.zeros((size, size), np.uint8)
    direction = rng.uniform(0, 2 * math.pi)
    disorder = rng.uniform(0.2, 1.2)
    thickness = rng.uniform(0.03, 0.2)
    along = np.linspace(0, 1, 40)
    for _ in range(int(rng.integers(6, 32))):
        heading = direction + rng.normal(0, disorder)
        curl = rng.normal(0, 0.5) * along + rng.normal(0, 0.8) * along**3
        step = rng.uniform(0.25, 1.1) * size / len(along)
        moves = step * np.stack([np.cos(heading + curl), np.sin(heading + curl)], axis=1)
        spine = rng.uniform(-0.1, 1.1, 2) * size + np.cumsum(moves, axis=0)
        half = u * thickness * rng.uniform(0.6, 1.4) * (1.02 - along) ** 0.6
        _stroke(hairs, spine, half.astype(np.float32))
    colour = np.array(
        [0.46, 0.33, 0.20] if rng.random() < 0.3 else [0.17, 0.115, 0.085], np.float32
    ) * rng.uniform(0.7, 1.3)
    drift = rng.uniform(-2.5, 2.5, 2) * u
    shift = np.array([[1, 0, drift[0]], [0, 1, drift[1]]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(hairs, shift, (size, size)), (0, 0), 2.0 * u)
    photo = photo * (1 - 0.15 / 255 * shadow.astype(np.float32))[..., None]
    opacity = softened(hairs, 0.35 * u) * 0.85
    return _blend(photo, colour, opacity), np.zeros_like(opacity)


def _ruler(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """A printed millimetre scale beside the lesion, or the white edge of a ruler."""
    size, u = lesion.size, unit(lesion.size)
    angle = rng.choice([0, 90, 180, 270]) + rng.uniform(-18, 18)
    pitch = rng.uniform(7, 12) * u
    band = rng.random() < 0.3
    # Drawn level below the lesion, then turned about the middle of the frame.
    level = size / 2 + rng.uniform(0.37, 0.43) * size
    if band:
        level = size / 2 + rng.uniform(0.40, 0.44) * size
    count = 80 if band else int(rng.integers(9, 14))
    start = -size / 2 if band else size / 2 - count * pitch / 2 + rng.uniform(-25, 25) * u
    marks = np.zeros((size, size), np.uint8)
    plate = np.zeros((size, size), np.uint8)

    turn = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), float(angle), 1.0), np.float64)

    def placed(points: list[tuple[float, float]]) -> NDArray[np.int32]:
        turned = np.array(points) @ turn[:, :2].T + turn[:, 2]
        return np.rint(turned * 2**_SUBPIXEL_BITS).astype(np.int32)

    def line(x0: float, y0: float, x1: float, y1: float, width: float) -> None:
        ends = placed([(x0, y0), (x1, y1)])
        cv2.polylines(
            marks, [ends], False, 255, max(1, round(width * u)), cv2.LINE_AA, _SUBPIXEL_BITS
        )

    thick = 2.2 if band else 0.8
    for tick in range(count + 1):
        long = tick % 5 == 0
        height = (11 if long else 7) * u if band else (-8 if long else -4.5) * u
        line(start + tick * pitch, level, start + tick * pitch, level + height, thick)
    if band:
        far = 2 * size
        corners = placed([(-far, level - 3 * u), (far, level - 3 * u), (far, far), (-far, far)])
        cv2.fillPoly(plate, [corners], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    else:
        line(start, level, start + count * pitch, level, thick)
        _print_unit(marks, turn, (start - 2 * u, level + 9 * u), u)
    cover = softened(plate, 0.4 * u)
    photo = _blend(photo, np.array([0.90, 0.92, 0.92], np.float32), cover)
    ink = softened(marks, 0.4 * u)
    return _blend(photo, np.full(3, 0.12, np.float32), ink * rng.uniform(0.7, 0.95)), cover


def _print_unit(
    marks: NDArray[np.uint8], turn: NDArray[np.float64], at: tuple[float, float], u: float
) -> None:
    """Write `mm` at `at` of the level drawing, turned like the scale."""
    text = np.zeros_like(marks)
    origin = (round(at[0]), round(at[1]))
    cv2.putText(
        text, "mm", origin, cv2.FONT_HERSHEY_SIMPLEX, 0.28 * u, 255, max(1, round(0.6 * u)),
        cv2.LINE_AA,
    )  # fmt: skip
    np.maximum(marks, cv2.warpAffine(text, turn, marks.shape[::-1]), out=marks)


def _ink(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """Surgical marker: hatched dots or a dashed line round the lesion, worn by skin texture."""
    size, u = lesion.size, unit(lesion.size)
    strokes = np.zeros((size, size), np.uint8)
    along = np.linspace(0, 1, 20)
    first = rng.uniform(0, 2 * math.pi)
    marks = int(rng.integers(2, 6))
    for mark in range(marks):
        angle = first + 2 * math.pi * mark / marks + rng.normal(0, 0.2)
        border = lesion.border_radius(np.array([angle]))[0]
        radius = border + rng.uniform(16, 30) * u
        around = rng.uniform(4, 13) * u
        for _ in range(int(rng.integers(6, 22))):
            ends = rng.normal(0, around, (2, 2)) * [0.5, 1.0]
            arc = ends[0] + (ends[1] - ends[0]) * along[:, None] + rng.normal(0, 0.3 * u, (20, 2))
            r, swing = radius + arc[:, 0], angle + arc[:, 1] / radius
            spine = np.array(lesion.centre) + np.stack(
                [r * np.cos(swing), r * np.sin(swing)], axis=1
            )
            _stroke(strokes, spine, np.full(20, rng.uniform(0.35, 0.9) * u, np.float32))
    wear = smoothstep(-1.3, 0.9, fractal_noise(rng, size, 5 * u, 3))
    ink = softened(strokes, 0.5 * u)
    stain = softened(strokes, 4 * u)
    off_lesion = 1 - smoothstep(-12 * u, -5 * u, lesion.depth)
    opacity = (0.8 * ink * wear + 0.35 * stain).clip(0, 0.85) * off_lesion
    purple, blue = np.array([0.42, 0.22, 0.62]), np.array([0.28, 0.30, 0.66])
    dye = (purple + rng.random() * (blue - purple)).astype(np.float32)
    # Ink is transparent: it filters the skin below.
    return photo * (1 - opacity[..., None] * (1 - dye)), np.zeros_like(opacity)


def _gel_bubbles(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """Air bubbles in the immersion gel: refracting rims with a highlight."""
    size, u = lesion.size, unit(lesion.size)
    photo = photo.copy()
    columns, rows = pixel_grid(size)
    for _ in range(int(rng.integers(2, 8))):
        x, y = rng.uniform(0.04, 0.96, 2) * size
        radius = rng.uniform(4.5, 13) * u
        tilt, squash = rng.uniform(0, math.pi), rng.uniform(0.75, 1.0)
        top, left = (max(0, int(c - 1.5 * radius)) for c in (y, x))
        window = np.s_[top : int(y + 1.5 * radius), left : int(x + 1.5 * radius)]
        dx, dy = columns[window] - x, rows[window] - y
        rho = np.hypot(
            dx * math.cos(tilt) + dy * math.sin(tilt),
            (dy * math.cos(tilt) - dx * math.sin(tilt)) / squash,
        )
        rim = np.exp(-(((rho - radius) / (0.7 * u)) ** 2))
        inner = np.exp(-(((rho - radius + 1.6 * u) / (1.0 * u)) ** 2))
        lit = 0.5 + 0.5 * np.cos(np.arctan2(dy, dx) - rng.uniform(0, 2 * math.pi))
        below = photo[window] * (1 - 0.27 * inner * (1 - 0.5 * lit))[..., None]
        shine = rim * (0.10 + 0.62 * lit**3)
        photo[window] = _blend(below, np.array([0.98, 0.99, 1.0], np.float32), shine)
    return photo, np.zeros((size, size), np.float32)


def _dark_corner(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """The round field of the dermatoscope: everything outside a circle is black."""
    size, u = lesion.size, unit(lesion.size)
    x, y = size / 2 + rng.uniform(-0.03, 0.03, 2) * size
    columns, rows = pixel_grid(size)
    distance = np.hypot(columns - x, rows - y)
    needed = float(distance[lesion.depth > 0].max()) + 3 * u
    radius = max(rng.uniform(0.50, 0.60) * size, min(needed, 0.62 * size))
    softness = rng.uniform(2, 16) * u
    dark = smoothstep(radius - softness, radius + softness, distance)
    black = np.array([0.04, 0.035, 0.035], np.float32)
    return _blend(photo, black, dark), dark


def _patches(rng: np.random.Generator, photo: Field, lesion: Lesion) -> tuple[Field, Field]:
    """A round, flat coloured plaster partly in frame, away from the lesion."""
    size, u = lesion.size, unit(lesion.size)
    columns, rows = pixel_grid(size)
    side = rng.uniform(0, 2 * math.pi)
    border = float(lesion.border_radius(np.linspace(side - 0.5, side + 0.5, 9)).max())
    radius = rng.uniform(45, 80) * u
    # The rim nearest to the lesion keeps clear of it, yet shows in the frame.
    to_frame = 0.5 * size / max(abs(math.cos(side)), abs(math.sin(side)))
    rim = min(border + 8 * u + rng.uniform(0, 10) * u, to_frame - 10 * u)
    x = lesion.centre[0] + (rim + radius) * math.cos(side)
    y = lesion.centre[1] + (rim + radius) * math.sin(side)
    squash = rng.uniform(0.8, 1.0)
    distance = np.hypot(columns - x, (rows - y) / squash) + 0.6 * u * fractal_noise(
        rng, size, 30 * u, 2
    )
    plaster = 1 - smoothstep(radius - 1.2 * u, radius + 1.2 * u, distance)
    shadow = 1 - smoothstep(radius - 2 * u, radius + 7 * u, distance)
    colour = _PLASTERS[rng.integers(len(_PLASTERS))] * rng.uniform(0.7, 0.95)
    weave = (
        1
        + 0.015 * fractal_noise(rng, size, 2.5 * u, 2)
        + 0.03 * fractal_noise(rng, size, 50 * u, 2)
    )
    ring = np.exp(-(((distance - 0.62 * radius) / (1.0 * u)) ** 2)) * rng.uniform(0, 0.3)
    surface = colour * (weave * (1 - ring))[..., None]
    photo = photo * (1 - 0.3 * shadow)[..., None]
    return _blend(photo, surface.clip(0, 1).astype(np.float32), plaster), plaster


ArtefactPainter = Callable[[np.random.Generator, Field, Lesion], tuple[Field, Field]]

# In the order in which they are laid over the skin. Each returns the new picture,
# (size, size, 3), and how far it hides what is below, (size, size) in 0..1.
ARTEFACT_PAINTERS: Mapping[str, ArtefactPainter] = MappingProxyType(
    {
        "ink": _ink,
        "hair": _hair,
        "gel_bubble": _gel_bubbles,
        "patches": _patches,
        "ruler": _ruler,
        "dark_corner": _dark_corner,
    }
)
