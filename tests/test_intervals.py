"""Bootstrap intervals against resamples that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csr_core import intervals
from csr_core.intervals import INTERVAL_PROTOCOL, bootstrap, f1_from_sums, f1_terms
from csr_core.metrics import f1_by_class

labels = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)


def mean_of(values):
    return lambda sums: sums / len(values)


def macro(sums):
    return f1_from_sums(sums).mean(axis=-1)


class TestTerms:
    @given(labels)
    def test_their_sums_give_the_f1_of_scikit_learn(self, pairs):
        truth, predicted = np.array(pairs).T
        sums = f1_terms(truth, predicted, 3).sum(axis=0, dtype=float)
        assert f1_from_sums(sums) == pytest.approx(f1_by_class(truth, predicted, 3))

    def test_by_hand(self):
        terms = f1_terms(np.array([0, 1]), np.array([0, 0]), 2)
        assert terms.tolist() == [[[1, 0], [2, 0]], [[0, 0], [1, 1]]]
        assert f1_from_sums(terms.sum(axis=0, dtype=float)).tolist() == [2 / 3, 0]


class TestInterval:
    def test_two_images_may_be_drawn_as_twice_the_one_or_twice_the_other(self):
        values = np.array([0.0, 1.0])
        assert bootstrap(values, mean_of(values)).tolist() == [0, 1]

    def test_the_mean_of_many_images_moves_by_its_standard_error(self):
        values = np.arange(400) % 2
        low, high = bootstrap(values, mean_of(values))
        assert low == pytest.approx(0.5 - 1.96 * 0.5 / 20, abs=0.008)
        assert high == pytest.approx(0.5 + 1.96 * 0.5 / 20, abs=0.008)

    def test_a_constant_classifier_among_images_of_one_class_never_moves(self):
        truth = np.zeros(30, dtype=int)
        terms = f1_terms(truth, truth, 2)
        assert bootstrap(terms, macro).tolist() == [0.5, 0.5]

    def test_a_constant_classifier_moves_with_the_share_of_its_class(self):
        truth = np.array([0] * 8 + [1] * 2)
        always = np.zeros(10, dtype=int)
        low, high = bootstrap(f1_terms(truth, always, 2), macro)
        # F1 = 2 n / (n + 10) for n of 10 images drawn from the class; n is binomial(10, 0.8),
        # whose 2.5th and 97.5th percentiles are 5 and 10; the other class counts 0.
        assert low == pytest.approx(2 * 5 / 15 / 2)
        assert high == pytest.approx(0.5)

    @given(labels)
    def test_equal_models_differ_by_nothing_in_every_resample(self, pairs):
        truth, predicted = np.array(pairs).T
        terms = np.stack([f1_terms(truth, predicted, 3)] * 2, axis=1)
        ends = bootstrap(terms, lambda sums: macro(sums)[:, 0] - macro(sums)[:, 1])
        assert ends.tolist() == [0, 0]

    def test_a_paired_difference_is_narrower_than_the_figures_it_is_of(self):
        rng = np.random.default_rng(1)
        truth = rng.integers(2, size=300)
        theirs = np.where(rng.random(300) < 0.7, truth, 1 - truth)
        ours = theirs.copy()
        wrong = np.flatnonzero(theirs != truth)[:10]
        ours[wrong] = truth[wrong]
        terms = [f1_terms(truth, said, 2) for said in (ours, theirs)]
        low, high = bootstrap(
            np.stack(terms, axis=1), lambda sums: macro(sums)[:, 0] - macro(sums)[:, 1]
        )
        alone = np.ptp(bootstrap(terms[0], macro))
        assert 0 < low < 10 / 300 < high
        assert high - low < alone / 2

    def test_the_same_seed_gives_the_same_ends_and_another_seed_others(self):
        values = np.random.default_rng(0).random(50)
        first, again, other = (bootstrap(values, mean_of(values), seed) for seed in (1, 1, 2))
        assert first.tolist() == again.tolist()
        assert first.tolist() != other.tolist()

    def test_the_size_of_what_is_held_in_memory_changes_nothing(self, monkeypatch):
        values = np.random.default_rng(0).random(50)
        before = bootstrap(values, mean_of(values))
        monkeypatch.setattr(intervals, "CHUNK", 7 * 50)
        assert bootstrap(values, mean_of(values)) == pytest.approx(before, abs=1e-12)

    def test_resamples_without_a_figure_are_left_out(self):
        hit, judged = np.array([1.0, 0, 0, 0]), np.array([1.0, 0, 0, 0])

        def rate(sums):
            with np.errstate(invalid="ignore"):
                return sums[:, 0] / sums[:, 1]

        assert bootstrap(np.stack([hit, judged], axis=1), rate).tolist() == [1, 1]

    def test_the_protocol_names_level_kind_resamples_and_pairing(self):
        for word in ("95%", "percentile", "2000", "images", "seed 0", "paired"):
            assert word in INTERVAL_PROTOCOL
