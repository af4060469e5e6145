"""What every untrusted picture must be, whatever its format: limits, and the words of a refusal."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "ImageError",
    "RGBArray",
    "check_size",
    "is_complete_jpeg",
    "strips",
    "too_large",
]

RGBArray = NDArray[np.uint8]  # (H, W, 3)

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 60_000_000
MIN_SIDE = 32

_STRIP = 2_000_000  # pixels
_JPEG_SCAN = b"\xff\xda"
_JPEG_END = b"\xff\xd9"
_JPEG_FILLER = b"\x55" * 64  # Not zeros: those are what a decoder assumes for missing data.


class ImageError(ValueError):
    """A picture was refused; the message is one sentence for the person at the screen."""


def check_size(width: int, height: int, what: str) -> None:
    """Check the size that a file declares.

    Raises:
        ImageError: if the picture is too large or too small.
    """
    if width * height > MAX_PIXELS:
        raise too_large(what)
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{what} is {width} × {height} pixels; the shortest side must be at least {MIN_SIDE}."
        )


def too_large(what: str) -> ImageError:
    """The refusal of a picture of too many pixels."""
    return ImageError(
        f"{what} has more than {MAX_PIXELS // 1_000_000} megapixels; send a smaller picture."
    )


def is_complete_jpeg(data: bytes, picture: Image.Image) -> bool:
    """Tell whether the compressed data fill the picture.

    Pillow refuses a file that simply stops. One that was cut and then padded or closed with an end
    marker decodes without complaint, its missing part grey or blurred; more data before the marker
    then change the picture, while after complete data they are ignored.

    Args:
        data: the file.
        picture: what Pillow opened from it, loaded.
    """
    end = data.rfind(_JPEG_END)
    if end < data.rfind(_JPEG_SCAN):
        return False
    longer = data[:end] + _JPEG_FILLER + data[end:]
    with Image.open(io.BytesIO(longer), formats=("JPEG",)) as extended:
        if picture.mode != extended.mode:
            extended.draft(picture.mode, extended.size)
        extended.load()
        return all(
            np.array_equal(np.asarray(one), np.asarray(other))
            for (_, one), (_, other) in zip(strips(extended), strips(picture), strict=True)
        )


def strips(picture: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Rows of a loaded picture, few at a time: a large one fits into memory only a few times."""
    width, height = picture.size
    step = max(_STRIP // width, 1)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        yield slice(top, bottom), picture.crop((0, top, width, bottom))
