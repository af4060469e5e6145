"""The pixel data of a DICOM file become samples, decompressed within the size that was declared."""

import io
import struct
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels import get_decoder
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

from csr_core.dicom_display import Samples
from csr_core.picture_checks import ImageError, is_complete_jpeg

__all__ = ["JPEG", "READABLE", "SUBSAMPLED", "Layout", "samples_of"]

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
READABLE = (*_NATIVE, DeflatedExplicitVRLittleEndian, *JPEG, *_JPEG_2000, RLELossless)

SUBSAMPLED = "YBR_FULL_422"
_MAX_FRAGMENTS = 10_000


@dataclass(frozen=True)
class Layout:
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
        """Their number."""
        return self.rows * self.columns

    @property
    def length(self) -> int:
        """Bytes of the samples without compression."""
        count = self.pixels * (2 if self.colours == SUBSAMPLED else self.samples)
        return count * self.allocated // 8


def samples_of(data: object, vr: str, layout: Layout, syntax: UID, what: str) -> Samples:
    """Decode the pixel data of one frame.

    Args:
        data: value of the element, not checked.
        vr: value representation of the element.
        layout: what the header says.
        syntax: transfer syntax, one of `READABLE` and not deflated.
        what: what the picture is called in error messages.

    Raises:
        ImageError: if the data are cut short.
        Exception: any, if they are damaged.
    """
    if not isinstance(data, bytes):
        raise TypeError("no bytes")
    if syntax in _NATIVE:
        return _native(data, layout, syntax, vr, what)
    fragments = list(islice(generate_fragments(data), _MAX_FRAGMENTS + 2))
    if len(fragments) > _MAX_FRAGMENTS + 1:
        raise ValueError("too many fragments")
    frame = b"".join(fragments[1:])  # The first item is the table of offsets.
    if syntax == RLELossless:
        planes = _unpack_rle(frame, layout)
        return _native(planes, layout, ExplicitVRLittleEndian, "OB", what, planar=1)
    return (_jpeg if syntax in JPEG else _jpeg_2000)(frame, layout, syntax, what)


def _native(
    data: bytes, layout: Layout, syntax: UID, vr: str, what: str, planar: int | None = None
) -> Samples:
    if len(data) < layout.length:
        raise _cut_short(what)
    values = _as_array(data[: layout.length + layout.length % 2], layout, syntax, vr, planar)
    colours = "YBR_FULL" if layout.colours == SUBSAMPLED else layout.colours
    return Samples(values, colours, layout.stored, bool(layout.signed))


def _jpeg(frame: bytes, layout: Layout, syntax: UID, what: str) -> Samples:
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


def _jpeg_2000(frame: bytes, layout: Layout, syntax: UID, what: str) -> Samples:
    with Image.open(io.BytesIO(frame), formats=("JPEG2000",)) as picture:
        _check_frame(picture, layout)
    values = _as_array(encapsulate([frame]), layout, syntax, "OB")
    ybr = layout.colours == "YBR_FULL"  # YBR_ICT and YBR_RCT are undone by the decoder.
    colours = layout.colours if layout.samples == 1 or ybr else "RGB"
    return Samples(values, colours, layout.stored, bool(layout.signed))


def _check_frame(picture: Image.Image, layout: Layout) -> None:
    if picture.size != (layout.columns, layout.rows):
        raise ValueError("another size than declared")


def _as_array(
    data: bytes, layout: Layout, syntax: UID, vr: str, planar: int | None = None
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


def _unpack_rle(frame: bytes, layout: Layout) -> bytes:
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
