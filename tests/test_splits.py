"""Stratified splits keep the share of every class, and of rare concepts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csr_core.splits import stratified_folds, stratified_split


def concepts_of(rows, rates, seed=0):
    return (np.random.default_rng(seed).random((rows, len(rates))) < rates).astype(np.int8)


def test_a_fifth_of_isic_2017_by_hand():
    # Shares of a fifth are 274.4, 74.8 and 50.8; rounded so that the whole is 400.
    labels = np.repeat([0, 1, 2], [1372, 374, 254])
    kept, held = stratified_split(labels, None, 0.2, seed=1)
    assert np.bincount(labels[held]).tolist() == [274, 75, 51]
    assert np.bincount(labels[kept]).tolist() == [1098, 299, 203]


def test_rare_concepts_are_shared_out():
    labels = np.repeat([0, 1, 2], [686, 187, 127])
    concepts = concepts_of(1000, (0.03, 0.3, 0.1))
    for seed in range(5):
        _, held = stratified_split(labels, concepts, 0.2, seed)
        assert np.abs(concepts[held].sum(0) - 0.2 * concepts.sum(0)).max() <= 1.5


def test_unknown_labels_are_not_counted_as_present():
    labels = np.zeros(40, int)
    concepts = np.full((40, 1), -1, np.int8)
    concepts[:10] = 1
    _, held = stratified_split(labels, concepts, 0.5, seed=0)
    assert (concepts[held] == 1).sum() == 5


def test_seed_decides():
    labels = np.arange(200) % 3
    first, again, other = (stratified_split(labels, None, 0.3, seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_class_of_one_row_is_kept():
    for seed in range(10):
        kept, _ = stratified_split(np.array([0] * 9 + [1]), None, 0.2, seed)
        assert 9 in kept


@given(
    st.lists(st.integers(-1, 3), min_size=4, max_size=80),
    st.floats(0.2, 0.8),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_split_is_a_partition_with_class_shares(labels, fraction, seed):
    labels = np.array(labels)
    concepts = concepts_of(len(labels), (0.1, 0.5))
    try:
        kept, held = stratified_split(labels, concepts, fraction, seed)
    except ValueError:
        assert len(labels) * min(fraction, 1 - fraction) < len(set(labels.tolist()))
        return
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all() and (np.diff(held) > 0).all()
    for label in set(labels.tolist()):
        assert abs((labels[held] == label).sum() - fraction * (labels == label).sum()) <= 1 + 1e-6


@given(
    st.lists(st.integers(0, 2), min_size=6, max_size=80), st.integers(2, 6), st.integers(0, 1000)
)
@settings(deadline=None)
def test_folds_hold_every_row_once(labels, n, seed):
    labels = np.array(labels)
    folds = stratified_folds(labels, n, seed)
    assert len(folds) == n
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(labels)))
    for kept, held in folds:
        assert sorted([*kept, *held]) == list(range(len(labels)))
        assert abs(len(held) - len(labels) / n) <= 1 + 1e-6
        for label in set(labels.tolist()):
            assert abs((labels[held] == label).sum() - (labels == label).sum() / n) < 1 + 1e-6


def test_folds_share_rare_concepts_out():
    labels = np.repeat([0, 1], [300, 100])
    concepts = concepts_of(400, (0.05,))
    held = [concepts[held].sum() for _, held in stratified_folds(labels, 5, 0, concepts)]
    assert max(held) - min(held) <= 1


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_fractions_outside_are_refused(fraction):
    with pytest.raises(ValueError, match="fraction"):
        stratified_split(np.zeros(10, int), None, fraction, 0)


def test_impossible_splits_are_refused():
    with pytest.raises(ValueError, match="too few"):
        stratified_split(np.zeros(2, int), None, 0.1, 0)
    with pytest.raises(ValueError, match="folds"):
        stratified_folds(np.zeros(3, int), 4, 0)
    with pytest.raises(ValueError, match="expected \\(N, K\\)"):
        stratified_split(np.zeros(10, int), np.zeros((9, 2), np.int8), 0.2, 0)
