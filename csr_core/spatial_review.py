"""A simulated reader who knows where things are: marks on patches, and how far they help.

These marks need similarity maps, so images are reviewed one after the other, as on the screen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.advice import margins_of
from csr_core.datasets import Dataset, lesion_mask, region_mask
from csr_core.edits import Cell, Edit, Focus, Force, Ignore, Suppress
from csr_core.evidence import Semantics
from csr_core.reasoner import EncodedCase, Reasoner
from csr_core.revision import Revision

__all__ = [
    "KnownRegions",
    "Mark",
    "covered_cells",
    "grown_cells",
    "known_regions",
    "review_spatially",
    "spatial_edits",
]

Mark = Literal["ignore", "focus", "suppress", "force"]

MASK_SIZE = 256
LEAST_COVER = 0.25
"""Share of a patch from which it belongs to a region: an outline cuts through the patches at its
edge, and what lies in a patch's margin already reaches its features."""


@dataclass(frozen=True)
class KnownRegions:
    """What the simulated reader knows of one image; empty cells where it knows nothing.

    Attributes:
        concepts: patches of each present concept whose region is known, by name.
        lesion: patches of the lesion.
        artefact: patches of what is no part of the patient, such as a ruler.
    """

    concepts: Mapping[str, tuple[Cell, ...]]
    lesion: tuple[Cell, ...] = ()
    artefact: tuple[Cell, ...] = ()


def covered_cells(mask: NDArray[np.bool_], grid: tuple[int, int]) -> tuple[Cell, ...]:
    """Find the patches that a region covers by a quarter or more.

    Args:
        mask: (height, width), at least as fine as the grid.
        grid: rows and columns of patches, (H, W).

    Returns:
        Their rows and columns. A region too small for any has the patch it covers most; an empty
        region has none.
    """
    rows, columns = grid
    cover = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    most = float(cover.max())
    if most == 0:
        return ()
    return tuple((int(r), int(c)) for r, c in np.argwhere(cover >= min(LEAST_COVER, most)))


def grown_cells(cells: Sequence[Cell], grid: tuple[int, int], reach: int) -> tuple[Cell, ...]:
    """Add the patches around some patches, whose features see what lies in them.

    Args:
        cells: rows and columns of patches.
        grid: rows and columns of all patches, (H, W).
        reach: how many patches to go in each direction; 0 adds none.
    """
    rows, columns = grid
    near = range(-reach, reach + 1)
    grown = {
        (row + down, column + right) for row, column in cells for down in near for right in near
    }
    return tuple(sorted((r, c) for r, c in grown if 0 <= r < rows and 0 <= c < columns))


def known_regions(
    dataset: Dataset,
    row: int,
    grid: tuple[int, int],
    artefacts: Sequence[str] = (),
) -> KnownRegions:
    """Gather what a data set says of where things are in one image.

    Args:
        dataset: with masks or boxes of concepts, or lesion masks.
        row: of the image.
        grid: rows and columns of patches, (H, W).
        artefacts: names of those that the reader would mark.

    Raises:
        ImageError: if a mask can't be decoded.
        ValueError: if the data set has no such artefact.
    """
    name = dataset.image_ids[row]
    regions = {
        concept: region_mask(dataset, concept, name, MASK_SIZE)
        for index, concept in enumerate(dataset.concepts)
        if dataset.concept_labels[row, index] == 1
    }
    concepts = {
        concept: covered_cells(region, grid)
        for concept, region in regions.items()
        if region is not None
    }
    lesion = lesion_mask(dataset, name, MASK_SIZE)
    foreign = [region_mask(dataset, artefact, name, MASK_SIZE) for artefact in artefacts]
    marked = {cell for mask in foreign if mask is not None for cell in covered_cells(mask, grid)}
    return KnownRegions(
        concepts={concept: cells for concept, cells in concepts.items() if cells},
        lesion=covered_cells(lesion, grid) if lesion is not None else (),
        artefact=tuple(sorted(marked)),
    )


def spatial_edits(
    regions: KnownRegions, marks: Sequence[Mark], grid: tuple[int, int]
) -> tuple[Edit, ...]:
    """The edits of a reader who knows the regions of an image.

    Args:
        regions: of the image.
        marks: what the reader does, in this order: "ignore" the artefact, "focus" on the lesion,
            "suppress" each present concept outside its region, "force" it inside.
        grid: rows and columns of patches, (H, W).

    Returns:
        The edits; none of a kind whose region is unknown. An absent concept has no region to
        mark: to reject it is the work of the reader of `csr_core.interventions`.

    Raises:
        ValueError: if there is no such mark.
    """
    everywhere = set(product(range(grid[0]), range(grid[1])))
    edits: list[Edit] = []
    for mark in marks:
        match mark:
            case "ignore":
                edits += [Ignore(regions.artefact)] if regions.artefact else []
            case "focus":
                edits += [Focus(regions.lesion)] if regions.lesion else []
            case "suppress":
                for concept, cells in regions.concepts.items():
                    outside = sorted(everywhere.difference(cells))
                    edits += [Suppress(concept, outside)] if outside else []
            case "force":
                edits += [Force(concept, cells) for concept, cells in regions.concepts.items()]
            case _:
                raise ValueError(
                    f"There is no mark {mark!r}; use ignore, focus, suppress or force."
                )
    return tuple(edits)


def review_spatially(
    reasoner: Reasoner,
    cases: Iterable[tuple[int, EncodedCase]],
    edits_of: Callable[[int], Sequence[Edit]],
    diagnoses: NDArray[np.int64],
    semantics: Semantics = "calibrated",
) -> Revision:
    """Review images one after the other, keeping none of them.

    Args:
        reasoner: the model that encoded the cases.
        cases: the row of each image and its case; may be a generator that encodes as it goes.
        edits_of: the edits of the reader for a row.
        diagnoses: (N,) true classes by row, -1 where unknown; such images are skipped.
        semantics: how the edits are read.

    Returns:
        The diagnoses before and after, in the order of the cases.

    Raises:
        EditError: if an edit does not fit the case.
        ValueError: if another model encoded a case, or none has a known diagnosis.
    """
    truth, before, after, edits, margins = [], [], [], [], []
    for row, case in cases:
        if diagnoses[row] < 0:
            continue
        made = tuple(edits_of(row))
        plain = reasoner.reason(case).probabilities
        truth.append(diagnoses[row])
        before.append(plain.argmax())
        after.append(reasoner.reason(case, made, semantics).probabilities.argmax())
        edits.append(len(made))
        margins.append(margins_of(plain))
    if not truth:
        raise ValueError("No image has a known diagnosis, so no review can be judged.")
    return Revision(
        truth=np.array(truth),
        before=np.array(before),
        after=np.array(after),
        edits=np.array(edits),
        margins=np.array(margins),
        classes=len(reasoner.classes),
    )
