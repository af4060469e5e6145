"""Patches like those a reader marked, in this image and in others, to be taken over by one key."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation
from csr_core.edits import Cell
from csr_core.files import atomic_target
from csr_core.imaging import decode_image, image_hash
from csr_core.reasoner import Reasoner

__all__ = ["PatchMarks", "ProjectedMaps", "Proposal", "patch_marks", "propose"]

NEIGHBOURS = 5
"""Marked patches that a patch is compared with: the nearest alone may be a slip of the brush."""
LEAST_LIKENESS = 0.02
"""How much nearer a proposed patch is to what was accepted than to what was rejected."""
UNREJECTED = 0.4
"""Cosine to what was rejected, where nothing was."""
MAX_EXAMPLES = 512
"""Accepted, and likewise rejected, patches that others are compared with."""
INSIDE, OUTSIDE = 0.5, 0.05
"""Shares of a patch from which it counts as painted, and up to which as left out."""


@dataclass(frozen=True)
class PatchMarks:
    """What a reader said of the patches of one image, for one concept.

    Attributes:
        accepted: patches that show the concept.
        rejected: patches that do not.

    Raises:
        ValueError: if a patch is both.
    """

    accepted: frozenset[Cell] = frozenset()
    rejected: frozenset[Cell] = frozenset()

    def __post_init__(self) -> None:
        if self.accepted & self.rejected:
            raise ValueError("A patch can't be both accepted and rejected.")


@dataclass(frozen=True)
class Proposal:
    """Patches of one image that look like what was accepted.

    Attributes:
        case: the image.
        cells: its patches, the likest first; all accepted ones are among them, no rejected one.
        scores: how much nearer each is to what was accepted than to what was rejected; cosines,
            so in [-2, 2].
        added: those of the cells that were not accepted before.
    """

    case: int
    cells: tuple[Cell, ...]
    scores: tuple[float, ...]
    added: tuple[Cell, ...]

    @property
    def clicks_saved(self) -> int:
        """Patches that taking it over by one key marks, less that key."""
        return len(self.added) - 1


def patch_marks(
    annotation: Annotation, concept: str, grid: tuple[int, int], rejected: Iterable[Cell] = ()
) -> PatchMarks:
    """What an annotation says of the patches of an image.

    Args:
        annotation: of one reader.
        concept: which marks to take.
        grid: rows and columns of patches, (H, W).
        rejected: patches the reader took out of a proposal.

    Returns:
        Patches that are painted by half or more are accepted. In an annotation that is done,
        whatever was left out is rejected, everything if the concept is absent; in others only
        what was taken out.
    """
    mark = annotation.concepts.get(concept)
    cover = _cover(mark.mask if mark else None, grid)
    accepted = frozenset(_cells(cover >= INSIDE))
    refused = frozenset(rejected) - accepted
    seen = cover.any() or (mark is not None and mark.presence == "no")
    if annotation.status == "done" and seen and mark is not None and not mark.boxes:
        refused |= frozenset(_cells(cover <= OUTSIDE))
    return PatchMarks(accepted, refused)


def propose(
    projected: Callable[[int], NDArray[np.floating]],
    marks: Mapping[int, PatchMarks],
    cases: Iterable[int],
) -> list[Proposal]:
    """Propose patches like those accepted and unlike those rejected, of one concept.

    A patch is as like a set as its mean cosine to the nearest members of it is high. Memory stays
    bounded however many images there are: one is looked at after the other.

    Args:
        projected: gives P(f) of an image, unit vectors (D, H, W), see `ProjectedMaps`.
        marks: of the concept, by image.
        cases: images to propose patches in.

    Returns:
        One proposal for each of the cases in which there is a patch to add, the one with the likest
        patch first; nothing before anything was accepted.

    Raises:
        ValueError: if a mark lies outside the patches of its image.
    """
    positive = _examples(projected, {case: mark.accepted for case, mark in marks.items()})
    negative = _examples(projected, {case: mark.rejected for case, mark in marks.items()})
    if not len(positive):
        return []
    found = []
    for case in cases:
        own = marks.get(case, PatchMarks())
        maps = np.asarray(projected(case), dtype=np.float32)
        scores = _likeness(maps, positive, negative)
        accepted = _map_of(own.accepted, scores.shape)
        proposed = (scores >= LEAST_LIKENESS) & ~_map_of(own.rejected, scores.shape)
        if not (proposed & ~accepted).any():
            continue
        cells = sorted(_cells(proposed | accepted), key=lambda cell: (-scores[cell], cell))
        found.append(
            Proposal(
                case,
                tuple(cells),
                tuple(float(scores[cell]) for cell in cells),
                tuple(cell for cell in cells if cell not in own.accepted),
            )
        )
    return sorted(found, key=lambda proposal: -max(_added_scores(proposal)))


class ProjectedMaps:
    """Projected features of images, kept on disk so that comparing them takes little memory.

    Files are named by model and image, so they stay valid when the model or the image changes; the
    folder may be deleted at any time. May be used by several threads.

    Args:
        reasoner: the model.
        folder: for the files, about 50 kB an image.
    """

    def __init__(self, reasoner: Reasoner, folder: Path) -> None:
        self.reasoner = reasoner
        self._folder = folder / reasoner.model_hash[:16]
        self._names: dict[tuple[str, int, int], str] = {}
        self._lock = Lock()

    def of(self, path: Path) -> NDArray[np.float16]:
        """P(f) of an image file, (D, H, W), mapped from disk; worked out if it is not there yet.

        Raises:
            ImageError: if the image can't be used.
            OSError: if a file can't be read or written.
        """
        state = path.stat()
        key = (str(path), state.st_mtime_ns, state.st_size)
        with self._lock:
            name = self._names.get(key)
        pixels = None
        if name is None:
            pixels = decode_image(path)
            name = image_hash(pixels)
            with self._lock:
                self._names[key] = name
        kept = self._folder / f"{name}.npy"
        if not kept.exists():
            projected = self.reasoner.project(path if pixels is None else pixels)
            with atomic_target(kept) as temporary:
                np.save(temporary, projected.astype(np.float16))
        return np.load(kept, mmap_mode="r", allow_pickle=False)


def _examples(
    projected: Callable[[int], NDArray[np.floating]], cells: Mapping[int, Iterable[Cell]]
) -> NDArray[np.float32]:
    """Vectors of marked patches, (n, D), evenly thinned out if there are too many."""
    places = [(case, cell) for case in sorted(cells) for cell in sorted(cells[case])]
    if len(places) > MAX_EXAMPLES:
        spread = np.linspace(0, len(places) - 1, MAX_EXAMPLES).round().astype(int)
        places = [places[index] for index in spread]
    vectors = []
    for case in dict.fromkeys(case for case, _ in places):
        maps = projected(case)
        own = np.array([cell for other, cell in places if other == case])
        if (own < 0).any() or (own >= maps.shape[1:]).any():
            raise ValueError(f"A mark lies outside the {maps.shape[1]} × {maps.shape[2]} patches.")
        vectors.append(np.asarray(maps[:, own[:, 0], own[:, 1]], dtype=np.float32).T)
    return np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def _likeness(
    maps: NDArray[np.float32], positive: NDArray[np.float32], negative: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much nearer each patch is to the positive examples than to the negative ones, (H, W)."""
    flat = maps.reshape(len(maps), -1)
    against = _nearness(negative @ flat) if len(negative) else np.float32(UNREJECTED)
    return (_nearness(positive @ flat) - against).reshape(maps.shape[1:])


def _nearness(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the largest cosines of each column."""
    nearest = min(NEIGHBOURS, len(cosines))
    return np.partition(cosines, -nearest, axis=0)[-nearest:].mean(axis=0)


def _cover(mask: Mask | None, grid: tuple[int, int]) -> NDArray[np.floating]:
    """Share of each patch that a region covers, (H, W)."""
    if mask is None:
        return np.zeros(grid)
    pixels = mask.pixels().astype(np.float32)
    return np.asarray(cv2.resize(pixels, grid[::-1], interpolation=cv2.INTER_AREA), np.float64)


def _map_of(cells: Iterable[Cell], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    marked = np.zeros(shape, dtype=bool)
    for cell in cells:
        marked[cell] = True
    return marked


def _cells(marked: NDArray[np.bool_]) -> list[Cell]:
    return [(int(row), int(column)) for row, column in np.argwhere(marked)]


def _added_scores(proposal: Proposal) -> list[float]:
    by_cell = dict(zip(proposal.cells, proposal.scores, strict=True))
    return [by_cell[cell] for cell in proposal.added]
