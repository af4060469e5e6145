"""Annotations leave the store: as our data sets, COCO, PNG masks, a table, or an image folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from csr_core.annotation.exports.coco import write_coco
from csr_core.annotation.exports.folder import write_folder
from csr_core.annotation.exports.gathering import ExportError, Gathered, gathered
from csr_core.annotation.exports.imagefolder import write_imagefolder
from csr_core.annotation.exports.masks import write_masks
from csr_core.annotation.exports.places import export_folder
from csr_core.annotation.exports.table import write_table
from csr_core.annotation.store import Project, Read

__all__ = ["FORMATS", "ExportError", "export"]

_FOLDERS: Mapping[str, Callable[[Project, Iterable[Gathered], Path], int]] = {
    "folder": write_folder,
    "coco": write_coco,
    "masks": write_masks,
    "imagefolder": write_imagefolder,
}
FORMATS = (*_FOLDERS, "csv")


def export(
    project: Project, reads: Iterable[Read], out: Path, kind: str, reader: str | None = None
) -> int:
    """Write the annotations of a project, one case after the other.

    Args:
        project: whose they are.
        reads: annotations of all its readers, those of a case side by side.
        out: folder to write, or for "csv" the file; an earlier export there is replaced.
        kind: one of `FORMATS`.
        reader: whose annotations count where none was adjudicated; the majority's if None, see
            `csr_core.annotation.resolving.resolved`. The table holds everybody's.

    Returns:
        Number of cases written, for "csv" of rows.

    Raises:
        ExportError: if there is nothing to write, something else is in its place, or an image can't
            be read.
        OSError: if it can't be written.
    """
    if kind not in FORMATS:
        raise ExportError(f"There is no format {kind!r}; choose one of {', '.join(FORMATS)}.")
    if kind == "csv":
        return write_table(project, reads, out)
    with export_folder(out, kind) as draft:
        written = _FOLDERS[kind](project, _at_least_one(gathered(reads, reader)), draft)
    return written


def _at_least_one(cases: Iterator[Gathered]) -> Iterator[Gathered]:
    found = False
    for case in cases:
        found = found or case.annotation is not None
        yield case
    if not found:
        raise ExportError("Nothing is done yet that could be written; finish a case first.")
