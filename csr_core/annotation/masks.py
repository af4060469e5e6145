"""Regions at image resolution, kept as run lengths."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_RUNS", "MAX_SIDE", "Mask", "run_lengths"]

MAX_SIDE = 4096
MAX_RUNS = 400_000


def run_lengths(region: NDArray[np.bool_]) -> list[int]:
    """Count the runs of a region (height, width), in the order of a `Mask`."""
    flat = np.asarray(region, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges.tolist(), flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


@dataclass(frozen=True)
class Mask:
    """A region of an image as run lengths, in COCO's order.

    Pixels are counted down the columns, from left to right; runs outside and inside the region take
    turns, the first is outside and may be empty.

    Attributes:
        height: of the image in pixels.
        width: of the image in pixels.
        counts: lengths of the runs; they add up to height x width.

    Raises:
        ValueError: if the sides or the runs are out of range, or don't fill the image.
    """

    height: int
    width: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        sides = (self.height, self.width)
        if not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
            raise ValueError(f"A region's image has sides of 1 to {MAX_SIDE} pixels.")
        if len(self.counts) > MAX_RUNS:
            raise ValueError(f"A region has at most {MAX_RUNS} runs; draw it less ragged.")
        whole = set(map(type, self.counts)) == {int}
        if not whole or self.counts[0] < 0 or min(self.counts[1:], default=1) < 1:
            raise ValueError("The runs of a region are whole numbers above zero.")
        if sum(self.counts) != self.height * self.width:
            raise ValueError("The runs of a region must add up to the pixels of its image.")

    @property
    def area(self) -> int:
        """Pixels inside."""
        return sum(self.counts[1::2])

    @classmethod
    def of(cls, region: NDArray[np.bool_]) -> "Mask":
        """Make a mask of a region (height, width)."""
        return cls(region.shape[0], region.shape[1], tuple(run_lengths(region)))

    def pixels(self) -> NDArray[np.bool_]:
        """The region, (height, width)."""
        inside = np.arange(len(self.counts)) % 2 == 1
        flat = np.repeat(inside, self.counts)
        return flat.reshape((self.height, self.width), order="F")

    def to_json(self) -> dict[str, Any]:
        """As in COCO: `size` [height, width] and `counts`."""
        return {"size": [self.height, self.width], "counts": list(self.counts)}

    @classmethod
    def from_json(cls, value: object) -> "Mask":
        """Read what `to_json` gave.

        Raises:
            ValueError: if it is something else.
        """
        match value:
            case {"size": [int(height), int(width)], "counts": [*counts]} if counts:
                return cls(height, width, tuple(counts))
        raise ValueError("A region is given by its `size` and the `counts` of its runs.")
