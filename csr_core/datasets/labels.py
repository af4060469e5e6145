"""labels.csv and the image files it names: parsed row by row, every fault kept."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.problems import Problem, is_safe_id, shown
from csr_core.datasets.tables import RESERVED_COLUMNS, Description, Row, read_table

__all__ = [
    "IMAGE_SUFFIXES",
    "UNKNOWN",
    "LabelRow",
    "check_training_examples",
    "find_images",
    "read_labels",
]

UNKNOWN = -1

_FILE = "labels.csv"
_LABELS = {"": UNKNOWN, "0": 0, "1": 1}
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
_ID_RULE = "letters, digits, '.', '_' or '-', at most 128, not starting with a dot"


@dataclass(frozen=True)
class LabelRow:
    """What is known about one image.

    Attributes:
        line: Line number in labels.csv.
        image_id: Unique and safe as a file name.
        split: Safe as a folder name; empty if the table's was refused.
        diagnosis: Index of the class, −1 for unknown.
        concepts: (K,) int8: 1 present, 0 absent, −1 unknown.
        artefacts: (A,) int8, likewise.
    """

    line: int
    image_id: str
    split: str
    diagnosis: int
    concepts: NDArray[np.int8]
    artefacts: NDArray[np.int8]


def read_labels(
    root: Path, description: Description, problems: list[Problem]
) -> tuple[LabelRow, ...]:
    """Read labels.csv, adding what is wrong to ``problems``.

    Args:
        root: Folder of the data set.
        description: Its checked dataset.json.
        problems: Grows by every fault found.

    Returns:
        The rows whose image id is usable; a refused diagnosis or label in them is unknown.
    """
    columns = (*RESERVED_COLUMNS, *description.concepts, *description.artefacts)
    first_line: dict[str, int] = {}
    labels = []
    for row in read_table(root, _FILE, columns, problems):
        image_id = row.cells["image_id"]
        if not is_safe_id(image_id):
            problems.append(_problem(row, "image_id", f"an id of {_ID_RULE}"))
        elif image_id in first_line:
            found = f"{shown(image_id)} again"
            expected = f"each id once (first in row {first_line[image_id]})"
            problems.append(Problem(_FILE, row.line, "image_id", found, expected))
        else:
            first_line[image_id] = row.line
            labels.append(
                LabelRow(
                    row.line,
                    image_id,
                    _split(row, problems),
                    _diagnosis(row, description.classes, problems),
                    _labels(row, description.concepts, problems),
                    _labels(row, description.artefacts, problems),
                )
            )
    return tuple(labels)


def find_images(
    root: Path, labels: Iterable[LabelRow], problems: list[Problem]
) -> tuple[Path | None, ...]:
    """Find the one image file of every row, adding what is wrong to ``problems``.

    Args:
        root: Folder of the data set.
        labels: Rows to look for, in ``images/<split>/`` and ``images/``.
        problems: Grows by every missing or ambiguous image.

    Returns:
        A path for each row, or None where there is not exactly one file.
    """
    folders: dict[str, dict[str, list[str]]] = {}  # folder -> image id -> file names

    def files_of(folder: str, image_id: str) -> list[str]:
        if folder not in folders:
            folders[folder] = _files_by_stem(root / folder)
        return [f"{folder}/{name}" for name in folders[folder].get(image_id, ())]

    paths: list[Path | None] = []
    for row in labels:
        inside = files_of(f"images/{row.split}", row.image_id) if row.split else []
        files = inside + files_of("images", row.image_id)
        images = [file for file in files if file.lower().endswith(IMAGE_SUFFIXES)]
        paths.append(root / images[0] if len(images) == 1 else None)
        if len(images) != 1:
            expected = (
                f"one image images/{row.split or '<split>'}/{row.image_id} or "
                f"images/{row.image_id} ending in {', '.join(IMAGE_SUFFIXES)}"
            )
            found = " and ".join(images or files) or "no image file"
            problems.append(Problem(_FILE, row.line, "image_id", found, expected))
    return tuple(paths)


def check_training_examples(
    labels: Iterable[LabelRow], description: Description, problems: list[Problem]
) -> None:
    """Add to ``problems`` every class and concept of which the split train has no example.

    Args:
        labels: All rows.
        description: The checked dataset.json.
        problems: Grows by every fault found.
    """
    training = [row for row in labels if row.split == "train"]
    if not training:
        problems.append(
            Problem(_FILE, None, "split", "no row in split train", "images to train on")
        )
        return
    diagnoses = {row.diagnosis for row in training}
    for index, name in enumerate(description.classes):
        if index not in diagnoses:
            found = f"no row of {shown(name)} in split train"
            problems.append(Problem(_FILE, None, "diagnosis", found, "at least one"))
    present = (np.stack([row.concepts for row in training]) == 1).any(0)  # (K,)
    for name, has_example in zip(description.concepts, present, strict=True):
        if not has_example:
            problems.append(
                Problem(_FILE, None, name, "no row with 1 in split train", "at least one")
            )


def _split(row: Row, problems: list[Problem]) -> str:
    split = row.cells["split"]
    if is_safe_id(split):
        return split
    found = "a blank" if not split else shown(split)
    expected = f"train, val, test or another name of {_ID_RULE}"
    problems.append(Problem(_FILE, row.line, "split", found, expected))
    return ""


def _diagnosis(row: Row, classes: tuple[str, ...], problems: list[Problem]) -> int:
    diagnosis = row.cells["diagnosis"]
    if diagnosis in classes:
        return classes.index(diagnosis)
    if diagnosis and classes:
        problems.append(_problem(row, "diagnosis", f"one of {', '.join(classes)}, or blank"))
    return UNKNOWN


def _labels(row: Row, columns: tuple[str, ...], problems: list[Problem]) -> NDArray[np.int8]:
    for column in columns:
        if row.cells[column] not in _LABELS:
            problems.append(_problem(row, column, "1, 0 or blank for unknown"))
    return np.array([_LABELS.get(row.cells[column], UNKNOWN) for column in columns], np.int8)


def _problem(row: Row, column: str, expected: str) -> Problem:
    return Problem(_FILE, row.line, column, shown(row.cells[column]), expected)


def _files_by_stem(folder: Path) -> dict[str, list[str]]:
    names = defaultdict(list)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file():
                names[path.stem].append(path.name)
    return names
