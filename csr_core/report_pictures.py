"""Pictures of a report: the image with the similarity of one concept, the marks and a legend."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.evidence import CONFIRMED, FORCED, REJECTED, RESTORED, SUPPRESSED

__all__ = ["MARK_LEGEND", "paint_evidence"]

SIDE = 480
LEGEND = 44
HEAT_OPACITY = 0.7
HATCH = 10
BLUE, ORANGE, GREEN = (111, 195, 255), (255, 176, 102), (139, 226, 139)

MARK_LEGEND = "blue hatching: suppressed or ignored; orange plus signs: forced; green border: focus"

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def paint_evidence(
    pixels: Pixels, concept_map: NDArray[np.float32], top: float, marks: NDArray[np.int8]
) -> Pixels:
    """Paint similarities over an image, on a scale that is the same before and after edits.

    Args:
        pixels: (height, width, 3) uint8 RGB, of any aspect ratio.
        concept_map: (H, W), a similarity a patch.
        top: similarity at the upper end of the colour scale, above 0; the lower end is 0.
        marks: (H, W), as in `csr_core.evidence.EvidenceMap`.

    Returns:
        (h + legend, w, 3) uint8 RGB, the longer side of the image 480 pixels.
    """
    scale = SIDE / max(pixels.shape[:2])
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    shrunk = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(concept_map, (width, height), interpolation=cv2.INTER_LINEAR)
    place = np.clip(smooth / top, 0, 1)
    alpha = HEAT_OPACITY * place[..., None] ** 1.6  # low similarities leave the image visible
    painted = (1 - alpha) * shrunk + alpha * _cividis(place)
    drawn = ((SUPPRESSED, REJECTED), BLUE), ((FORCED, CONFIRMED), ORANGE), ((RESTORED,), GREEN)
    for kinds, colour in drawn:
        member = np.isin(marks, kinds).astype(np.uint8)
        area = cv2.resize(member, (width, height), interpolation=cv2.INTER_NEAREST) > 0
        painted = _outlined(painted, area, colour)
        if RESTORED not in kinds:
            cell = (height / marks.shape[0], width / marks.shape[1]) if FORCED in kinds else None
            painted = _patterned(painted, area, colour, cell)
    return np.vstack([painted.round().astype(np.uint8), _legend(width, top)])


def _cividis(place: NDArray[np.floating]) -> Pixels:
    levels = np.round(255 * place).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)[..., ::-1])


def _outlined(
    painted: NDArray[np.floating], area: Mask, colour: tuple[int, int, int]
) -> NDArray[Any]:
    inner = np.pad(area.astype(np.uint8), 1)
    thin, thick = (
        area & (cv2.erode(inner, np.ones((size, size), np.uint8))[1:-1, 1:-1] == 0)
        for size in (5, 7)
    )
    painted = np.where(thick[..., None], 0, painted)
    return np.where(thin[..., None], colour, painted)


def _patterned(
    painted: NDArray[np.floating],
    area: Mask,
    colour: tuple[int, int, int],
    cell: tuple[float, float] | None,
) -> NDArray[Any]:
    """Hatch an area, or draw a plus sign in the middle of each of its cells."""
    y, x = np.indices(area.shape)
    if cell:
        dy, dx = (
            np.abs((axis + 0.5) % side - side / 2) for axis, side in zip((y, x), cell, strict=True)
        )
        lines = (np.minimum(dx, dy) <= 1.5) & (np.maximum(dx, dy) <= min(cell) / 4)
    else:
        lines = (x + y) % HATCH < 2
    return np.where((lines & area)[..., None], colour, painted)


def _legend(width: int, top: float) -> Pixels:
    strip = np.full((LEGEND, width, 3), 255, np.uint8)
    ramp = _cividis(np.linspace(0, 1, width, dtype=np.float64)[None])
    strip[4:18] = ramp
    words = (("0", 0.0), ("similarity", 0.5), (f"{top:.2f}", 1.0))
    for text, place in words:
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
        left = round(place * max(width - length, 0))
        cv2.putText(
            strip, text, (left, 38), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA
        )
    return strip
