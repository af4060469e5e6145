"""What-if by patch, and the smallest change of a diagnosis, against trying everything."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import (
    CELLS,
    CLASSES,
    CONCEPTS,
    SIDE,
    K,
    build,
    edit_lists,
    random_situation,
    seeds,
    semantics,
)

from csr_core import Confirm, EditError, Focus, Force, Reject, Suppress
from csr_core.whatif import smallest_flip, what_if_cells, why_no_flip


@functools.cache
def all_marks(concept):
    """Every way to mark one concept, by the number of marks."""
    ways = [(0, ()), (1, (Reject(concept),)), (1, (Confirm(concept),))]
    for kinds in itertools.product("-sf", repeat=len(CELLS)):
        low = [cell for cell, kind in zip(CELLS, kinds, strict=True) if kind == "s"]
        high = [cell for cell, kind in zip(CELLS, kinds, strict=True) if kind == "f"]
        if low or high:
            ways.append((len(low + high), (Suppress(concept, low), Force(concept, high))))
    return ways


def least_by_trying(reasoner, case, edits, meaning, target):
    """The least number of marks, by trying all; infinite if none does it."""
    plain = reasoner.reason(case, edits, meaning).logits
    best = np.inf
    options = [
        [
            (cost, reasoner.reason(case, [*edits, *marks], meaning).logits - plain)
            for cost, marks in all_marks(concept)
        ]
        for concept in CONCEPTS
    ]
    for combination in itertools.product(*options):
        cost = sum(cost for cost, _ in combination)
        logits = plain + sum(change for _, change in combination)
        winner = logits.argmax()
        if cost < best and (winner != plain.argmax() if target is None else winner == target):
            best = cost
    return best


class TestSmallestFlip:
    @settings(max_examples=60)
    @given(
        seed=seeds,
        edits=edit_lists,
        meaning=semantics,
        target=st.none() | st.integers(0, 2),
        answering=st.booleans(),
    )
    def test_it_is_what_trying_everything_finds(self, seed, edits, meaning, target, answering):
        reasoner, case = random_situation(seed, answering=answering)
        least = least_by_trying(reasoner, case, edits, meaning, target)
        flip = smallest_flip(reasoner, case, edits, meaning, target)
        why = why_no_flip(reasoner, case, edits, meaning, target)
        assert (flip is None) == bool(why)
        if flip is None:
            if "leads whatever" in why:
                assert least == np.inf
            return
        assert flip.lower_bound <= least <= flip.cost
        verdict = reasoner.reason(case, [*edits, *flip.edits], meaning)
        assert np.array_equal(verdict.logits, flip.verdict.logits)
        assert verdict.logits.argmax() == flip.after
        assert flip.after != flip.before if target is None else flip.after == target

    @settings(max_examples=40)
    @given(seed=seeds, edits=edit_lists, meaning=semantics)
    def test_up_to_two_marks_nothing_is_missed(self, seed, edits, meaning):
        reasoner, case = random_situation(seed)
        least = least_by_trying(reasoner, case, edits, meaning, None)
        if least <= 2:
            flip = smallest_flip(reasoner, case, edits, meaning)
            assert flip is not None and flip.exact and flip.cost == least

    def test_one_patch_that_carries_the_diagnosis_is_suppressed(self):
        maps = np.zeros((1, 1, 2, 2))
        maps[0, 0, 1, 0] = 0.9
        reasoner, case = build(maps, [[[-4]], [[4]]], [1.0, 0.0], 0.0, 0.5)
        flip = smallest_flip(reasoner, case, [], "calibrated")
        assert flip.edits == (Suppress("concept 0", [(1, 0)]),)
        assert (flip.before, flip.after, flip.cost, flip.exact) == (1, 0, 1, True)

    def test_two_equal_patches_are_worth_one_rejection(self):
        maps = np.zeros((1, 1, 2, 2))
        maps[0, 0, 1] = 0.9
        reasoner, case = build(maps, [[[-4]], [[4]]], [1.0, 0.0], 0.0, 0.5)
        assert smallest_flip(reasoner, case, [], "calibrated").edits == (Reject("concept 0"),)

    def test_two_concepts_are_needed_when_neither_suffices(self):
        maps = np.full((2, 1, 1, 1), 0.5)
        weight = [[[1.0], [1.0]], [[-1.0], [-1.0]], [[-9.0], [-9.0]]]
        reasoner, case = build(maps, weight, [0.0, 0.5, 0.0], 0.0, 0.5)
        flip = smallest_flip(reasoner, case, [], "calibrated", target=1)
        assert flip.cost == flip.lower_bound == 2

    def test_there_may_be_none(self):
        reasoner, case = build(np.zeros((1, 1, 2, 2)), [[[1]], [[1]]], [5.0, 0.0], 0.0, 0.5)
        assert smallest_flip(reasoner, case, [], "calibrated") is None
        assert why_no_flip(reasoner, case, [], "calibrated") == (
            "No marks can make another diagnosis win: class 0 leads whatever the concepts show."
        )

    def test_a_target_that_wins_already_costs_nothing(self):
        reasoner, case = build(np.zeros((1, 1, 2, 2)), [[[1]], [[1]]], [5.0, 0.0], 0.0, 0.5)
        flip = smallest_flip(reasoner, case, [], "calibrated", target=0)
        assert (flip.edits, flip.cost, flip.exact) == ((), 0, True)

    @pytest.mark.parametrize("target", [-1, 3])
    def test_an_unknown_target_is_refused(self, target):
        with pytest.raises(ValueError, match="no diagnosis"):
            smallest_flip(*random_situation(0), [], "calibrated", target)

    def test_edits_are_checked(self):
        with pytest.raises(EditError):
            smallest_flip(*random_situation(0), [Suppress("streaks", [(9, 9)])], "calibrated")

    @pytest.mark.parametrize(("k", "m"), [(8, 20), (5, 40)])
    def test_large_models_are_answered(self, k, m):
        # Every score near its ceiling makes as many sets worth trying as there can be.
        reasoner, case = random_situation(1, k=k, m=m, side=14)
        for target in (None, 0, 1, 2):
            for meaning in ("calibrated", "paper"):
                flip = smallest_flip(reasoner, case, [Focus([(3, 3)])], meaning, target)
                assert flip is None or flip.lower_bound <= flip.cost


class TestWhatIfCells:
    @settings(max_examples=60)
    @given(seed=seeds, edits=edit_lists, meaning=semantics, answering=st.booleans())
    def test_it_is_what_reason_answers(self, seed, edits, meaning, answering):
        reasoner, case = random_situation(seed, answering=answering)
        answer = what_if_cells(reasoner, case, edits, meaning)
        assert answer.shape == (K, SIDE, SIDE, len(CLASSES)) and answer.dtype == np.float32
        for concept, cell in itertools.product(range(K), CELLS):
            edited = [*edits, Suppress(concept, [cell])]
            expected = reasoner.reason(case, edited, meaning).probabilities
            assert np.abs(answer[concept, *cell] - expected).max() < 1e-6

    def test_a_single_patch_can_be_suppressed(self):
        reasoner, case = random_situation(3, side=1)
        expected = reasoner.reason(case, [Suppress(0, [(0, 0)])]).probabilities
        assert what_if_cells(reasoner, case, [], "calibrated")[0, 0, 0] == pytest.approx(expected)
