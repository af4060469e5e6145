"""Where a concept or an artefact is seen: boxes.csv and the masks folder."""

import struct
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.labels import LabelRow
from csr_core.datasets.problems import Problem, shown
from csr_core.datasets.tables import Description, Row, read_table
from csr_core.imaging import decode_image

__all__ = ["Box", "check_masks", "draw_boxes", "read_boxes", "read_mask", "resized"]

_FILE = "boxes.csv"
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_PNG_GREY = 0
_MASK_BITS = (1, 8)


@dataclass(frozen=True)
class Box:
    """A rectangle in which a concept is seen, in fractions of width and height, 0 to 1."""

    concept: str
    x_min: float
    y_min: float
    x_max: float
    y_max: float


def read_boxes(
    root: Path, description: Description, labels: Iterable[LabelRow], problems: list[Problem]
) -> dict[str, tuple[Box, ...]]:
    """Read boxes.csv if there is one, adding what is wrong to ``problems``.

    Args:
        root: Folder of the data set.
        description: Its checked dataset.json.
        labels: All rows of labels.csv.
        problems: Grows by every fault found.

    Returns:
        The valid boxes by image id; an image without boxes has no entry.
    """
    if not (root / _FILE).exists():
        return {}
    rows = {row.image_id: row for row in labels}
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in read_table(root, _FILE, ("image_id", "concept", *_CORNERS), problems):
        image_id, concept = row.cells["image_id"], row.cells["concept"]
        corners = _corners(row, problems)
        if image_id not in rows:
            problems.append(_problem(row, "image_id", "an image_id of labels.csv"))
        if concept not in description.concepts:
            expected = f"one of {', '.join(description.concepts)}"
            problems.append(_problem(row, "concept", expected))
        elif image_id in rows and _is_absent(rows[image_id], concept, description):
            found = f"a box of {concept}, which labels.csv marks 0 for {image_id}"
            expected = "boxes only of concepts marked 1 or unknown"
            problems.append(Problem(_FILE, row.line, "concept", found, expected))
        if corners is not None:
            boxes[image_id].append(Box(concept, *corners))
    return {image_id: tuple(found) for image_id, found in boxes.items()}


def check_masks(
    root: Path,
    description: Description,
    labels: Iterable[LabelRow],
    problems: list[Problem],
    *,
    decode: bool,
) -> None:
    """Add to ``problems`` what is wrong with ``masks/<concept or artefact>/<image_id>.png``.

    Args:
        root: Folder of the data set.
        description: Its checked dataset.json.
        labels: All rows of labels.csv.
        problems: Grows by every fault found.
        decode: Read the pixels too, not only the header of each mask.
    """
    rows = {row.image_id: row for row in labels}
    seen = (*description.concepts, *description.artefacts)
    for folder in _visible(root / "masks"):
        if not folder.is_dir() or folder.name not in seen:
            file = f"masks/{folder.name}"
            expected = f"one folder per concept or artefact: {', '.join(seen)}"
            problems.append(Problem(file, None, None, shown(folder.name), expected))
            continue
        for path in _visible(folder):
            file = f"masks/{folder.name}/{path.name}"
            if not _is_mask(path):
                expected = "a PNG of 1-bit or 8-bit grey, 0 outside the region"
                problems.append(Problem(file, None, None, "another kind of file", expected))
            elif path.stem not in rows:
                expected = "an image_id of labels.csv"
                problems.append(Problem(file, None, None, shown(path.stem), expected))
            elif decode:
                absent = _is_absent(rows[path.stem], folder.name, description)
                _check_mask_pixels(path, file, absent, problems)


def read_mask(path: Path, height: int, width: int) -> NDArray[np.bool_]:
    """Read a mask and resize it, nearest pixel.

    Args:
        path: A PNG; every pixel that is not 0 is inside the region.
        height: Of the result in pixels.
        width: Of the result in pixels.

    Returns:
        (height, width) bool.

    Raises:
        ImageError: The file is not a picture that can be decoded.
    """
    return resized(decode_image(path, what="mask")[..., 0] > 0, height, width)


def resized(region: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """Resize a region, nearest pixel: enlarged and then resized back, it is as it was.

    Args:
        region: (H, W).
        height: Of the result in pixels.
        width: Of the result in pixels.
    """
    H, W = region.shape
    rows = ((np.arange(height) + 0.5) * H / height).astype(int)
    columns = ((np.arange(width) + 0.5) * W / width).astype(int)
    return region[np.ix_(rows, columns)]


def draw_boxes(boxes: Iterable[Box], height: int, width: int) -> NDArray[np.bool_]:
    """Fill the union of boxes.

    Args:
        boxes: Boxes in fractions.
        height: Of the result in pixels.
        width: Of the result in pixels.

    Returns:
        (height, width) bool: the pixels whose centre lies in a box; a box keeps at least one pixel
        in each direction, so none vanishes on a coarse grid.
    """
    mask = np.zeros((height, width), bool)
    for box in boxes:
        mask[_pixels(box.y_min, box.y_max, height), _pixels(box.x_min, box.x_max, width)] = True
    return mask


def _pixels(start: float, stop: float, size: int) -> slice:
    first = min(int(start * size + 0.5), size - 1)
    return slice(first, max(first + 1, int(stop * size + 0.5)))


def _corners(row: Row, problems: list[Problem]) -> tuple[float, ...] | None:
    known = len(problems)
    corners = {column: _number(row.cells[column]) for column in _CORNERS}
    for column in _CORNERS:
        if not 0 <= corners[column] <= 1:  # NaN is not inside either.
            problems.append(_problem(row, column, "a number from 0 to 1, a fraction of the side"))
    for low, high in (("x_min", "x_max"), ("y_min", "y_max")):
        if corners[low] >= corners[high]:
            expected = f"less than {high}, which is {row.cells[high]}"
            problems.append(_problem(row, low, expected))
    return tuple(corners.values()) if len(problems) == known else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _is_absent(row: LabelRow, name: str, description: Description) -> bool:
    seen = (*description.concepts, *description.artefacts)
    return (*row.concepts, *row.artefacts)[seen.index(name)] == 0


def _visible(folder: Path) -> list[Path]:
    """List a folder without the hidden files that file managers leave behind."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_mask(path: Path) -> bool:
    """Read the header only: a data set may hold tens of thousands of masks."""
    try:
        with path.open("rb") as stream:
            header = stream.read(26)
    except OSError:
        return False
    if path.suffix != ".png" or len(header) < 26 or header[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    bits, colour_type = struct.unpack(">BB", header[24:26])
    return bits in _MASK_BITS and colour_type == _PNG_GREY


def _check_mask_pixels(path: Path, file: str, absent: bool, problems: list[Problem]) -> None:
    try:
        mask = decode_image(path, what="the mask")[..., 0]
    except ValueError as error:
        problems.append(Problem(file, None, None, str(error), "a mask that can be decoded"))
        return
    if absent and mask.any():
        found = "a region of what labels.csv marks 0"
        expected = "an empty mask or none"
        problems.append(Problem(file, None, None, found, expected))


def _problem(row: Row, column: str, expected: str) -> Problem:
    return Problem(_FILE, row.line, column, shown(row.cells[column]), expected)
