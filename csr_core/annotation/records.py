"""What a reader says of one image, and one step in saying it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from csr_core.annotation.masks import Mask
from csr_core.datasets.regions import Box

__all__ = [
    "Annotation",
    "AnnotationError",
    "Change",
    "ConceptMark",
    "Origin",
    "Presence",
    "Status",
    "Vocabulary",
    "annotation_from_json",
    "annotation_to_json",
    "applied",
    "change_from_json",
    "change_to_json",
    "mark_from_json",
    "mark_to_json",
]

Presence = Literal["yes", "no", "unsure"]
Status = Literal["open", "done", "skipped"]
Origin = Literal["reader", "suggestion", "propagation", "import"]
Field = Literal["concept", "diagnosis", "confidence", "comment", "status", "flagged"]

MAX_BOXES = 200
MAX_COMMENT = 4000
CONFIDENCES = range(1, 6)


class AnnotationError(ValueError):
    """An annotation, or a change of one, is not as it should be; the message is for the reader."""


@dataclass(frozen=True)
class Vocabulary:
    """The words a project is annotated in.

    Attributes:
        concepts: names of what may be seen.
        classes: names of the diagnoses.
    """

    concepts: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ConceptMark:
    """What a reader says of one concept.

    Attributes:
        presence: whether it is there; None until said.
        mask: where it is seen, at image resolution.
        boxes: where else it is seen, in fractions of the sides.

    Raises:
        AnnotationError: if a concept that is absent is seen somewhere, or there are too many boxes.
    """

    presence: Presence | None = None
    mask: Mask | None = None
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        seen = self.boxes or (self.mask is not None and self.mask.area)
        if self.presence == "no" and seen:
            raise AnnotationError("A concept that is absent has no region; erase it first.")
        if len(self.boxes) > MAX_BOXES:
            raise AnnotationError(f"At most {MAX_BOXES} boxes a concept; use the brush.")


@dataclass(frozen=True)
class Annotation:
    """What one reader says of one image.

    Attributes:
        concepts: marks by concept; those not spoken of are left out.
        diagnosis: one of the project's classes, or None.
        confidence: in the diagnosis, 1 (a guess) to 5 (certain), or None.
        comment: free text.
        status: where the reader is with it.
        flagged: to be talked about.
    """

    concepts: Mapping[str, ConceptMark] = field(default_factory=lambda: MappingProxyType({}))
    diagnosis: str | None = None
    confidence: int | None = None
    comment: str = ""
    status: Status = "open"
    flagged: bool = False


@dataclass(frozen=True)
class Change:
    """One step of a reader: a field and its new value, checked.

    Attributes:
        field: what is changed.
        value: a ConceptMark for "concept", else as in `Annotation`.
        concept: which one, for "concept".
        origin: the reader's own mark, or a suggestion taken over.
    """

    field: Field
    value: Any
    concept: str | None = None
    origin: Origin = "reader"


def applied(annotation: Annotation, change: Change) -> Annotation:
    """Return the annotation after a change; an empty mark of a concept takes it away."""
    if change.field != "concept":
        return replace(annotation, **{change.field: change.value})
    assert change.concept is not None
    marks = {**annotation.concepts, change.concept: change.value}
    if change.value == ConceptMark():
        del marks[change.concept]
    return replace(annotation, concepts=MappingProxyType(marks))


def change_from_json(value: object, vocabulary: Vocabulary) -> Change:
    """Check a change that came from outside.

    Args:
        value: `field`, `value`, and where they apply `concept` and `origin`.
        vocabulary: of the project.

    Raises:
        AnnotationError: saying what is wrong.
    """
    if not isinstance(value, Mapping) or value.get("field") not in get_args(Field):
        raise AnnotationError(f"A change names its field: {', '.join(get_args(Field))}.")
    name, new = value["field"], value.get("value")
    origin = value.get("origin", "reader")
    if origin not in get_args(Origin):
        raise AnnotationError(f"A mark comes from one of {', '.join(get_args(Origin))}.")
    if name != "concept":
        return Change(name, _checked(name, new, vocabulary), origin=origin)
    concept = value.get("concept")
    if concept not in vocabulary.concepts:
        raise AnnotationError(f"The project's concepts are {', '.join(vocabulary.concepts)}.")
    return Change("concept", mark_from_json(new, concept), concept, origin)


def change_to_json(change: Change) -> dict[str, Any]:
    """Put a change as JSON: `field`, `concept`, `value` and `origin`."""
    value = mark_to_json(change.value) if change.field == "concept" else change.value
    return {
        "field": change.field,
        "concept": change.concept,
        "value": value,
        "origin": change.origin,
    }


def mark_to_json(mark: ConceptMark) -> dict[str, Any]:
    """Put a mark as JSON: `presence`, `mask` and `boxes` of [x_min, y_min, x_max, y_max]."""
    return {
        "presence": mark.presence,
        "mask": mark.mask.to_json() if mark.mask else None,
        "boxes": [[box.x_min, box.y_min, box.x_max, box.y_max] for box in mark.boxes],
    }


def mark_from_json(value: object, concept: str) -> ConceptMark:
    """Read what `mark_to_json` gave.

    Raises:
        AnnotationError: saying what is wrong.
    """
    if not isinstance(value, Mapping):
        raise AnnotationError("A mark holds presence, mask and boxes.")
    presence, mask, boxes = value.get("presence"), value.get("mask"), value.get("boxes") or []
    if presence is not None and presence not in get_args(Presence):
        raise AnnotationError("A concept is present: yes, no or unsure.")
    if not isinstance(boxes, list):
        raise AnnotationError("Boxes are a list.")
    try:
        region = None if mask is None else Mask.from_json(mask)
    except ValueError as problem:
        raise AnnotationError(str(problem)) from problem
    if region is not None and not region.area:
        region = None
    return ConceptMark(presence, region, tuple(_box(corners, concept) for corners in boxes))


def annotation_to_json(annotation: Annotation) -> dict[str, Any]:
    """Put an annotation as JSON."""
    return {
        "concepts": {name: mark_to_json(mark) for name, mark in annotation.concepts.items()},
        **{name: getattr(annotation, name) for name in get_args(Field) if name != "concept"},
    }


def annotation_from_json(value: object, vocabulary: Vocabulary) -> Annotation:
    """Read what `annotation_to_json` gave.

    Raises:
        AnnotationError: saying what is wrong.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("concepts"), Mapping):
        raise AnnotationError("An annotation holds concepts, diagnosis, confidence and comment.")
    marks = {}
    for concept, mark in value["concepts"].items():
        if concept not in vocabulary.concepts:
            raise AnnotationError(f"The project's concepts are {', '.join(vocabulary.concepts)}.")
        marks[concept] = mark_from_json(mark, concept)
    defaults = Annotation()
    others = {
        name: _checked(name, value.get(name, getattr(defaults, name)), vocabulary)
        for name in get_args(Field)
        if name != "concept"
    }
    return Annotation(MappingProxyType(marks), **others)


def _checked(name: str, value: object, vocabulary: Vocabulary) -> Any:
    match name:
        case "diagnosis":
            good = value is None or value in vocabulary.classes
            expected = f"one of {', '.join(vocabulary.classes)}"
        case "confidence":
            good = value is None or (type(value) is int and value in CONFIDENCES)
            expected = f"a number from {CONFIDENCES[0]} to {CONFIDENCES[-1]}"
        case "comment":
            good = isinstance(value, str) and len(value) <= MAX_COMMENT
            expected = f"a text of at most {MAX_COMMENT} characters"
        case "status":
            good, expected = value in get_args(Status), f"one of {', '.join(get_args(Status))}"
        case _:
            good, expected = isinstance(value, bool), "true or false"
    if not good:
        raise AnnotationError(f"The {name} is {expected}.")
    return value


def _box(corners: object, concept: str) -> Box:
    match corners:
        case [float() | int(), float() | int(), float() | int(), float() | int()]:
            left, top, right, bottom = (float(corner) for corner in corners)
            if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
                return Box(concept, left, top, right, bottom)
    raise AnnotationError("A box is [x_min, y_min, x_max, y_max] in fractions of the sides.")
