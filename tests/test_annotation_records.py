"""What a reader says: masks as run lengths, marks and changes."""

import json
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from csr_core.annotation.masks import Mask
from csr_core.annotation.records import (
    Annotation,
    AnnotationError,
    Change,
    ConceptMark,
    Vocabulary,
    annotation_from_json,
    annotation_to_json,
    applied,
    change_from_json,
)
from csr_core.datasets.regions import Box

WORDS = Vocabulary(("streaks", "globules"), ("nevus", "melanoma"))
SPOT = Mask(2, 2, (1, 2, 1))


def test_runs_go_down_the_columns_and_start_outside():
    assert Mask.of(np.array([[True, False], [True, True]])).counts == (0, 2, 1, 1)
    assert Mask.of(np.array([[False, True], [True, False]])).counts == (1, 2, 1)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_mask_gives_back_its_region(region):
    mask = Mask.of(region)
    assert (mask.pixels() == region).all()
    assert mask.area == region.sum()
    assert Mask.from_json(json.loads(json.dumps(mask.to_json()))) == mask


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([2, 2], [1, 2]),
        ([2, 2], [1, 0, 3]),
        ([2, 2], [-1, 5]),
        ([2, 2], [1.0, 3]),
        ([2, 2], []),
        ([2, True], [2]),
        ([0, 2], [0]),
        ([2], [2]),
        ([100_000, 100_000], [10_000_000_000]),
        ("22", [4]),
    ],
)
def test_runs_that_are_no_region_are_refused(size, counts):
    with pytest.raises(ValueError, match=r"region"):
        Mask.from_json({"size": size, "counts": counts})


def test_a_change_is_checked_and_applied():
    value = {"presence": "yes", "mask": SPOT.to_json(), "boxes": [[0, 0, 0.5, 1]]}
    change = change_from_json({"field": "concept", "concept": "streaks", "value": value}, WORDS)
    mark = ConceptMark("yes", SPOT, (Box("streaks", 0, 0, 0.5, 1),))
    assert change == Change("concept", mark, "streaks")
    marked = applied(Annotation(), change)
    assert marked.concepts == {"streaks": mark}
    assert applied(marked, Change("concept", ConceptMark(), "streaks")) == Annotation()
    assert applied(marked, Change("diagnosis", "nevus")).diagnosis == "nevus"


def test_an_absent_concept_has_no_region():
    value = {"presence": "no", "mask": SPOT.to_json()}
    with pytest.raises(AnnotationError, match="absent has no region"):
        change_from_json({"field": "concept", "concept": "streaks", "value": value}, WORDS)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"field": "colour", "value": 1},
        {"field": "diagnosis", "value": "eczema"},
        {"field": "confidence", "value": 6},
        {"field": "confidence", "value": True},
        {"field": "comment", "value": "x" * 4001},
        {"field": "status", "value": "finished"},
        {"field": "flagged", "value": 1},
        {"field": "flagged", "value": True, "origin": "nowhere"},
        {"field": "concept", "concept": "ruler", "value": {}},
        {"field": "concept", "concept": "streaks", "value": {"presence": "maybe"}},
        {"field": "concept", "concept": "streaks", "value": {"boxes": [[0, 0, 2, 1]]}},
        {"field": "concept", "concept": "streaks", "value": {"boxes": [[0, 0, 0, 1]]}},
        {"field": "concept", "concept": "streaks", "value": {"mask": {"size": [1, 1]}}},
    ],
)
def test_a_change_that_is_none_is_refused(wrong):
    with pytest.raises(AnnotationError):
        change_from_json(wrong, WORDS)


@given(
    st.builds(
        Annotation,
        st.dictionaries(
            st.sampled_from(WORDS.concepts),
            st.builds(
                ConceptMark, st.sampled_from(["yes", "unsure", None]), st.sampled_from([None, SPOT])
            ),
        ).map(MappingProxyType),
        st.sampled_from([None, *WORDS.classes]),
        st.sampled_from([None, 1, 5]),
        st.text(max_size=20),
        st.sampled_from(["open", "done", "skipped"]),
        st.booleans(),
    )
)
def test_an_annotation_survives_json(annotation):
    value = json.loads(json.dumps(annotation_to_json(annotation)))
    assert annotation_from_json(value, WORDS) == annotation
