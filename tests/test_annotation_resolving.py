"""Several readers become one annotation; values by hand."""

from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
import pytest

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import Annotation, ConceptMark
from csr_core.annotation.resolving import presence_of, region_of, resolved
from csr_core.annotation.store import CONSENSUS, Case, Read
from csr_core.datasets.regions import Box

CASE = Case(1, "P", "a", "a.png", "train", 2, 2, 0)
LEFT = Mask.of(np.array([[1, 0], [1, 0]], bool))
TOP = Mask.of(np.array([[1, 1], [0, 0]], bool))
RIGHT_BOX = Box("streaks", 0.5, 0, 1, 1)


def read(reader, streaks=None, status="done", **others):
    marks = {} if streaks is None else {"streaks": streaks}
    annotation = Annotation(MappingProxyType(marks), status=status, **others)
    return Read(CASE, reader, annotation, datetime(2026, 1, 2, tzinfo=UTC))


def streaks_of(*marks):
    """What readers agree on who gave these marks."""
    found = resolved([read(f"reader {number}", mark) for number, mark in enumerate(marks)])
    return found.concepts.get("streaks")


def test_showing_a_place_says_it_is_there():
    assert presence_of(None) is None
    assert presence_of(ConceptMark()) is None
    assert presence_of(ConceptMark(mask=LEFT)) == "yes"
    assert presence_of(ConceptMark(boxes=(RIGHT_BOX,))) == "yes"
    assert presence_of(ConceptMark("unsure", LEFT)) == "unsure"


def test_a_region_is_mask_and_boxes_together():
    assert region_of(ConceptMark("yes"), 2, 2) is None
    region = region_of(ConceptMark("yes", LEFT, (Box("streaks", 0.5, 0.5, 1, 1),)), 2, 2)
    assert region.tolist() == [[True, False], [True, True]]


def test_adjudicated_goes_before_chosen_before_majority():
    anna, ben = read("Anna", diagnosis="nevus"), read("Ben", diagnosis="melanoma")
    carl = read("Carl", diagnosis="melanoma")
    agreed = read(CONSENSUS, diagnosis="nevus", comment="talked about")
    assert resolved([anna, ben, carl]).diagnosis == "melanoma"
    assert resolved([anna, ben, carl], "ANNA") is anna.annotation
    assert resolved([anna, ben, carl, agreed], "Ben") is agreed.annotation
    assert resolved([ben, carl], "Anna") is None


def test_only_what_is_done_counts():
    anna, ben = read("Anna", diagnosis="nevus"), read("Ben", status="open", diagnosis="melanoma")
    assert resolved([anna, ben, read(CONSENSUS, status="open")]) is anna.annotation
    assert resolved([ben, read("Carl", status="skipped")]) is None
    assert resolved([anna, ben], "Ben") is None
    assert resolved([]) is None


@pytest.mark.parametrize(
    ("said", "agreed"),
    [
        (["yes", "yes", "no"], "yes"),
        (["no", "no", "unsure"], "no"),
        (["yes", "no"], "unsure"),
        (["yes", "yes", "no", "unsure"], "unsure"),
        (["yes", None, None], "yes"),
    ],
)
def test_more_than_half_of_those_who_said_something(said, agreed):
    assert streaks_of(*map(ConceptMark, said)) == ConceptMark(agreed)


def test_what_nobody_spoke_of_is_left_out():
    assert streaks_of(None, None) is None
    assert streaks_of(ConceptMark(), ConceptMark()) is None


def test_pixels_that_more_than_half_show():
    left, top, both = ConceptMark("yes", LEFT), ConceptMark("yes", TOP), [[1, 0], [0, 0]]
    assert streaks_of(left, top).mask.pixels().tolist() == both
    three = streaks_of(left, top, ConceptMark(boxes=(RIGHT_BOX,)))
    assert three.mask.pixels().tolist() == [[1, 1], [0, 0]]  # 2, 2 of 3; 1, 1 of 3
    assert three.presence == "yes"
    nothing_common = streaks_of(left, ConceptMark("yes", boxes=(RIGHT_BOX,)))
    assert nothing_common == ConceptMark("yes")


def test_a_single_region_is_kept_as_it_is():
    mark = ConceptMark("yes", LEFT, (RIGHT_BOX,))
    assert streaks_of(mark, ConceptMark("yes")) == mark
    assert streaks_of(mark, ConceptMark("no")) == ConceptMark("unsure", LEFT, (RIGHT_BOX,))
    assert streaks_of(mark, ConceptMark("no"), ConceptMark("no")) == ConceptMark("no")


def test_masks_drawn_at_another_size_are_brought_to_the_case():
    large = Mask.of(np.kron(LEFT.pixels(), np.ones((2, 2), bool)))
    assert streaks_of(ConceptMark("yes", large), ConceptMark("yes", LEFT)).mask == LEFT


def test_diagnosis_confidence_comment_and_flag():
    reads = [
        read("Anna", diagnosis="nevus", confidence=2, comment="small"),
        read("Ben", diagnosis="nevus", confidence=5, flagged=True),
        read("Carl", diagnosis="melanoma", confidence=1, comment="look again"),
        read("Dora"),
    ]
    assert resolved(reads) == Annotation(
        diagnosis="nevus",
        confidence=2,
        comment="Anna: small\nCarl: look again",
        status="done",
        flagged=True,
    )
    tie = resolved([reads[0], reads[2]])
    assert (tie.diagnosis, tie.confidence, tie.flagged) == (None, None, False)
    long = resolved([read("Anna", comment="x" * 4000), read("Ben")])
    assert long.comment == f"Anna: {'x' * 3994}"
