"""From a folder of images to a project: what there is to annotate, and what can't be."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from csr_core.annotation.projects import NewCase, Project
from csr_core.annotation.records import Vocabulary
from csr_core.datasets.labels import IMAGE_SUFFIXES, find_images, read_labels
from csr_core.datasets.problems import Problem, is_safe_id, shown
from csr_core.datasets.tables import RESERVED_COLUMNS, Description, read_description
from csr_core.imaging import ImageError, declared_size

__all__ = ["DRAWN_SIDE", "FolderError", "Listing", "drawn_size", "list_images", "plan_project"]

DRAWN_SIDE = 2048
"""Pixels: the longest side that regions are drawn at."""

_DICOM_SUFFIXES = (".dcm", ".dicom")
_SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
_SHOWN_FILES = 5


class FolderError(ValueError):
    """A folder can't become a project; the message is for the person at the screen."""


@dataclass(frozen=True)
class Listing:
    """What was found in a folder.

    Attributes:
        cases: images to annotate.
        problems: sentences on what was left out, and why.
    """

    cases: tuple[NewCase, ...]
    problems: tuple[str, ...]


def plan_project(
    name: str,
    folder: Path,
    concepts: Sequence[str] = (),
    classes: Sequence[str] = (),
    instructions: str = "",
) -> tuple[Project, Listing]:
    """Make a project of a folder.

    Args:
        name: of the project.
        folder: a data set in our folder format, or any folder of images.
        concepts: to annotate; those of the folder's dataset.json if there are none.
        classes: diagnoses to choose from; likewise.
        instructions: to the readers.

    Returns:
        The project, and what it is made over.

    Raises:
        FolderError: if there is no folder, no image or no word to annotate with.
    """
    if not folder.is_dir():
        raise FolderError(f"There is no folder {folder}.")
    problems: list[Problem] = []
    description = _description(folder, problems)
    if problems and not (concepts and classes):
        raise FolderError("\n".join(str(problem) for problem in problems))
    if description is not None:
        concepts, classes = concepts or description.concepts, classes or description.classes
    vocabulary = _vocabulary(concepts, classes)
    listing = list_images(folder)
    if not listing.cases:
        raise FolderError("\n".join((f"{folder} holds no image to annotate.", *listing.problems)))
    data_name = description.name if description else ""
    return Project(name, folder.resolve(), vocabulary, instructions, data_name), listing


def list_images(folder: Path) -> Listing:
    """List the images of a folder.

    A folder with dataset.json and labels.csv lists them there, with ids and splits. Of any other
    the whole tree is looked through: the name of a file is its id, and a folder train, val or test
    at the top is its split. Only headers are read.

    Args:
        folder: to look in.
    """
    problems: list[str] = []
    if (folder / "dataset.json").is_file() and (folder / "labels.csv").is_file():
        found = _listed(folder, problems)
    else:
        found = _walked(folder, problems)
    cases = []
    for image_id, split, path in found:
        relative = path.relative_to(folder).as_posix()
        try:
            height, width = drawn_size(*declared_size(path, what=shown(relative)))
            cases.append(NewCase(image_id, relative, split, height, width))
        except ImageError as error:
            problems.append(str(error))
    return Listing(tuple(cases), tuple(problems))


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Return the size regions of an image are drawn at: its own, unless a side passes 2048.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
    """
    scale = min(1.0, DRAWN_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _description(folder: Path, problems: list[Problem]) -> Description | None:
    return read_description(folder, problems) if (folder / "dataset.json").is_file() else None


def _vocabulary(concepts: Sequence[str], classes: Sequence[str]) -> Vocabulary:
    if len(concepts) < 1 or len(classes) < 2:
        raise FolderError("A project needs at least one concept and two classes to annotate.")
    reserved = sorted(set(concepts) & set(RESERVED_COLUMNS))
    if reserved:
        raise FolderError(f"A concept can't be called {reserved[0]}: labels.csv has such a column.")
    return Vocabulary(tuple(concepts), tuple(classes))


def _listed(folder: Path, problems: list[str]) -> Iterable[tuple[str, str, Path]]:
    """The id, split and file of each image in labels.csv."""
    faults: list[Problem] = []
    description = read_description(folder, faults)
    if description is not None:
        rows = read_labels(folder, description, faults)
        paths = find_images(folder, rows, faults)
    problems.extend(str(fault) for fault in faults)
    if description is None:
        return []
    found = zip(rows, paths, strict=True)
    return [(row.image_id, row.split, path) for row, path in found if path and row.split]


def _walked(folder: Path, problems: list[str]) -> Iterable[tuple[str, str, Path]]:
    """The id, split and file of each image in a tree of files."""
    first: dict[str, str] = {}
    others: list[str] = []
    for path in _files(folder):
        relative = path.relative_to(folder)
        shown_path = shown(relative.as_posix())
        if path.suffix.lower() not in (*IMAGE_SUFFIXES, *_DICOM_SUFFIXES):
            others.append(shown_path)
        elif not is_safe_id(path.stem) or not str(relative).isprintable():
            problems.append(
                f"{shown_path} was left out: its name is its id, so rename it to letters, digits, "
                "'.', '_' or '-', at most 128."
            )
        elif path.stem in first:
            problems.append(
                f"{shown_path} was left out: {first[path.stem]} has the same name, which is its "
                "id; rename one."
            )
        else:
            first[path.stem] = shown_path
            top = relative.parts[0] if len(relative.parts) > 1 else ""
            yield path.stem, _SPLITS.get(top, "train"), path
    if others:
        more = "…" if len(others) > _SHOWN_FILES else ""
        names = ", ".join(others[:_SHOWN_FILES])
        problems.append(f"No images and left out ({len(others)}): {names}{more}")


def _files(folder: Path) -> Iterable[Path]:
    """The files of a tree in order, without hidden ones; links to folders are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place) / name
