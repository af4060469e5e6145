"""What a painter of one concept hands back."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.phantom.fields import Field

__all__ = ["Layer", "Tint"]


@dataclass(frozen=True)
class Tint:
    """Scattering veil: `colour` (R, G, B in 0..1) laid over the image with `opacity` 0..1."""

    colour: tuple[float, float, float]
    opacity: Field


@dataclass(frozen=True)
class Layer:
    """What one concept adds to a lesion.

    Attributes:
        region: Where an annotator would outline the concept; (size, size) bool.
        ground_weight: How strongly the pigment below is pulled to `ground_level`; (size, size).
        ground_level: Pigment density that gives the structure its contrast.
        density: Pigment added (negative: removed); (size, size).
        tints: Scatter laid over the pigment, in order.
    """

    region: NDArray[np.bool_]
    ground_weight: Field
    ground_level: float
    density: Field
    tints: tuple[Tint, ...] = field(default=())
