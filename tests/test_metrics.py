"""Figures of diagnoses, localisation and prototypes against counts made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from csr_core.metrics import (
    area_under_curve,
    average_precision,
    evidence_outside,
    f1_by_class,
    macro_f1,
    pointing_games,
    prototype_use,
)


def pointing_game(maps, regions):
    return pointing_games({"map": maps}, regions)["map"]


class TestF1:
    def test_by_hand(self):
        truth = np.array([0, 0, 0, 1, 1, 2])
        predicted = np.array([0, 0, 1, 1, 2, 2])
        # F1 = 2 TP / (2 TP + FP + FN): 4 / (4 + 0 + 1), 2 / (2 + 1 + 1), 2 / (2 + 1 + 0)
        assert f1_by_class(truth, predicted, 3) == pytest.approx([0.8, 0.5, 2 / 3])
        assert macro_f1(truth, predicted, 3) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)

    def test_a_class_missing_from_the_sample_counts_zero(self):
        labels = np.array([0, 1])
        assert f1_by_class(labels, labels, 3).tolist() == [1.0, 1.0, 0.0]
        assert macro_f1(labels, labels, 3) == pytest.approx(2 / 3)

    def test_rare_classes_weigh_as_much_as_frequent_ones(self):
        truth = np.array([0] * 98 + [1] * 2)
        always_frequent = np.zeros(100, int)
        # 2·98 / (2·98 + 2) and 0
        assert macro_f1(truth, always_frequent, 2) == pytest.approx(196 / 198 / 2)


def peak_at(row, column, side=4):
    map_ = np.zeros((side, side), np.float32)
    map_[row, column] = 1
    return map_


def quadrant(row, column, size=64):
    region = np.zeros((size, size), bool)
    half = size // 2
    region[row * half : (row + 1) * half, column * half : (column + 1) * half] = True
    return region


class TestPointingGame:
    def test_the_upsampled_peak_must_lie_in_the_region(self):
        maps = np.stack([[peak_at(0, 0)], [peak_at(3, 3)], [peak_at(0, 3)], [peak_at(3, 0)]])
        regions = [[quadrant(0, 0)], [quadrant(1, 1)], [quadrant(0, 0)], [quadrant(1, 0)]]
        game = pointing_game(maps, regions)
        assert game.hits.tolist() == [0.75]
        assert game.pairs.tolist() == [4]

    def test_rows_and_columns_are_not_mixed_up_where_regions_are_not_square(self):
        region = np.zeros((20, 80), bool)
        region[10:15, :20] = True  # the cell in the third row and first column
        maps = np.stack([[peak_at(2, 0)], [peak_at(0, 2)], [peak_at(2, 2)]])
        assert pointing_game(maps, [[region]] * 3).hits.tolist() == [pytest.approx(1 / 3)]

    def test_a_random_point_hits_with_the_mean_area(self):
        half = np.zeros((64, 64), bool)
        half[:32] = True
        game = pointing_game(
            np.stack([[peak_at(0, 0)], [peak_at(0, 0)]]), [[quadrant(0, 0)], [half]]
        )
        assert game.random.tolist() == [pytest.approx((0.25 + 0.5) / 2)]

    def test_pairs_without_a_region_are_left_out(self):
        maps = np.stack([[peak_at(0, 0), peak_at(0, 0)], [peak_at(0, 0), peak_at(0, 0)]])
        empty = np.zeros((64, 64), bool)
        game = pointing_game(maps, [[quadrant(0, 0), None], [empty, None]])
        assert game.pairs.tolist() == [1, 0]
        assert game.hits[0] == 1
        assert np.isnan(game.hits[1])
        assert np.isnan(game.random[1])

    def test_concepts_are_judged_by_their_own_map_and_region(self):
        maps = np.array([[peak_at(0, 0), peak_at(3, 3)]])
        assert pointing_game(maps, [[quadrant(0, 0), quadrant(1, 1)]]).hits.tolist() == [1, 1]
        assert pointing_game(maps, [[quadrant(1, 1), quadrant(0, 0)]]).hits.tolist() == [0, 0]

    def test_a_map_without_evidence_has_its_peak_too(self):
        negative = peak_at(3, 3) - 2
        assert pointing_game(negative[None, None], [[quadrant(1, 1)]]).hits.tolist() == [1]

    def test_pairs_can_be_told_apart(self):
        maps = np.stack([[peak_at(0, 0), peak_at(0, 0)], [peak_at(3, 3), peak_at(0, 0)]])
        game = pointing_game(maps, iter([[quadrant(0, 0), None], [quadrant(0, 0), quadrant(0, 0)]]))
        assert game.judged.tolist() == [[True, False], [True, True]]
        assert game.hit.tolist() == [[True, False], [False, True]]
        assert game.area.tolist() == [[0.25, 0], [0.25, 0.25]]


class TestRanking:
    def test_by_hand(self):
        labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
        # Three of four pairs in order; precision 1 and 2/3 at the two present ones.
        assert area_under_curve(labels, scores) == 0.75
        assert average_precision(labels, scores) == pytest.approx((1 + 2 / 3) / 2)

    @pytest.mark.parametrize("labels", [np.ones(3, int), np.zeros(3, bool)])
    def test_one_kind_of_label_can_not_be_ranked(self, labels):
        assert area_under_curve(labels, np.arange(3.0)) is None
        assert average_precision(labels, np.arange(3.0)) is None


class TestEvidenceOutside:
    def test_positive_contributions_count_where_their_patch_lies(self):
        contributions = np.array([[[3.0, -5.0], [1.0, 0.0]]])
        peaks = np.array([[[0, 1], [2, 1]]])
        outside = np.array([[0.0, 1.0, 0.5, 1.0]])
        # 3 inside, 1 at the outline; what speaks against does not count.
        assert evidence_outside(contributions, peaks, outside).tolist() == [0.5 / 4]

    def test_no_evidence_and_no_mask_give_no_share(self):
        contributions = np.array([[[-1.0]], [[1.0]]])
        outside = np.array([[0.0], [np.nan]])
        shares = evidence_outside(contributions, np.zeros((2, 1, 1), int), outside)
        assert np.isnan(shares).all()


class TestPrototypeUse:
    def test_by_hand(self):
        use = prototype_use(np.array([[5, 5, 0, 0], [9, 1, 0, 0], [7, 0, 0, 0], [0, 0, 0, 0]]))
        assert use.alive.tolist() == [0.5, 0.5, 0.25, 0]
        assert use.top_share.tolist() == [0.5, 0.9, 1, 0]
        # exp(-0.9 ln 0.9 - 0.1 ln 0.1)
        assert use.effective_number == pytest.approx([2, 1.3841, 1, 0], abs=1e-4)

    @given(arrays(np.int64, (3, 5), elements=st.integers(0, 50)))
    def test_bounds(self, hits):
        use = prototype_use(hits)
        living = (hits > 0).sum(axis=1)
        assert (use.effective_number <= living + 1e-9).all()
        assert (use.effective_number[living > 0] >= 1 / use.top_share[living > 0] - 1e-9).all()
