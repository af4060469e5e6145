"""What one mark, and what several readers, say when all is taken together."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import median_low
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from csr_core.annotation.masks import Mask
from csr_core.annotation.names import CONSENSUS, folded
from csr_core.annotation.records import MAX_COMMENT, Annotation, ConceptMark, Presence
from csr_core.annotation.store import Read
from csr_core.datasets.regions import draw_boxes, resized

__all__ = ["presence_of", "region_of", "resolved"]

T = TypeVar("T", bound=Hashable)


def presence_of(mark: ConceptMark | None) -> Presence | None:
    """Tell whether a concept is there: as said, or "yes" if it is only shown where."""
    if mark is None:
        return None
    return mark.presence or ("yes" if mark.mask or mark.boxes else None)


def region_of(mark: ConceptMark, height: int, width: int) -> NDArray[np.bool_] | None:
    """Return where a concept is seen: its mask and its boxes together.

    Args:
        mark: of the concept.
        height: of the result in pixels.
        width: of the result in pixels.

    Returns:
        (height, width), or None if the mark shows no place.
    """
    if mark.mask is None and not mark.boxes:
        return None
    region = draw_boxes(mark.boxes, height, width)
    return region if mark.mask is None else region | resized(mark.mask.pixels(), height, width)


def resolved(reads: Iterable[Read], reader: str | None = None) -> Annotation | None:
    """Make one annotation of what several readers said of a case.

    What was adjudicated counts. Where nothing was, it is the chosen reader's annotation; if none is
    chosen, that of the only reader, or else the majority's:

    - a concept is present or absent if more than half of those who said something of it say so,
      else "unsure"; who only showed where it is said "yes";
    - it is seen at the pixels that more than half of those who showed a place show, by mask or
      box; what only one reader showed is kept as it is; an absent concept is seen nowhere;
    - the diagnosis is the one more than half of those who gave any gave, else none, and the
      confidence the lower median of theirs;
    - comments are put one below the other, each after its reader's name, and cut where one
      comment would be; one flag is enough.

    Only annotations that are done count.

    Args:
        reads: of one case, each by another reader.
        reader: the chosen one.

    Returns:
        The annotation, or None if there is none that counts.
    """
    done = {folded(read.reader): read for read in reads if read.annotation.status == "done"}
    if CONSENSUS in done:
        return done[CONSENSUS].annotation
    if reader is not None:
        done = {name: read for name, read in done.items() if name == folded(reader)}
    found = list(done.values())
    if len(found) > 1:
        return _majority(found)
    return found[0].annotation if found else None


def _majority(reads: Sequence[Read]) -> Annotation:
    annotations = [read.annotation for read in reads]
    case = reads[0].case
    concepts = dict.fromkeys(name for each in annotations for name in each.concepts)
    marks = {
        name: _agreed([each.concepts.get(name) for each in annotations], case.height, case.width)
        for name in concepts
    }
    diagnosis = _more_than_half([each.diagnosis for each in annotations if each.diagnosis])
    confidences = [
        each.confidence for each in annotations if each.confidence and each.diagnosis == diagnosis
    ]
    comments = [f"{read.reader}: {read.annotation.comment}" for read in reads]
    told = [text for text, each in zip(comments, annotations, strict=True) if each.comment]
    return Annotation(
        concepts=MappingProxyType({name: mark for name, mark in marks.items() if mark.presence}),
        diagnosis=diagnosis,
        confidence=median_low(confidences) if diagnosis and confidences else None,
        comment="\n".join(told)[:MAX_COMMENT],
        status="done",
        flagged=any(each.flagged for each in annotations),
    )


def _agreed(marks: Sequence[ConceptMark | None], height: int, width: int) -> ConceptMark:
    said = [presence for mark in marks if (presence := presence_of(mark))]
    presence = _more_than_half(said) or ("unsure" if said else None)
    shown = [mark for mark in marks if mark is not None and (mark.mask or mark.boxes)]
    if presence == "no" or not shown:
        return ConceptMark(presence)
    if len(shown) == 1:
        return ConceptMark(presence, shown[0].mask, shown[0].boxes)
    votes = np.zeros((height, width), np.int32)
    for mark in shown:
        region = region_of(mark, height, width)
        assert region is not None
        votes += region
    agreed = 2 * votes > len(shown)
    return ConceptMark(presence, Mask.of(agreed) if agreed.any() else None)


def _more_than_half(values: Sequence[T]) -> T | None:
    """The value that more than half of them are, if there is one."""
    for value, count in Counter(values).most_common(1):
        if 2 * count > len(values):
            return value
    return None
