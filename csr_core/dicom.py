"""DICOM files become pixels; what else they say about a person is never kept, logged or shown.

Of a file's elements only those in `_NEEDED` are read. pydicom quotes values in its warnings and
errors, so the warnings are silenced here and the errors end here.
"""

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from csr_core.dicom_display import DISPLAY_KEYWORDS, Samples, shown_as_rgb
from csr_core.picture_checks import MAX_BYTES, ImageError, RGBArray, check_size, is_complete_jpeg

__all__ = ["decode_dicom"]

logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")

_META_AT = 132
_MAX_READS = 200_000
"""A file of millions of tiny elements would be read for minutes."""
_MAX_FRAGMENTS = 10_000
_SAVE_AS_PNG = "save the picture as PNG and open that"

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
_READABLE = (*_NATIVE, DeflatedExplicitVRLittleEndian, *_JPEG, *_JPEG_2000, RLELossless)

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_SUBSAMPLED = "YBR_FULL_422"

_PIXEL_DATA = 0x7FE00010
_NEEDED: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
        *("PlanarConfiguration", *DISPLAY_KEYWORDS, "PixelData"),
    )
]


@dataclass(frozen=True)
class _Layout:
    """How the samples of a picture are stored, checked."""

    rows: int
    columns: int
    samples: int
    colours: str
    allocated: int
    stored: int
    signed: int
    planar: int

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def bytes(self) -> int:
        """Length of the samples without compression."""
        count = self.pixels * (2 if self.colours == _SUBSAMPLED else self.samples)
        return count * self.allocated // 8


class _BoundedStream(io.BytesIO):
    """A file in memory that can be read a limited number of times."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise ValueError("too many elements")
        return super().read(size)


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
    try:
        return _decode(data, what)
    except (ImageError, MemoryError):
        raise
    except Exception:  # pydicom lets almost any type escape, with values of the file as its words.
        raise ImageError(
            f"{what} is a DICOM file that is damaged, cut short or of an unusual kind; "
            f"send the complete file, or {_SAVE_AS_PNG}."
        ) from None


def _decode(data: bytes, what: str) -> RGBArray:
    syntax, body = _transfer_syntax(data, what)
    stream = _BoundedStream(body)
    header = read_dataset(
        stream,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, vr, length: tag > _PIXEL_DATA,
        specific_tags=_NEEDED,
    )
    layout = _layout(header, what)
    if syntax in _JPEG and layout.stored > 8:
        raise _unreadable(syntax, what)
    return shown_as_rgb(_samples(header, layout, syntax, what), header, what)


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
    if syntax not in _READABLE:
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


def _layout(header: Dataset, what: str) -> _Layout:
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
    layout = _Layout(
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


def _samples(header: Dataset, layout: _Layout, syntax: UID, what: str) -> Samples:
    data = header.PixelData
    if not isinstance(data, bytes):
        raise TypeError("no bytes")
    if syntax in _NATIVE:
        return _native(data, layout, syntax, header["PixelData"].VR, what)
    fragments = list(islice(generate_fragments(data), _MAX_FRAGMENTS + 2))
    if len(fragments) > _MAX_FRAGMENTS + 1:
        raise ValueError("too many fragments")
    frame = b"".join(fragments[1:])  # The first item is the table of offsets.
    if syntax == RLELossless:
        planes = _unpack_rle(frame, layout)
        return _native(planes, layout, ExplicitVRLittleEndian, "OB", what, planar=1)
    return (_jpeg if syntax in _JPEG else _jpeg_2000)(frame, layout, syntax, what)


def _native(
    data: bytes, layout: _Layout, syntax: UID, vr: str, what: str, planar: int | None = None
) -> Samples:
    if len(data) < layout.bytes:
        raise _cut_short(what)
    values = _as_array(data[: layout.bytes + layout.bytes % 2], layout, syntax, vr, planar)
    colours = "YBR_FULL" if layout.colours == _SUBSAMPLED else layout.colours
    return Samples(values, colours, layout.stored, bool(layout.signed))


def _jpeg(frame: bytes, layout: _Layout, syntax: UID, what: str) -> Samples:
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as picture:
        _check_frame(picture, layout)
        if layout.colours == "RGB" and not _says_its_colours(picture):
            picture.draft("YCbCr", picture.size)  # the samples as they are
        try:
            picture.load()
            complete = is_complete_jpeg(frame, picture)
        except OSError:
            complete = False
        if not complete:
            raise _cut_short(what)
        values = np.array(picture)
    if values.ndim != (3 if layout.samples == 3 else 2):
        raise ValueError("another number of samples than declared")
    colours = layout.colours if layout.samples == 1 else "RGB"
    return Samples(values, colours, 8, signed=False)


def _says_its_colours(picture: Image.Image) -> bool:
    """Tell whether a JPEG says by a marker or the names of its components what they are."""
    names = bytes(layer[0] for layer in picture.layer)  # type: ignore[attr-defined]
    return names == b"RGB" or bool(picture.info.keys() & {"jfif", "adobe_transform"})


def _jpeg_2000(frame: bytes, layout: _Layout, syntax: UID, what: str) -> Samples:
    with Image.open(io.BytesIO(frame), formats=("JPEG2000",)) as picture:
        _check_frame(picture, layout)
    values = _as_array(encapsulate([frame]), layout, syntax, "OB")
    ybr = layout.colours == "YBR_FULL"  # YBR_ICT and YBR_RCT are undone by the decoder.
    colours = layout.colours if layout.samples == 1 or ybr else "RGB"
    return Samples(values, colours, layout.stored, bool(layout.signed))


def _check_frame(picture: Image.Image, layout: _Layout) -> None:
    if picture.size != (layout.columns, layout.rows):
        raise ValueError("another size than declared")


def _as_array(
    data: bytes, layout: _Layout, syntax: UID, vr: str, planar: int | None = None
) -> np.ndarray:
    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "number_of_frames": 1,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.colours,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": layout.signed,
        "planar_configuration": layout.planar if planar is None else planar,
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
    }
    values, _ = get_decoder(syntax).as_array(data, raw=True, **options)
    return values


def _unpack_rle(frame: bytes, layout: _Layout) -> bytes:
    """Undo run lengths (PS3.5, annex G) within the declared size: planes of little-endian samples.

    The planes are those of each sample's bytes, the highest byte first.
    """
    depth = layout.allocated // 8
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != layout.samples * depth:
        raise ValueError("another number of planes than declared")
    planes = [
        Image.frombytes("L", (layout.pixels, 1), frame[start:end], "packbits", "L").tobytes()
        for start, end in zip(offsets[:count], [*offsets[1:count], len(frame)], strict=True)
    ]
    values = np.frombuffer(b"".join(planes), np.uint8)
    values = values.reshape(layout.samples, depth, layout.pixels)[:, ::-1]
    return values.transpose(0, 2, 1).tobytes()


def _cut_short(what: str) -> ImageError:
    return ImageError(f"{what} is a DICOM file that is cut short; send the complete file.")
