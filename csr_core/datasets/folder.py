"""The folder format: one data set of images, labels and regions, checked before it is used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets.labels import (
    LabelRow,
    check_training_examples,
    find_images,
    read_labels,
)
from csr_core.datasets.problems import DatasetError, Problem, is_safe_id
from csr_core.datasets.regions import Box, check_masks, draw_boxes, read_boxes, read_mask
from csr_core.datasets.tables import Description, read_description
from csr_core.imaging import ImageError, RGBArray, decode_image

__all__ = ["Box", "Dataset", "lesion_mask", "load_dataset", "load_image", "region_mask"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A checked data set, or some of its rows; N images, K concepts, A artefacts.

    Attributes:
        root: Its folder.
        name: What it is called.
        classes: Names of the diagnoses.
        concepts: Names of the K concepts.
        artefacts: Names of the A artefacts.
        licence: Licence of the data, possibly empty.
        source: Where the data come from, possibly empty.
        image_ids: N unique ids.
        splits: Split of each image.
        diagnoses: (N,) int64 index into ``classes``, −1 where unknown.
        concept_labels: (N, K) int8: 1 present, 0 absent, −1 unknown.
        artefact_labels: (N, A) int8, likewise.
        image_paths: N image files.
        boxes: Boxes by image id; an image without boxes has no entry.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    concepts: tuple[str, ...]
    artefacts: tuple[str, ...]
    licence: str
    source: str
    image_ids: tuple[str, ...]
    splits: tuple[str, ...]
    diagnoses: NDArray[np.int64]
    concept_labels: NDArray[np.int8]
    artefact_labels: NDArray[np.int8]
    image_paths: tuple[Path, ...]
    boxes: dict[str, tuple[Box, ...]]

    def __post_init__(self) -> None:
        for array in (self.diagnoses, self.concept_labels, self.artefact_labels):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """Return the rows of a split, ascending; none if there is no such split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def select(self, rows: Sequence[int] | NDArray[np.integer]) -> "Dataset":
        """Return the data set of these rows, in this order.

        Args:
            rows: Row numbers, each at most once.

        Returns:
            A data set that shares the classes, concepts and folder.
        """
        indices = np.asarray(rows, np.int64)
        image_ids = tuple(self.image_ids[row] for row in indices)
        return replace(
            self,
            image_ids=image_ids,
            splits=tuple(self.splits[row] for row in indices),
            diagnoses=self.diagnoses[indices],
            concept_labels=self.concept_labels[indices],
            artefact_labels=self.artefact_labels[indices],
            image_paths=tuple(self.image_paths[row] for row in indices),
            boxes={name: self.boxes[name] for name in image_ids if name in self.boxes},
        )

    def mask_path(self, name: str, image_id: str) -> Path | None:
        """Return the mask file of a concept or artefact in an image, or None if there is none.

        Raises:
            ValueError: The data set has neither of that name, or the id cannot name a file.
        """
        seen = (*self.concepts, *self.artefacts)
        if name not in seen:
            raise ValueError(f"No concept or artefact {name!r}; expected one of {', '.join(seen)}.")
        path = self.root / "masks" / name / f"{_safe(image_id)}.png"
        return path if path.is_file() else None

    def lesion_mask_path(self, image_id: str) -> Path | None:
        """Return the lesion outline of an image, or None if there is none.

        It lies in ``lesion_masks/`` or, like the image, in a folder of its split there.

        Raises:
            ValueError: The id cannot name a file.
        """
        folder = self.root / "lesion_masks"
        splits = dict.fromkeys(self.splits)
        folders = [folder, *(folder / split for split in splits)]
        paths = (place / f"{_safe(image_id)}.png" for place in folders)
        return next((path for path in paths if path.is_file()), None)


def load_dataset(root: Path, *, check_images: bool = False, for_training: bool = True) -> Dataset:
    """Read a data set in the folder format and check all of it.

    ``dataset.json`` holds name, classes, concepts and optionally artefacts, licence and source;
    ``labels.csv`` image_id, split, diagnosis and a column of 1, 0 or blank per concept and
    artefact; images lie in ``images/<split>/`` or ``images/``. ``boxes.csv``,
    ``masks/<concept or artefact>/<image_id>.png`` and ``lesion_masks/`` are optional.

    Args:
        root: Folder of the data set.
        check_images: Decode every image and mask too, which takes milliseconds for each.
        for_training: Also expect, in split train, an example of every class and concept.

    Returns:
        The data set; a blank label is −1 (unknown), never 0.

    Raises:
        DatasetError: Something is wrong; its ``problems`` list every fault found.
    """
    root = Path(root)
    problems: list[Problem] = []
    if not root.is_dir():
        expected = "a folder with dataset.json, labels.csv and images"
        raise DatasetError([Problem(root.name, None, None, "no such folder", expected)])
    description = read_description(root, problems)
    if description is None:
        raise DatasetError(problems)
    labels = read_labels(root, description, problems)
    if for_training:
        check_training_examples(labels, description, problems)
    paths = find_images(root, labels, problems)
    boxes = read_boxes(root, description, labels, problems)
    check_masks(root, description, labels, problems, decode=check_images)
    found = tuple(path for path in paths if path is not None)
    if check_images:
        _check_decoding(root, found, problems)
    if problems:
        raise DatasetError(problems)
    return _assemble(root, description, labels, found, boxes)


def load_image(dataset: Dataset, row: int) -> RGBArray:
    """Decode the image of a row.

    Args:
        dataset: The data set.
        row: Row number.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: The file cannot be decoded; the message names the image id.
    """
    return decode_image(dataset.image_paths[row], what=f"image {dataset.image_ids[row]}")


def region_mask(dataset: Dataset, name: str, image_id: str, size: int) -> NDArray[np.bool_] | None:
    """Return where a concept or an artefact is seen in an image, on a square grid.

    Args:
        dataset: The data set.
        name: Of the concept or artefact.
        image_id: Id of the image.
        size: Side of the grid.

    Returns:
        (size, size) bool, from the mask if there is one, else the union of a concept's boxes;
        None if there is neither and the region is unknown.

    Raises:
        ImageError: The mask cannot be decoded.
        ValueError: The data set has neither of that name, or the id cannot name a file.
    """
    path = dataset.mask_path(name, image_id)
    if path is not None:
        return read_mask(path, size, size)
    boxes = [box for box in dataset.boxes.get(image_id, ()) if box.concept == name]
    return draw_boxes(boxes, size, size) if boxes else None


def lesion_mask(dataset: Dataset, image_id: str, size: int) -> NDArray[np.bool_] | None:
    """Return the outline of the lesion in an image, on a square grid.

    Args:
        dataset: The data set.
        image_id: Id of the image.
        size: Side of the grid.

    Returns:
        (size, size) bool, or None if the outline is unknown.

    Raises:
        ImageError: The mask cannot be decoded.
        ValueError: The id cannot name a file.
    """
    path = dataset.lesion_mask_path(image_id)
    return None if path is None else read_mask(path, size, size)


def _assemble(
    root: Path,
    description: Description,
    labels: tuple[LabelRow, ...],
    paths: tuple[Path, ...],
    boxes: dict[str, tuple[Box, ...]],
) -> Dataset:
    N, K, A = len(labels), len(description.concepts), len(description.artefacts)
    return Dataset(
        root=root,
        name=description.name,
        classes=description.classes,
        concepts=description.concepts,
        artefacts=description.artefacts,
        licence=description.licence,
        source=description.source,
        image_ids=tuple(row.image_id for row in labels),
        splits=tuple(row.split for row in labels),
        diagnoses=np.array([row.diagnosis for row in labels], np.int64),
        concept_labels=np.array([row.concepts for row in labels], np.int8).reshape(N, K),
        artefact_labels=np.array([row.artefacts for row in labels], np.int8).reshape(N, A),
        image_paths=paths,
        boxes=boxes,
    )


def _check_decoding(root: Path, paths: tuple[Path, ...], problems: list[Problem]) -> None:
    for path in paths:
        try:
            decode_image(path, what="the image")
        except ImageError as error:
            file = path.relative_to(root).as_posix()
            problems.append(Problem(file, None, None, str(error), "an image that can be decoded"))


def _safe(image_id: str) -> str:
    if not is_safe_id(image_id):
        raise ValueError(f"{image_id!r} cannot be the id of an image.")
    return image_id
