"""The task head under concept dropout: what it is fitted to, and that correct edits help it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from csr_core.evidence import Profiles
from csr_core.score_model import edited_scores
from csr_core.training.heads import concept_dropout, fit_head

PROFILES = Profiles(
    absent=np.array([[0.2], [0.1]], np.float32), present=np.array([[0.6], [0.9]], np.float32)
)


@given(st.integers(0, 50))
def test_a_copy_holds_every_score_as_it_was_or_as_its_label_says(seed: int):
    scores = np.array([[[0.5], [0.5]], [[0.1], [0.95]], [[0.4], [0.0]]], np.float32)
    labels = np.array([[0, 1], [0, 1], [-1, 0]], np.int8)
    told = np.array([[[0.2], [0.9]], [[0.1], [0.95]], [[0.4], [0.0]]], np.float32)
    for copy in concept_dropout(scores, labels, PROFILES, 3, seed):
        assert ((copy == scores) | (copy == told)).all()


def test_copies_differ_reach_every_share_and_are_the_same_for_the_same_seed():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 0.5, (400, 2, 1)).astype(np.float32)
    labels = rng.integers(0, 2, (400, 2)).astype(np.int8)
    first, second = concept_dropout(scores, labels, PROFILES, 2, seed=5)
    assert (first != second).any()
    edited = (first != scores).any(axis=2).mean(axis=1)
    assert set(edited) == {0, 0.5, 1}
    assert 0.4 < edited.mean() < 0.6
    assert np.array_equal(first, concept_dropout(scores, labels, PROFILES, 2, seed=5)[0])
    assert concept_dropout(scores, labels, PROFILES, 0, seed=5) == []


def test_a_head_that_has_met_correct_edits_makes_more_of_them():
    """The class is the first concept, whose score tells little; the second tells a little more."""
    rng = np.random.default_rng(1)
    N = 1500
    present = rng.integers(0, 2, N)
    labels = np.stack([present, np.full(N, -1)], axis=1).astype(np.int8)
    told = rng.normal(0, 1, (N, 2)) + present[:, None] * [0.4, 1.5]
    scores = (0.4 + 0.05 * told[:, :, None]).astype(np.float32)
    profiles = Profiles(np.full((2, 1), 0.4, np.float32), np.full((2, 1), 0.42, np.float32))
    diagnoses, rows = present.astype(np.int64), np.arange(N)
    fit, validation, test = rows[:700], rows[700:1000], rows[1000:]
    after = edited_scores(scores, labels, profiles, "calibrated").reshape(N, -1)

    def accuracy(copies: int) -> float:
        others = concept_dropout(scores, labels, profiles, copies, 0)
        states = [other.reshape(N, -1) for other in others]
        head = fit_head(scores.reshape(N, -1), diagnoses, fit, validation, 2, states)
        return float((head.logits(after[test]).argmax(axis=1) == diagnoses[test]).mean())

    assert accuracy(3) > accuracy(0) + 0.02
