"""Read annotations of COCO files, ours and those of other tools."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csr_core.annotation.exports.coco import COCO_FILE, OURS
from csr_core.annotation.imports.regions import Frame, box_of, region_of_segmentation
from csr_core.annotation.imports.saving import Imported
from csr_core.annotation.masks import Mask
from csr_core.annotation.records import (
    Annotation,
    ConceptMark,
    Presence,
    Vocabulary,
    annotation_from_json,
)
from csr_core.annotation.store import Case
from csr_core.datasets.problems import Problem, shown
from csr_core.datasets.regions import Box
from csr_core.files import read_json
from csr_core.picture_checks import MAX_PIXELS

__all__ = ["read_coco"]

_MAX_BYTES = 1024**3
_SHAPE_TOLERANCE = 0.02
"""Share by which the proportions of an image may differ from those of the project's."""

Entry = tuple[str, Mapping[str, Any]]
"""What a part of the file is called in messages, and the part."""


@dataclass(frozen=True)
class _Image:
    """An image of the file that is a case of the project."""

    place: str
    case: Case
    frame: Frame
    ours: Mapping[str, Any]


def read_coco(
    path: Path,
    cases: Mapping[str, Case],
    words: Vocabulary,
    reader: str,
    problems: list[Problem],
) -> Iterator[Imported]:
    """Read a file of COCO instances.

    A category is the concept of that name (capitals aside, and with spaces for underscores), an
    image the case whose id is the stem of its file's name. Polygons and run lengths of a concept
    are united into its mask; an annotation without them is a box. What `write_coco` adds for an
    image as a whole is read back; elsewhere a concept that is marked is present, and of others
    nothing is known. An image of which nothing is said is left out.

    Args:
        path: the file, or an export in COCO.
        cases: of the project, by image id.
        words: of the project.
        reader: whose annotations they become.
        problems: grows by every fault found; what is at fault is not read.

    Yields:
        The annotations, as they are asked for.
    """
    path = path / COCO_FILE if path.is_dir() else path
    faults = _Faults(path.name, problems)
    try:
        content = read_json(path, _MAX_BYTES)
    except (OSError, ValueError) as error:
        found = "no readable file" if isinstance(error, OSError) else str(error)
        problems.append(Problem(path.name, None, None, found, "COCO instances as JSON"))
        return
    concepts = _concepts(_entries(content, "categories", faults), words, faults)
    images = _images(_entries(content, "images", faults), cases, faults)
    marks: dict[object, list[Entry]] = defaultdict(list)
    for place, mark in _entries(content, "annotations", faults):
        number = mark.get("image_id")
        if isinstance(number, int | str) and number in images:
            marks[number].append((place, mark))
        else:
            faults.add(f"{place}.image_id", shown(number), "the id of an image of the file")
    for number, image in images.items():
        if image is None:
            continue
        annotation = _annotation(image, marks[number], concepts, words, faults)
        if annotation != Annotation(status=annotation.status):
            yield Imported(image.case, reader, annotation)


@dataclass(frozen=True)
class _Faults:
    """What is wrong with a file."""

    file: str
    problems: list[Problem]

    def add(self, place: str, found: str, expected: str) -> None:
        self.problems.append(Problem(self.file, None, place, found, expected))


def _entries(content: object, key: str, faults: _Faults) -> Iterator[Entry]:
    values = content.get(key) if isinstance(content, dict) else None
    if not isinstance(values, list):
        faults.add(key, shown(values), "a list, as in COCO instances")
        return
    for index, value in enumerate(values):
        place = f"{key}[{index}]"
        if isinstance(value, dict):
            yield place, value
        else:
            faults.add(place, shown(value), "an object")


def _concepts(
    categories: Iterator[Entry], words: Vocabulary, faults: _Faults
) -> Mapping[object, str | None]:
    """The concept of each category, None for one that the project doesn't have."""
    known = {_plain(name): name for name in words.concepts}
    known |= {name: name for name in words.concepts}
    concepts: dict[object, str | None] = {}
    for place, category in categories:
        number, name = category.get("id"), category.get("name")
        if not isinstance(number, int | str) or number in concepts:
            faults.add(f"{place}.id", shown(number), "a number of its own")
            continue
        concepts[number] = None
        if isinstance(name, str):
            concepts[number] = known.get(name, known.get(_plain(name)))
        if concepts[number] is None:
            expected = f"one of the project's concepts: {', '.join(words.concepts)}"
            faults.add(f"{place}.name", shown(name), expected)
    return concepts


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_")


def _images(
    images: Iterator[Entry], cases: Mapping[str, Case], faults: _Faults
) -> Mapping[object, _Image | None]:
    """The images by number, None for one that the project doesn't have."""
    found: dict[object, _Image | None] = {}
    taken: set[int] = set()
    for place, image in images:
        number = image.get("id")
        if not isinstance(number, int | str) or number in found:
            faults.add(f"{place}.id", shown(number), "a number of its own")
            continue
        found[number] = None
        ours = image.get(OURS)
        ours = ours if isinstance(ours, dict) else {}
        name = image.get("file_name")
        stem = PurePosixPath(name.replace("\\", "/")).stem if isinstance(name, str) else ""
        case = cases.get(stem)
        if case is None:
            expected = "a file named by the id of an image of the project"
            faults.add(f"{place}.file_name", shown(name), expected)
            continue
        if case.id in taken:
            faults.add(f"{place}.file_name", shown(name), f"{case.image_id} only once")
            continue
        taken.add(case.id)
        height, width = image.get("height"), image.get("width")
        frame = _frame(height, width, case)
        if frame is None:
            expected = f"the size of the image, in proportion to {case.height} × {case.width}"
            faults.add(f"{place}.height and width", shown((height, width)), expected)
            continue
        found[number] = _Image(place, case, frame, ours)
    return found


def _frame(height: object, width: object, case: Case) -> Frame | None:
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        return None
    proportion = (height / case.height) / (width / case.width)
    rounding = max(1 / case.height, 1 / case.width)
    if abs(proportion - 1) > _SHAPE_TOLERANCE + rounding or height * width > MAX_PIXELS:
        return None
    return Frame(height, width, case.height, case.width)


def _annotation(
    image: _Image,
    marks: Sequence[Entry],
    concepts: Mapping[object, str | None],
    words: Vocabulary,
    faults: _Faults,
) -> Annotation:
    said = {"status": "done", **image.ours, "concepts": {}}
    try:
        whole = annotation_from_json(said, words)
    except ValueError as error:
        faults.add(f"{image.place}.{OURS}", str(error), "what an export of this program holds")
        whole = Annotation(status="done")
    presences = image.ours.get("presence")
    presences = presences if isinstance(presences, dict) else {}
    regions, boxes = _shapes(image, marks, concepts, faults)
    found = {}
    for concept in words.concepts:
        if concept not in regions and concept not in boxes and concept not in presences:
            continue
        region = regions.get(concept)
        try:
            found[concept] = ConceptMark(
                _presence(presences.get(concept, "yes")),
                Mask.of(region) if region is not None and region.any() else None,
                tuple(boxes.get(concept, ())),
            )
        except ValueError as error:
            faults.add(image.place, f"{concept}: {error}", "a mark that a reader can make")
    return replace(whole, concepts=MappingProxyType(found))


def _presence(value: object) -> Presence | None:
    match value:
        case "yes" | "no" | "unsure" | None:
            return value
    raise ValueError(f"the presence {shown(value)}")


def _shapes(
    image: _Image,
    marks: Sequence[Entry],
    concepts: Mapping[object, str | None],
    faults: _Faults,
) -> tuple[Mapping[str, NDArray[np.bool_]], Mapping[str, Sequence[Box]]]:
    """The region and the boxes of each concept in an image."""
    regions: dict[str, NDArray[np.bool_]] = {}
    boxes: dict[str, list[Box]] = defaultdict(list)
    for place, mark in marks:
        number = mark.get("category_id")
        if not isinstance(number, int | str) or number not in concepts:
            faults.add(f"{place}.category_id", shown(number), "the id of a category of the file")
            continue
        concept = concepts[number]
        if concept is None:
            continue
        try:
            shape = _shape(concept, mark, image.frame)
        except ValueError as error:
            faults.add(place, str(error), "polygons, run lengths or a box inside the image")
            continue
        if isinstance(shape, Box):
            boxes[concept].append(shape)
        else:
            regions[concept] = regions[concept] | shape if concept in regions else shape
    return regions, boxes


def _shape(concept: str, mark: Mapping[str, Any], frame: Frame) -> Box | NDArray[np.bool_]:
    ours = mark.get(OURS)
    ours = ours if isinstance(ours, dict) else {}
    segmentation = mark.get("segmentation")
    if ours.get("kind") == "box" or not segmentation:
        return box_of(concept, mark.get("bbox"), ours.get("corners"), frame)
    return region_of_segmentation(segmentation, frame)
