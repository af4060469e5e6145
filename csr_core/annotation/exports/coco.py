"""COCO instances: what most tools for images read."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from csr_core.annotation.exports.gathering import Gathered
from csr_core.annotation.exports.places import image_size, place_image
from csr_core.annotation.exports.shapes import box_shape, mask_shape
from csr_core.annotation.records import Annotation
from csr_core.annotation.store import Project

__all__ = ["COCO_FILE", "OURS", "write_coco"]

COCO_FILE = "annotations.json"
OURS = "csr_studio"
"""Key of what COCO has no place for; other tools ignore it."""


def write_coco(project: Project, cases: Iterable[Gathered], folder: Path) -> int:
    """Write `annotations.json`, and the images it names in `images/`.

    A concept is a category, its mask an annotation in compressed run lengths at the size of the
    image, and each box another, with the rectangle as its polygon. The key `csr_studio` of an image
    holds what is said of it as a whole (split, presence of each concept, diagnosis, confidence,
    comment, status, flag), that of an annotation whether it is a mask or the box in fractions.

    Args:
        project: whose annotations they are.
        cases: one after the other; those that come to nothing yet are left out.
        folder: empty.

    Returns:
        Number of images.
    """
    categories = [
        {"id": number, "name": name, "supercategory": "concept"}
        for number, name in enumerate(project.vocabulary.concepts, start=1)
    ]
    head = {
        "info": {"description": project.name, OURS: {"classes": project.vocabulary.classes}},
        "licenses": [],
        "categories": categories,
    }
    images = marks = 0
    with (
        (folder / COCO_FILE).open("w", encoding="utf-8") as file,
        TemporaryFile("w+", encoding="utf-8") as later,
    ):
        file.write(json.dumps(head)[:-1] + ', "images": [')
        for each in cases:
            if each.annotation is None:
                continue
            images += 1
            height, width = image_size(project, each.case)
            image = {
                "id": images,
                "file_name": place_image(project, each.case, folder / "images"),
                "height": height,
                "width": width,
                OURS: {"split": each.case.split, **_said(each.annotation)},
            }
            _append(file, image, first=images == 1)
            for mark in _marks(each.annotation, categories, height, width):
                marks += 1
                _append(later, {"id": marks, "image_id": images, **mark}, first=marks == 1)
        file.write('],\n"annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, file)
        file.write("]}\n")
    return images


def _said(annotation: Annotation) -> dict[str, Any]:
    return {
        "presence": {name: mark.presence for name, mark in annotation.concepts.items()},
        "diagnosis": annotation.diagnosis,
        "confidence": annotation.confidence,
        "comment": annotation.comment,
        "status": annotation.status,
        "flagged": annotation.flagged,
    }


def _marks(
    annotation: Annotation, categories: list[dict[str, Any]], height: int, width: int
) -> Iterator[dict[str, Any]]:
    for category in categories:
        mark = annotation.concepts.get(category["name"])
        if mark is None:
            continue
        common = {"category_id": category["id"], "iscrowd": 0}
        if mark.mask is not None:
            shape = mask_shape(mark.mask, height, width)
            yield common | {
                "segmentation": {"size": [height, width], "counts": shape.runs},
                "area": shape.area,
                "bbox": shape.bounds,
                OURS: {"kind": "mask"},
            }
        for box in mark.boxes:
            shape = box_shape(box, height, width)
            left, top, across, down = shape.bounds
            right, bottom = left + across, top + down
            yield common | {
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                "area": shape.area,
                "bbox": shape.bounds,
                OURS: {"kind": "box", "corners": [box.x_min, box.y_min, box.x_max, box.y_max]},
            }


def _append(file: IO[str], value: dict[str, Any], first: bool) -> None:
    file.write(("\n" if first else ",\n") + json.dumps(value))
