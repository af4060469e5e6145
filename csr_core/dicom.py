"""DICOM files become pixels; what else they say about a person is never kept, logged or shown.

Of a file's elements only those in `_NEEDED` are read. pydicom quotes values in its warnings and
errors, so the warnings are silenced here and the errors end here.
"""

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from csr_core.dicom_display import DISPLAY_KEYWORDS, shown_as_rgb
from csr_core.dicom_samples import JPEG, READABLE, SUBSAMPLED, Layout, samples_of
from csr_core.picture_checks import MAX_BYTES, ImageError, RGBArray, check_size

__all__ = ["decode_dicom", "dicom_size"]

logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")

_META_AT = 132
_MAX_HEADER = 2**20
"""Bytes; of what is skipped only tags and lengths count."""
_SAVE_AS_PNG = "save the picture as PNG and open that"

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", SUBSAMPLED, "YBR_ICT", "YBR_RCT")

_PIXEL_DATA = 0x7FE00010
_NEEDED: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
        *("PlanarConfiguration", *DISPLAY_KEYWORDS, "PixelData"),
    )
]


class _BoundedStream(io.BytesIO):
    """A file in memory of which little is read before the pixels, and nothing after them.

    Values in great number or length would otherwise cost minutes and gigabytes, long before it is
    known what they are.
    """

    left = _MAX_HEADER
    at_pixels = False

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not self.at_pixels:
            self.left -= len(data)
            if self.left < 0:
                raise ValueError("too long a header")
        return data

    def ends_before(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Tell whether no further element is wanted."""
        if self.at_pixels:
            return True
        self.at_pixels = tag == _PIXEL_DATA
        return tag > _PIXEL_DATA


def decode_dicom(data: bytes, what: str) -> RGBArray:
    """Decode the picture of one DICOM file, as the file wants it shown.

    Rescaling or the modality table, the first window or table of values of interest, the palette
    and the inversion of MONOCHROME1 are applied; pixel spacing is not. Samples of more than 8
    bits without window run from the darkest to the brightest of the picture.

    Args:
        data: the file, with DICM at byte 128 (PS3.10, section 7.1).
        what: what the picture is called in error messages.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: The file holds no picture or several, is damaged, too large or too small, or
            compressed in a way that can't be read.
    """
    with _refusing(what):
        header, layout, syntax = _read(data, what)
        if syntax in JPEG and layout.stored > 8:
            raise _unreadable(syntax, what)
        samples = samples_of(header.PixelData, header["PixelData"].VR, layout, syntax, what)
        return shown_as_rgb(samples, header, what)


def dicom_size(data: bytes, what: str) -> tuple[int, int]:
    """Read the height and width of the picture of one DICOM file, in pixels.

    Args:
        data: the file, with DICM at byte 128.
        what: what the picture is called in error messages.

    Raises:
        ImageError: as of `decode_dicom`, as far as the header tells.
    """
    with _refusing(what):
        layout = _read(data, what)[1]
        return layout.rows, layout.columns


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a file into one sentence."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except Exception:  # pydicom lets almost any type escape, with values of the file as its words.
        raise ImageError(
            f"{what} is a DICOM file that is damaged, cut short or of an unusual kind; "
            f"send the complete file, or {_SAVE_AS_PNG}."
        ) from None


def _read(data: bytes, what: str) -> tuple[Dataset, Layout, UID]:
    """The elements of a file, how its samples lie, and how it is encoded."""
    syntax, body = _transfer_syntax(data, what)
    stream = _BoundedStream(body)
    header = read_dataset(
        stream,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=stream.ends_before,
        specific_tags=_NEEDED,
    )
    return header, _layout(header, what), syntax


def _transfer_syntax(data: bytes, what: str) -> tuple[UID, bytes]:
    """How the file is encoded, and what follows its file meta information, inflated."""
    stream = _BoundedStream(data)
    stream.seek(_META_AT)
    meta = read_dataset(
        stream,
        False,
        True,
        stop_when=lambda tag, vr, length: tag >> 16 != 2,
        specific_tags=[Tag("TransferSyntaxUID")],
    )
    syntax = UID(meta.TransferSyntaxUID)
    if syntax not in READABLE:
        raise _unreadable(syntax, what)
    body = data[stream.tell() :]
    if syntax != DeflatedExplicitVRLittleEndian:
        return syntax, body
    body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ImageError(
            f"{what} is a DICOM file of more than {MAX_BYTES // 1024**2} MB when inflated; "
            "send a smaller picture."
        )
    return ExplicitVRLittleEndian, body


def _unreadable(syntax: UID, what: str) -> ImageError:
    # An unknown identifier is its own name, and whatever the file says.
    name = "in an unknown way" if syntax.name == str(syntax) else f"as {syntax.name}"
    return ImageError(
        f"{what} is a DICOM file compressed {name}, which can't be read here; save it "
        "uncompressed (Explicit VR Little Endian), or as PNG."
    )


def _layout(header: Dataset, what: str) -> Layout:
    if "PixelData" not in header or "Rows" not in header or "Columns" not in header:
        raise ImageError(
            f"{what} is a DICOM file without a complete picture; send the complete file, or choose "
            "one that holds a picture."
        )
    rows, columns = _whole(header, "Rows"), _whole(header, "Columns")
    check_size(columns, rows, what)
    frames = _whole(header, "NumberOfFrames", 1)
    if frames > 1:
        raise ImageError(
            f"{what} is a DICOM file of {frames} frames: save the one you mean as PNG or JPEG."
        )
    stored = _whole(header, "BitsStored")
    layout = Layout(
        rows=rows,
        columns=columns,
        samples=_whole(header, "SamplesPerPixel", 1),
        colours=str(header.PhotometricInterpretation),
        allocated=_whole(header, "BitsAllocated"),
        stored=stored,
        signed=_whole(header, "PixelRepresentation", 0),
        planar=_whole(header, "PlanarConfiguration", 0),
    )
    expected = {"PALETTE COLOR": 1, **dict.fromkeys(_GREY, 1), **dict.fromkeys(_COLOUR, 3)}
    usual = (
        expected.get(layout.colours) == layout.samples
        and layout.allocated in (8, 16)
        and 1 <= stored <= layout.allocated
        and _whole(header, "HighBit", stored - 1) == stored - 1
        and layout.signed in (0, 1)
        and not (layout.signed and layout.samples == 3)
        and layout.planar in (0, 1)
    )
    if not usual:
        raise ImageError(
            f"{what} is a DICOM file whose samples are neither grey, palette, RGB nor YBR of up "
            f"to 16 bits; {_SAVE_AS_PNG}."
        )
    return layout


def _whole(header: Dataset, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise TypeError(f"{keyword} is no whole number")
    return int(value)
