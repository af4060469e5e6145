"""COCO's compressed run lengths, beside what its reference implementation writes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from csr_core.annotation.masks import run_lengths
from csr_core.annotation.rle import compressed, region_of_runs, runs_of


def test_text_of_the_reference_implementation():
    frame = np.zeros((25, 40), bool)
    frame[3:20, 5:30] = True
    frame[8:12, 10:20] = False
    text = "P4a0800000000DL34ML34ML34ML34ML34ML34ML34ML34ML34ML349000000000000000000g7"
    assert compressed(run_lengths(frame)) == text
    assert (region_of_runs(runs_of(text), 25, 40) == frame).all()
    assert runs_of("ZYX?jk0d]V?WTOcaj@") == [500010, 890, 498100, 1, 999]
    assert compressed([500010, 890, 498100, 1, 999]) == "ZYX?jk0d]V?WTOcaj@"


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_any_region_comes_back(region):
    runs = run_lengths(region)
    assert runs_of(compressed(runs)) == runs
    assert (region_of_runs(runs, *region.shape) == region).all()


@given(st.lists(st.integers(0, 60_000_000), max_size=20))
def test_any_runs_come_back(runs):
    assert runs_of(compressed(runs)) == runs


@given(st.text())
def test_any_other_text_is_read_or_refused(text):
    try:
        assert all(isinstance(run, int) for run in runs_of(text))
    except ValueError as error:
        assert "run lengths" in str(error)


@pytest.mark.parametrize("text", ["P", "oooooooo0", "é", " ", "0" * 4_000_001])
def test_what_is_no_text_of_runs_is_refused(text):
    with pytest.raises(ValueError, match="run lengths"):
        runs_of(text)


@pytest.mark.parametrize("runs", [[], [5], [7], [-1, 7], [3, -2, 5], [10**12]])
def test_runs_that_do_not_fill_the_image(runs):
    with pytest.raises(ValueError, match="don't fill 2 × 3 pixels"):
        region_of_runs(runs, 2, 3)


def test_runs_may_be_empty_in_between():
    assert region_of_runs([1, 0, 2, 1], 2, 2).tolist() == [[False, False], [False, True]]
