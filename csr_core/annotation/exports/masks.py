"""Regions as PNG masks, a folder a concept."""

import csv
from collections.abc import Iterable
from pathlib import Path

from csr_core.annotation.exports.gathering import Gathered
from csr_core.annotation.exports.places import image_size, write_mask
from csr_core.annotation.resolving import region_of
from csr_core.annotation.store import Project

__all__ = ["write_masks"]


def write_masks(project: Project, cases: Iterable[Gathered], folder: Path) -> int:
    """Write a PNG for each region, at the size of its image, with its boxes filled.

    `index.csv` lists them: image_id, split, concept, file, height, width and pixels inside.

    Args:
        project: whose annotations they are.
        cases: one after the other.
        folder: empty.

    Returns:
        Number of cases with an annotation; one without region has no file.
    """
    written = 0
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        index = csv.writer(file)
        index.writerow(["image_id", "split", "concept", "file", "height", "width", "pixels"])
        for each in cases:
            if each.annotation is None:
                continue
            case = each.case
            written += 1
            for concept, mark in each.annotation.concepts.items():
                region = region_of(mark, case.height, case.width)
                if region is not None:
                    size = image_size(project, case)
                    name = f"{concept}/{case.image_id}.png"
                    pixels = write_mask(folder / name, region, size)
                    index.writerow([case.image_id, case.split, concept, name, *size, pixels])
    return written
