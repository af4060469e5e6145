"""Stored samples of a DICOM picture become what the file wants shown (PS3.3, C.7.6.3 and C.11)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from csr_core.picture_checks import ImageError, RGBArray

__all__ = ["DISPLAY_KEYWORDS", "Samples", "shown_as_rgb"]

_PALETTES = tuple(f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue"))

DISPLAY_KEYWORDS = (
    *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(palette + part for palette in _PALETTES for part in ("Descriptor", "Data")),
)


class Samples(NamedTuple):
    """The picture as stored.

    Attributes:
        values: (H, W) or (H, W, 3) integers.
        colours: MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR_FULL.
        bits: of a sample.
        signed: whether they are of two's complement.
    """

    values: NDArray[np.integer]
    colours: str
    bits: int
    signed: bool


class _Table(NamedTuple):
    """A look-up table.

    Attributes:
        first: the value that the first entry stands for; those below take it too.
        bits: of an entry.
        entries: (N,); values beyond the last entry take the last.
    """

    first: int
    bits: int
    entries: NDArray[np.integer]

    def __call__(self, values: NDArray[np.number]) -> NDArray[np.integer]:
        places = np.rint(values).astype(np.int64) - self.first
        return self.entries[places.clip(0, len(self.entries) - 1)]


def shown_as_rgb(samples: Samples, header: Dataset, what: str) -> RGBArray:
    """Show samples as the header says.

    Args:
        samples: as stored.
        header: with what it has of `DISPLAY_KEYWORDS`.
        what: what the picture is called in error messages.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: if the palette can't be read.
        Exception: any, if the header is damaged.
    """
    if samples.values.ndim == 3:
        return _colour(samples)
    stored = samples.values.astype(np.int32)  # (H, W)
    lowest = int(stored.min())
    # What is shown depends on the stored value alone, and there are at most 65 536 of those.
    possible = np.arange(lowest, int(stored.max()) + 1)
    if samples.colours == "PALETTE COLOR":
        return _palette(possible, header, what)[stored - lowest]
    grey = np.rint(255 * _grey(possible, samples, header)).astype(np.uint8)
    if samples.colours == "MONOCHROME1":
        grey = 255 - grey
    return np.repeat(grey[stored - lowest][..., None], 3, axis=2)


def _colour(samples: Samples) -> RGBArray:
    values: NDArray[np.number] = samples.values
    if samples.bits != 8:
        values = np.rint(values * np.float32(255 / (2**samples.bits - 1)))
    eight_bit = np.ascontiguousarray(values, dtype=np.uint8)
    if samples.colours != "YBR_FULL":
        return eight_bit
    rows, columns = eight_bit.shape[:2]
    picture = Image.frombytes("YCbCr", (columns, rows), eight_bit.tobytes())
    return np.array(picture.convert("RGB"))


def _grey(possible: NDArray[np.integer], samples: Samples, header: Dataset) -> NDArray[np.float64]:
    """Brightness, 0 to 1, of every possible stored value."""
    measured = _measured(possible, header)
    if header.get("VOILUTSequence"):
        table = _table(header.VOILUTSequence[0], "LUT", header)
        return table(measured).clip(0, 2**table.bits - 1) / (2**table.bits - 1)
    if header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        function = header.get("VOILUTFunction") or "LINEAR"
        return _window(
            measured, _number(header.WindowCenter), _number(header.WindowWidth), function
        )
    span = measured
    if samples.bits <= 8:
        start = -(2 ** (samples.bits - 1)) if samples.signed else 0
        span = _measured(np.arange(start, start + 2**samples.bits), header)
    low, high = float(span.min()), float(span.max())
    return ((measured - low) / (high - low or 1)).clip(0, 1)


def _measured(stored: NDArray[np.integer], header: Dataset) -> NDArray[np.float64]:
    """What stored values stand for, such as Hounsfield units (PS3.3, C.11.1)."""
    if header.get("ModalityLUTSequence"):
        table = _table(header.ModalityLUTSequence[0], "LUT", header)
        return table(stored).astype(np.float64)
    slope = _number(header.get("RescaleSlope"), 1)
    return stored.astype(np.float64) * slope + _number(header.get("RescaleIntercept"), 0)


def _window(
    values: NDArray[np.float64], centre: float, width: float, function: str
) -> NDArray[np.float64]:
    """Brightness in a window (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ValueError("a window without width")
    if function == "SIGMOID":
        steepness = -4 * (values - centre) / width
        return 1 / (1 + np.exp(steepness.clip(-700, 700)))
    if function == "LINEAR_EXACT":
        return ((values - centre) / width + 0.5).clip(0, 1)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return ((values - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1)


def _palette(possible: NDArray[np.integer], header: Dataset, what: str) -> RGBArray:
    """(N, 3) colours of every possible stored value (PS3.3, C.7.6.3.1.5)."""
    if any(palette + "Data" not in header for palette in _PALETTES):
        raise ImageError(
            f"{what} is a DICOM file without a plain colour palette; "
            "save the picture as PNG and open that."
        )
    channels = []
    for palette in _PALETTES:
        table = _table(header, palette, header)
        colours = table(possible)
        channels.append(colours >> 8 if table.bits == 16 else colours)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _table(item: Dataset, name: str, header: Dataset) -> _Table:
    """Read the look-up table `name` of an item (PS3.3, C.11.1.1.1)."""
    count, first, bits = (int(value) for value in item[name + "Descriptor"].value)
    count = count or 2**16
    data = item[name + "Data"].value
    if not 8 <= bits <= 16 or not 0 < count <= 2**16:
        raise ValueError("an impossible table")
    if isinstance(data, bytes):
        order = "<" if header.original_encoding[1] else ">"
        narrow = len(data) < 2 * count
        entries = np.frombuffer(data, np.uint8 if narrow else f"{order}u2")
    else:
        entries = np.array(data)
    if len(entries) < count:
        raise ValueError("a table cut short")
    return _Table(first, bits, entries[:count].astype(np.int64))


def _number(value: object, default: float | None = None) -> float:
    """The first of the numbers of an element."""
    if value is None and default is not None:
        return default
    first = value if isinstance(value, int | float | str) else value[0]  # type: ignore[index]
    number = float(first)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number
