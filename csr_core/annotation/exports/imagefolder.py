"""An image folder as the datasets library of Hugging Face reads it."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from csr_core.annotation.exports.gathering import Gathered
from csr_core.annotation.exports.places import image_size, place_image
from csr_core.annotation.exports.shapes import Shape, box_shape, mask_shape
from csr_core.annotation.records import Annotation
from csr_core.annotation.resolving import presence_of
from csr_core.annotation.store import Project
from csr_core.files import write_bytes_atomic

__all__ = ["write_imagefolder"]

_SPLITS = {"val": "validation"}
_CARD = """---
configs:
- config_name: default
  data_files:
{files}
---

# {title}

Annotated images, read by `datasets.load_dataset("…/this folder")`. Columns beside the image:

- `image_id`, `diagnosis` (blank if not given), `confidence` (1 to 5, 0 if not given), `comment`,
  `flagged`;
- {concepts}: `yes`, `no`, `unsure`, or blank if nothing was said;
- `objects`: JSON of `category`, `bbox` (x, y, width, height in pixels) and `rle` (COCO's compressed
  run lengths at the size of the image, blank for a box), a list each.
"""


def write_imagefolder(project: Project, cases: Iterable[Gathered], folder: Path) -> int:
    """Write `<split>/<image_id>.<suffix>` with `<split>/metadata.jsonl`, and a card.

    The library guesses the type of a column from the file of each split and wants all to be the
    same; so nothing is null, and regions, of which a split may have none, are text.

    Args:
        project: whose annotations they are.
        cases: one after the other; those that come to nothing yet are left out.
        folder: empty.

    Returns:
        Number of images.
    """
    splits: dict[str, None] = {}
    images = 0
    for each in cases:
        if each.annotation is None:
            continue
        images += 1
        split = _split_name(each.case.split)
        splits[split] = None
        row = {
            "file_name": place_image(project, each.case, folder / split),
            "image_id": each.case.image_id,
            **_said(each.annotation, project.vocabulary.concepts),
            "objects": json.dumps(_objects(each.annotation, *image_size(project, each.case))),
        }
        with (folder / split / "metadata.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    files = "\n".join(f'  - split: "{split}"\n    path: "{split}/**"' for split in splits)
    concepts = ", ".join(f"`concept_{name}`" for name in project.vocabulary.concepts)
    card = _CARD.format(files=files, title=" ".join(project.name.split()), concepts=concepts)
    write_bytes_atomic(folder / "README.md", card.encode())
    return images


def _said(annotation: Annotation, concepts: Iterable[str]) -> dict[str, Any]:
    return {
        **{
            f"concept_{name}": presence_of(annotation.concepts.get(name)) or "" for name in concepts
        },
        "diagnosis": annotation.diagnosis or "",
        "confidence": annotation.confidence or 0,
        "comment": annotation.comment,
        "flagged": annotation.flagged,
    }


def _objects(annotation: Annotation, height: int, width: int) -> dict[str, list[Any]]:
    found: list[tuple[str, Shape]] = []
    for concept, mark in annotation.concepts.items():
        if mark.mask is not None:
            found.append((concept, mask_shape(mark.mask, height, width)))
        found.extend((concept, box_shape(box, height, width)) for box in mark.boxes)
    return {
        "category": [concept for concept, _ in found],
        "bbox": [shape.bounds for _, shape in found],
        "rle": [shape.runs for _, shape in found],
    }


def _split_name(split: str) -> str:
    """A split as the library lets it be called."""
    return _SPLITS.get(split) or re.sub(r"\W", "_", split, flags=re.ASCII)
