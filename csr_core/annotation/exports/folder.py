"""Our folder format: what `load_dataset` reads back and a model is trained on."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from csr_core.annotation.exports.gathering import Gathered
from csr_core.annotation.exports.places import image_size, place_image, write_mask
from csr_core.annotation.records import Annotation, ConceptMark, annotation_to_json
from csr_core.annotation.resolving import presence_of, region_of
from csr_core.annotation.store import Case, Project, Read
from csr_core.datasets.problems import Problem
from csr_core.datasets.tables import read_description
from csr_core.files import write_json_atomic

__all__ = ["READINGS_FILE", "label_of", "write_folder"]

READINGS_FILE = "annotations.jsonl"
"""What the tables have no column for, in lines of JSON; `load_dataset` ignores it."""

_LABELS = {"yes": "1", "no": "0"}


def label_of(mark: ConceptMark | None) -> str:
    """Put the presence of a concept as in labels.csv: 1, 0, or blank for unsure and unsaid."""
    return _LABELS.get(presence_of(mark) or "", "")


def write_folder(project: Project, cases: Iterable[Gathered], folder: Path) -> int:
    """Write a data set in our folder format.

    `labels.csv`, `boxes.csv` and the masks hold what the readers of a case come to; a mask includes
    the boxes of its concept, since a data set takes a concept's region from the mask if there is
    one. `annotations.jsonl` holds that once more, and what each reader said, in full: a line of
    `image_id`, `reader` (null for what they come to), `at` and `annotation`.

    Args:
        project: whose annotations they are.
        cases: one after the other; those that come to nothing yet are in annotations.jsonl only.
        folder: empty.

    Returns:
        Number of cases in labels.csv.
    """
    concepts = project.vocabulary.concepts
    write_json_atomic(folder / "dataset.json", _description(project))
    written = 0
    with (
        (folder / "labels.csv").open("w", encoding="utf-8", newline="") as labels_file,
        (folder / "boxes.csv").open("w", encoding="utf-8", newline="") as boxes_file,
        (folder / READINGS_FILE).open("w", encoding="utf-8") as readings,
    ):
        labels, boxes = csv.writer(labels_file), csv.writer(boxes_file)
        labels.writerow(["image_id", "split", "diagnosis", *concepts])
        boxes.writerow(["image_id", "concept", "x_min", "y_min", "x_max", "y_max"])
        for each in cases:
            case, annotation = each.case, each.annotation
            for read in each.reads:
                readings.write(_line(case, read.annotation, read))
            if annotation is None:
                continue
            readings.write(_line(case, annotation))
            marks = [annotation.concepts.get(concept) for concept in concepts]
            labels.writerow(
                [case.image_id, case.split, annotation.diagnosis or "", *map(label_of, marks)]
            )
            for concept, mark in annotation.concepts.items():
                for box in mark.boxes:
                    corners = (box.x_min, box.y_min, box.x_max, box.y_max)
                    boxes.writerow([case.image_id, concept, *corners])
            _write_masks(project, case, annotation, folder / "masks")
            place_image(project, case, folder / "images" / case.split)
            written += 1
    return written


def _line(case: Case, annotation: Annotation, read: Read | None = None) -> str:
    value = {
        "image_id": case.image_id,
        "reader": read.reader if read else None,
        "at": read.at.isoformat() if read else None,
        "annotation": annotation_to_json(annotation),
    }
    return json.dumps(value) + "\n"


def _write_masks(project: Project, case: Case, annotation: Annotation, folder: Path) -> None:
    for concept, mark in annotation.concepts.items():
        region = region_of(mark, case.height, case.width) if mark.mask else None
        if region is not None:
            path = folder / concept / f"{case.image_id}.png"
            write_mask(path, region, image_size(project, case))


def _description(project: Project) -> dict[str, object]:
    problems: list[Problem] = []
    source = read_description(project.folder, problems)
    return {
        "name": project.data_name or project.name,
        "classes": project.vocabulary.classes,
        "concepts": project.vocabulary.concepts,
        "licence": source.licence if source else "",
        "source": source.source if source else "",
    }
