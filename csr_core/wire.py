"""What travels between browser and server: fields that are checked, arrays and pictures as text."""

import base64
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PICTURE_SIDE",
    "RequestError",
    "data_url",
    "index_field",
    "jpeg_url",
    "packed",
    "semantics_field",
    "text_field",
]

PICTURE_SIDE = 1024


class RequestError(ValueError):
    """A request lacks a field, or a field holds what it may not."""


def text_field(value: object, field: str) -> str:
    """Check a field that must be a text of 1 to 200 characters.

    Raises:
        RequestError: naming the field.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise RequestError(f"The request needs {field!r} as a short text.")
    return value


def index_field(value: object, field: str, count: int) -> int:
    """Check a field that must be a whole number from 0 to `count` - 1.

    Raises:
        RequestError: naming the field.
    """
    if type(value) is not int or not 0 <= value < count:
        raise RequestError(f"The request needs {field!r} as a whole number from 0 to {count - 1}.")
    return value


def semantics_field(value: object) -> Literal["calibrated", "paper"]:
    """Check a semantics of edits.

    Raises:
        RequestError: if it is none.
    """
    if value == "calibrated" or value == "paper":
        return value
    raise RequestError("Edits are read as 'calibrated' or as 'paper'.")


def packed(array: NDArray[Any]) -> str:
    """Little-endian bytes of an array in base64: exact, and ten times faster to read than JSON."""
    return base64.b64encode(array.tobytes()).decode("ascii")


def data_url(pixels: NDArray[np.uint8], side: int) -> str:
    """JPEG of (H, W, 3) RGB pixels, shrunk so that the longer side is at most `side`."""
    scale = side / max(pixels.shape[:2])
    if scale < 1:
        size = [max(1, round(length * scale)) for length in pixels.shape[1::-1]]
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90]
    )
    assert done
    return jpeg_url(data.tobytes())


def jpeg_url(data: bytes) -> str:
    """A data URL of the bytes of a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
