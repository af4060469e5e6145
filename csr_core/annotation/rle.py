"""COCO's compressed run lengths: text of 6 bits a character."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["compressed", "region_of_runs", "runs_of"]

MAX_CHARACTERS = 4_000_000
_MORE = 0x20
_SIGN = 0x10
_FIRST = ord("0")
_LONGEST = 7
"""Characters of a number: 35 bits, more than any image has pixels."""


def compressed(runs: Sequence[int]) -> str:
    """Put run lengths as text: from the fourth on as the difference to the one before the last.

    Numbers go in groups of 5 bits, the lowest first, negative ones in two's complement; a sixth bit
    says that more follows.

    Args:
        runs: outside and inside in turns, down the columns.
    """
    characters = []
    for index, run in enumerate(runs):
        rest = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            group = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if group & _SIGN else 0)
            characters.append(chr(_FIRST + group + _MORE * more))
    return "".join(characters)


def runs_of(text: str) -> list[int]:
    """Read what `compressed`, or another tool, wrote.

    Args:
        text: untrusted.

    Raises:
        ValueError: if it is too long or no such text; run lengths may still be of no region.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"run lengths of more than {MAX_CHARACTERS} characters")
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _FIRST
        if not 0 <= bits < 64 or shift >= 5 * _LONGEST:
            raise ValueError("text that is no run lengths")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & _MORE:
            if bits & _SIGN:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("run lengths that are cut short")
    return runs


def region_of_runs(runs: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Draw run lengths, which may be zero in between.

    Args:
        runs: outside and inside in turns, down the columns; untrusted.
        height: of the image in pixels; checked by the caller to be sensible.
        width: of the image in pixels.

    Returns:
        (height, width) bool.

    Raises:
        ValueError: if they don't fill the image.
    """
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"run lengths that don't fill {height} × {width} pixels")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape((height, width), order="F")
