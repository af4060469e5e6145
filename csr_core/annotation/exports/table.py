"""One table of everything readers said, to open as a spreadsheet."""

import csv
from collections.abc import Iterable
from pathlib import Path

from csr_core.annotation.exports.gathering import ExportError
from csr_core.annotation.resolving import presence_of, region_of
from csr_core.annotation.store import Project, Read
from csr_core.files import atomic_target

__all__ = ["write_table"]

_COLUMNS = (
    *("image_id", "reader", "split", "status", "flagged", "diagnosis", "confidence", "comment"),
    "changed",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_table(project: Project, reads: Iterable[Read], out: Path) -> int:
    """Write a CSV file of one row a case and reader.

    Each concept has two columns: yes, no, unsure or blank, and the share of the image that its
    region covers. A cell that a spreadsheet would take for a formula gets an apostrophe before it.

    Args:
        project: whose annotations they are.
        reads: of all readers.
        out: the file, ending in .csv; an earlier export is replaced.

    Returns:
        Number of rows.

    Raises:
        ExportError: if something else is there, or there is nothing to write.
    """
    concepts = project.vocabulary.concepts
    header = [*_COLUMNS, *(name for each in concepts for name in (each, f"{each} area"))]
    if out.suffix.lower() != ".csv" or (out.exists() and not _is_ours(out)):
        raise ExportError(f"{out} is something else; choose a new file that ends in .csv.")
    rows = 0
    with atomic_target(out) as draft, draft.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(_harmless(header))
        for rows, read in enumerate(reads, start=1):  # noqa: B007
            table.writerow(_harmless(_cells(read, concepts)))
        if not rows:
            raise ExportError("Nobody has marked anything yet that could be written.")
    return rows


def _cells(read: Read, concepts: Iterable[str]) -> list[str]:
    case, said = read.case, read.annotation
    cells = [case.image_id, read.reader, case.split, said.status, "yes" if said.flagged else ""]
    cells += [said.diagnosis or "", str(said.confidence or ""), said.comment, read.at.isoformat()]
    for concept in concepts:
        mark = said.concepts.get(concept)
        region = region_of(mark, case.height, case.width) if mark else None
        cells += [presence_of(mark) or "", "" if region is None else f"{region.mean():.6f}"]
    return cells


def _harmless(cells: Iterable[str]) -> list[str]:
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells]


def _is_ours(path: Path) -> bool:
    start = ",".join(_COLUMNS).encode("utf-8-sig")
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(start)) == start
