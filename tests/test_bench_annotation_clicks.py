"""The simulated reader of regions; clicks by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from bench_annotation_clicks import Help, Truth, measure, read_case, sums

from csr_core.annotation.assist import Suggestion

NONE = {"a": Suggestion("no", 0.1, ()), "b": Suggestion("no", 0.1, ())}


def truth(*concepts, row=0):
    """A case of two concepts on 3 × 3 patches, by rows of shares of patches covered."""
    return Truth(row, np.array(concepts, np.float32))


NOWHERE = [[0, 0, 0]] * 3
BLOCK = [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
SPOT = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]


def clicks(case, arm="alone", suggested=NONE, drags=False):
    return read_case(case, Help(arm, ("a", "b"), {}), suggested, drags).clicks


class TestAlone:
    def test_a_click_chooses_the_concept_and_one_each_paints_a_patch(self):
        # Three of four patches: 2·3 / (3 + 4) = 0.857.
        assert clicks(truth(BLOCK, NOWHERE)) == 1 + 3

    def test_a_drag_paints_a_rectangle(self):
        assert clicks(truth(BLOCK, NOWHERE), drags=True) == 2

    def test_another_concept_is_another_click(self):
        # The spot after the block: 0.8 takes but 2·4 / (4 + 6); three patches give 0.6.
        two = truth(BLOCK, [[1, 1, 0], [0, 0, 0], [0, 0, 0]])
        assert two.dice(np.array([np.array(BLOCK, bool), np.array(NOWHERE, bool)])) == 0.8
        assert clicks(two) == 1 + 4
        assert clicks(truth(BLOCK, [[1, 1, 1], [0, 0, 0], [0, 0, 0]])) == 1 + 4 + 1 + 1

    def test_what_cannot_be_reached_is_told_beforehand(self):
        half = truth([[0.5, 0.5, 0], [0, 0, 0], [0, 0, 0]], NOWHERE)
        assert half.best() == pytest.approx(2 / 3)
        assert truth(BLOCK, SPOT).best() == 1


class TestHelp:
    ALL = tuple((row, column) for row in range(3) for column in range(3))

    def test_one_key_takes_over_everything_suggested(self):
        good = {"a": Suggestion("yes", 0.9, ((0, 0), (0, 1), (1, 0), (1, 1))),
                "b": Suggestion("yes", 0.9, ((2, 2),))}  # fmt: skip
        assert clicks(truth(BLOCK, SPOT), "suggestions", good) == 1
        assert clicks(truth(BLOCK, SPOT), "alone", good) == 1 + 4

    def test_a_poor_suggestion_is_left_alone(self):
        poor = NONE | {"a": Suggestion("yes", 0.9, self.ALL)}
        assert clicks(truth(SPOT, NOWHERE), "suggestions", poor) == 2

    def test_what_is_too_much_is_erased(self):
        wide = NONE | {"a": Suggestion("yes", 0.9, self.ALL[:6])}
        # Six patches for four: 8 / 10 is enough at once; for three, 6 / 9 is not, one goes.
        assert clicks(truth(BLOCK, NOWHERE), "suggestions", wide) == 1
        three = [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
        assert clicks(truth(three, NOWHERE), "suggestions", wide) == 1 + 1 + 2

    def test_proposals_learn_from_the_cases_before(self):
        # Patches that show the concept point one way, all others the other way.
        inside = np.array(BLOCK, bool)
        maps = np.stack([np.where(inside, 1.0, 0.0), np.where(inside, 0.0, 1.0)])
        cases = [truth(BLOCK, NOWHERE, row=row) for row in (0, 1)]
        given = (cases, ("a", "b"), [NONE, NONE], {0: maps, 1: maps}, False)
        first, second = measure("propagation", *given)
        assert first.clicks == 1 + 1 + 1  # concept, one patch, and what is like it
        assert second.clicks == 2
        assert [reading.clicks for reading in measure("alone", *given)] == [4, 4]


def test_sums_over_rectangles():
    values = np.array([[1.0, 2.0], [4.0, 8.0]])
    boxes = sums(values, drags=True)
    assert boxes[0, 1, 0, 1] == 15
    assert boxes[1, 1, 0, 1] == 12
    assert boxes[0, 1, 1, 1] == 10
    assert boxes[1, 0, 0, 1] == 0
    single = sums(values, drags=False)
    assert single[1, 1, 0, 0] == 4
    assert single.sum() == 15
