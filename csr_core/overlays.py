"""Pictures of evidence: crops around patches, and concept maps from similarity maps."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["concept_maps", "exemplar_crop"]

CONTEXT = 5
"""Patches a crop is wide: a 16 pixel patch alone is too little to recognise anything."""


def concept_maps(similarity_maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """One map a concept, for painting and for the pointing game: the best prototype at each patch.

    Its maximum is the concept's similarity, the largest score of its prototypes.

    Args:
        similarity_maps: S, (..., K, M, H, W).

    Returns:
        (..., K, H, W), cosines in [-1, 1].
    """
    return similarity_maps.max(axis=-3)


def exemplar_crop(
    image: NDArray[np.uint8], cell: tuple[int, int], side: int, size: int = 128
) -> bytes:
    """Cut out a patch with its surroundings, the patch outlined.

    Args:
        image: (H₀, W₀, 3) uint8 RGB, of any aspect ratio: patches are cells of its squashed form.
        cell: row and column of the patch.
        side: patches along an edge of the grid.
        size: side of the crop in pixels.

    Returns:
        A JPEG. At the border of the image the crop moves inwards.
    """
    context = min(CONTEXT, side)
    whole = cv2.resize(image, (side * 32, side * 32), interpolation=cv2.INTER_AREA)
    first = [min(max(index - context // 2, 0), side - context) for index in cell]
    top, left = (index * 32 for index in first)
    crop = whole[top : top + context * 32, left : left + context * 32]
    crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    scale = size / context
    corner = (round((cell[1] - first[1]) * scale), round((cell[0] - first[0]) * scale))
    opposite = (corner[0] + round(scale), corner[1] + round(scale))
    outlined = crop.copy()
    for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.rectangle(outlined, corner, opposite, colour, width)
    done, data = cv2.imencode(".jpg", outlined[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise ValueError("The crop could not be written as JPEG.")
    return data.tobytes()
