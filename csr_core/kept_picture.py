"""The file of a picture as it is kept: its pixels, without what was written beside them.

Cameras and programs write names, places, previews and remarks into a file. None of that decides
a pixel, so none of it goes on into memory, sessions and reports.
"""

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from csr_core.imaging import EXIF_ORIENTATION, RGBArray, decode_image, orientation

__all__ = ["kept"]

_JPEG = b"\xff\xd8"
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # neither filling, stuffing nor restart
_START_OF_SCAN, _END_OF_IMAGE, _COMMENT = 0xDA, 0xD9, 0xFE
_APP0, _APP1, _APP2, _APP14, _APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_PNG_COLOURS = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT")


def kept(source: bytes | Path, pixels: RGBArray) -> bytes:
    """A JPEG or PNG that decodes to the same pixels and says nothing else.

    Args:
        source: the file that was opened.
        pixels: (H, W, 3) uint8 RGB, what `decode_image` made of it.

    Returns:
        The compressed data of the file, with what decides colours and orientation, if it is a
        JPEG or PNG; a new PNG of the pixels otherwise.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        bare = _bare(data)
        if bare is not None and np.array_equal(decode_image(bare), pixels):
            return bare
    except Exception:  # Whatever is odd about a file, its pixels are known.
        pass
    done, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done
    return png.tobytes()


def _bare(data: bytes) -> bytes | None:
    """A JPEG or PNG file without metadata; None if it is neither."""
    if data.startswith(_JPEG):
        pieces = list(_jpeg_pieces(data))
        second = 2 if pieces[1].startswith(bytes([0xFF, _APP0])) else 1
        exif = _exif(data)
        return b"".join([*pieces[:second], exif and _segment(_APP1, exif), *pieces[second:]])
    if data.startswith(_PNG):
        return b"".join(_png_pieces(data, _exif(data).removeprefix(b"Exif\0\0")))
    return None


def _exif(data: bytes) -> bytes:
    """EXIF of nothing but the orientation of a file; empty if it is upright."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
        turned = orientation(picture)
    if not 2 <= turned <= 8:
        return b""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = turned
    return exif.tobytes()


def _jpeg_pieces(data: bytes) -> Iterator[bytes]:
    """The start, the segments that decide pixels, the scans between them, and the end."""
    yield _JPEG
    place, in_scan = len(_JPEG), False
    while (found := _JPEG_MARKER.search(data, place)) is not None:
        if in_scan:
            yield data[place : found.start()]
        marker = found[1][0]
        if marker == _END_OF_IMAGE:
            yield bytes([0xFF, marker])
            return
        start = found.end()
        place = start + int.from_bytes(data[start : start + 2], "big")
        content = _bare_content(marker, data[start + 2 : place])
        if content is not None:
            yield _segment(marker, content)
        in_scan = marker == _START_OF_SCAN
    raise ValueError("a JPEG without end")


def _bare_content(marker: int, content: bytes) -> bytes | None:
    """What of a segment decides pixels; None if nothing."""
    if marker == _APP0 and content.startswith(b"JFIF\0"):
        return content[:12] + b"\0\0"  # without preview
    if marker == _APP2 and content.startswith(b"ICC_PROFILE\0"):
        return content
    if marker == _APP14 and content.startswith(b"Adobe"):
        return content[:12]
    return None if _APP0 <= marker <= _APP15 or marker == _COMMENT else content


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _png_pieces(data: bytes, exif: bytes) -> Iterator[bytes]:
    """The signature, the chunks that decide pixels, and the orientation before the first data."""
    yield _PNG
    place, kind = len(_PNG), b""
    while kind != b"IEND":
        start = place + 8
        end = start + int.from_bytes(data[place : place + 4], "big")
        kind, content = data[place + 4 : start], data[start:end]
        if kind == b"IDAT" and exif:
            yield _chunk(b"eXIf", exif)
            exif = b""
        if kind == b"iCCP":
            content = b"profile" + content[content.index(b"\0") :]
        if kind in _PNG_PIXELS or kind in _PNG_COLOURS:
            yield _chunk(kind, content)
        place = end + 4
        if place > len(data):
            raise ValueError("a PNG without end")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")
