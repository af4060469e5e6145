"""Where exports go: a new folder that takes the place of an earlier export, and its images."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from csr_core.annotation.exports.gathering import ExportError
from csr_core.annotation.folders import DRAWN_SIDE
from csr_core.annotation.store import Case, Project
from csr_core.datasets.regions import resized
from csr_core.files import atomic_folder, read_json, write_json_atomic
from csr_core.imaging import ImageError, declared_size, decode_image, is_dicom

__all__ = ["MARKER", "export_folder", "image_size", "place_image", "write_mask"]

MARKER = "export.json"
_MAX_MARKER_BYTES = 100_000
_DICOM_HEAD = 132


@contextmanager
def export_folder(out: Path, kind: str) -> Iterator[Path]:
    """Yield an empty folder that takes its place when the block succeeds.

    Args:
        out: its place; an earlier export is replaced.
        kind: of export.

    Raises:
        ExportError: if something else is there.
    """
    out = out.resolve()
    if out.exists() and not _is_ours(out):
        raise ExportError(f"{out} holds other files; choose a new or empty folder.")
    with atomic_folder(out) as draft:
        yield draft
        names = sorted(path.name for path in draft.iterdir())
        write_json_atomic(draft / MARKER, {"csr_studio_export": kind, "files": names})


def place_image(project: Project, case: Case, folder: Path) -> str:
    """Put the image of a case into a folder, as a hard link where possible.

    A DICOM file becomes a PNG, so that nothing else it says of a person is passed on.

    Returns:
        Name of the file in the folder.

    Raises:
        ExportError: if the image can't be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = (project.folder / case.path).resolve()
    try:
        with source.open("rb") as stream:
            dicom = is_dicom(stream.read(_DICOM_HEAD))
        if dicom:
            target = folder / f"{case.image_id}.png"
            Image.fromarray(decode_image(source, what=case.path)).save(target)
        else:
            target = folder / f"{case.image_id}{Path(case.path).suffix.lower()}"
            _link(source, target)
    except ImageError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"The image {case.path} can't be read any more.") from error
    return target.name


def image_size(project: Project, case: Case) -> tuple[int, int]:
    """Read the height and width of the image of a case in pixels.

    Raises:
        ExportError: if the image can't be read.
    """
    if max(case.height, case.width) < DRAWN_SIDE:
        return case.height, case.width  # not drawn smaller than it is
    try:
        return declared_size(project.folder / case.path, what=case.path)
    except ImageError as error:
        raise ExportError(str(error)) from error


def write_mask(path: Path, region: NDArray[np.bool_], size: tuple[int, int]) -> int:
    """Write a region as a PNG of 1-bit grey, at the size of its image.

    Returns:
        Pixels inside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = resized(region, *size)
    Image.fromarray(pixels).save(path)
    return int(pixels.sum())


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another disk, or one without links.
        shutil.copyfile(source, target)


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        content = read_json(folder / MARKER, _MAX_MARKER_BYTES)
    except (OSError, ValueError):
        return False
    match content:
        case {"csr_studio_export": str(), "files": [*files]}:
            return names <= {MARKER, *(name for name in files if isinstance(name, str))}
    return False
