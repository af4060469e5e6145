"""Read annotations of a data set in our folder format."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType

from csr_core.annotation.exports.folder import READINGS_FILE, label_of
from csr_core.annotation.imports.saving import Imported
from csr_core.annotation.masks import Mask
from csr_core.annotation.records import (
    Annotation,
    ConceptMark,
    Presence,
    Vocabulary,
    annotation_from_json,
)
from csr_core.annotation.resolving import region_of
from csr_core.annotation.store import Case
from csr_core.datasets.labels import UNKNOWN, LabelRow, read_labels
from csr_core.datasets.problems import Problem, shown
from csr_core.datasets.regions import Box, check_masks, read_boxes, read_mask
from csr_core.datasets.tables import Description, read_description

__all__ = ["read_folder", "read_readings"]

_PRESENCE: Mapping[int, Presence] = {1: "yes", 0: "no"}
_NOTHING = ConceptMark()
_MAX_LINE = 64 * 1024 * 1024


def read_folder(
    root: Path,
    cases: Mapping[str, Case],
    words: Vocabulary,
    reader: str,
    problems: list[Problem],
) -> Iterator[Imported]:
    """Read what labels.csv, boxes.csv and the masks say of the cases of a project.

    What those can't hold (unsure, confidence, comment, flag) comes from annotations.jsonl where it
    says the same of a concept or the diagnosis as they do; where they differ, somebody has edited
    the tables since, and these count. An image of which nothing is said is left out.

    Args:
        root: a data set.
        cases: of the project, by image id.
        words: of the project.
        reader: whose annotations they become.
        problems: grows by every fault found; what is at fault is not read.

    Yields:
        The annotations, as they are asked for.
    """
    description = read_description(root, problems)
    if description is None:
        return
    _check_words(description, words, problems)
    rows = read_labels(root, description, problems)
    boxes = read_boxes(root, description, rows, problems)
    check_masks(root, description, rows, problems, decode=False)
    offsets = {
        line.image_id: line.offset for line in _lines(root, words, problems) if line.reader is None
    }
    for row in rows:
        case = cases.get(row.image_id)
        if case is None:
            found, expected = shown(row.image_id), "the id of an image of the project"
            problems.append(Problem("labels.csv", row.line, "image_id", found, expected))
            continue
        told = Annotation()
        if row.image_id in offsets:
            told = _line_at(root, offsets[row.image_id], words).annotation
        try:
            in_tables = _in_tables(root, row, case, description, words, boxes.get(row.image_id, ()))
        except ValueError as error:
            found, expected = str(error), "marks a reader can make"
            problems.append(Problem("labels.csv", row.line, "image_id", found, expected))
            continue
        annotation = _together(in_tables, told, case)
        if annotation != Annotation(status=annotation.status):
            yield Imported(case, reader, annotation)


def read_readings(
    root: Path, cases: Mapping[str, Case], words: Vocabulary, problems: list[Problem]
) -> Iterator[Imported]:
    """Read what each reader said, from the annotations.jsonl of an export.

    Args:
        root: an export in our folder format.
        cases: of the project, by image id.
        words: of the project.
        problems: grows by every fault found; what is at fault is not read.

    Yields:
        The annotations, as they are asked for.
    """
    if not (root / READINGS_FILE).is_file():
        expected = "an export of this program; name the reader of any other data set"
        problems.append(Problem(READINGS_FILE, None, None, "no such file", expected))
    for line in _lines(root, words, problems):
        if line.image_id not in cases:
            found, expected = shown(line.image_id), "the id of an image of the project"
            problems.append(Problem(READINGS_FILE, line.number, "image_id", found, expected))
        elif line.reader is not None:
            yield Imported(cases[line.image_id], line.reader, line.annotation)


@dataclass(frozen=True)
class _Line:
    """A line of annotations.jsonl, the one that starts at an offset; no reader: the outcome."""

    number: int
    offset: int
    image_id: str
    reader: str | None
    annotation: Annotation


def _lines(root: Path, words: Vocabulary, problems: list[Problem]) -> Iterator[_Line]:
    path = root / READINGS_FILE
    if not path.is_file():
        return
    with path.open("rb") as stream:
        offset = 0
        for number in count(1):
            line = stream.readline(_MAX_LINE + 1)
            if not line:
                return
            try:
                yield _parsed(line, number, offset, words)
            except (ValueError, RecursionError) as error:
                found = f"a line that can't be read ({error})"
                expected = "lines as an export of this program writes them"
                problems.append(Problem(READINGS_FILE, number, None, found, expected))
            if len(line) > _MAX_LINE:
                return
            offset += len(line)


def _line_at(root: Path, offset: int, words: Vocabulary) -> _Line:
    with (root / READINGS_FILE).open("rb") as stream:
        stream.seek(offset)
        return _parsed(stream.readline(_MAX_LINE), 0, offset, words)


def _parsed(line: bytes, number: int, offset: int, words: Vocabulary) -> _Line:
    if len(line) > _MAX_LINE:
        raise ValueError(f"it is longer than {_MAX_LINE // 1024**2} MB")
    match json.loads(line):
        case {"image_id": str(image_id), "reader": str() | None as reader, "annotation": value}:
            return _Line(number, offset, image_id, reader, annotation_from_json(value, words))
    raise ValueError("image_id, reader and annotation are missing")


def _check_words(description: Description, words: Vocabulary, problems: list[Problem]) -> None:
    for key in ("concepts", "classes"):
        known = getattr(words, key)
        for name in getattr(description, key):
            if name not in known:
                expected = f"{key} of the project: {', '.join(known)}"
                problems.append(Problem("dataset.json", None, key, shown(name), expected))


def _in_tables(
    root: Path,
    row: LabelRow,
    case: Case,
    description: Description,
    words: Vocabulary,
    boxes: tuple[Box, ...],
) -> Annotation:
    """What labels.csv, boxes.csv and the masks say of an image.

    Raises:
        ValueError: if it is nothing a reader could have marked.
    """
    names = (*description.concepts, *description.artefacts)
    labels = dict(zip(names, (*row.concepts.tolist(), *row.artefacts.tolist()), strict=True))
    marks = {}
    for name in words.concepts:
        path = root / "masks" / name / f"{row.image_id}.png"
        mask = None
        if name in labels and path.is_file():
            region = read_mask(path, case.height, case.width)
            mask = Mask.of(region) if region.any() else None
        of_concept = tuple(box for box in boxes if box.concept == name)
        mark = ConceptMark(_PRESENCE.get(labels.get(name, UNKNOWN)), mask, of_concept)
        if mark != _NOTHING:
            marks[name] = mark
    diagnosis = None if row.diagnosis == UNKNOWN else description.classes[row.diagnosis]
    return Annotation(
        MappingProxyType(marks), diagnosis if diagnosis in words.classes else None, status="done"
    )


def _together(in_tables: Annotation, told: Annotation, case: Case) -> Annotation:
    """What annotations.jsonl tells, where the tables don't say otherwise."""
    marks = {}
    for name in {**told.concepts, **in_tables.concepts}:
        mark = in_tables.concepts.get(name, _NOTHING)
        in_full = told.concepts.get(name, _NOTHING)
        marks[name] = in_full if _same(mark, in_full, case) else mark
    same = told.diagnosis == in_tables.diagnosis
    return replace(
        told,
        concepts=MappingProxyType({name: mark for name, mark in marks.items() if mark != _NOTHING}),
        diagnosis=in_tables.diagnosis,
        confidence=told.confidence if same else None,
        status="done",
    )


def _same(in_tables: ConceptMark, in_full: ConceptMark, case: Case) -> bool:
    """Tell whether a mark, put in tables, is another mark read from there."""
    region = region_of(in_full, case.height, case.width) if in_full.mask else None
    mask = Mask.of(region) if region is not None else None
    return (
        label_of(ConceptMark(in_tables.presence)) == label_of(in_full)
        and in_tables.boxes == in_full.boxes
        and in_tables.mask == mask
    )
