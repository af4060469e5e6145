"""Answers about whole concepts: how they are weighed, learned, kept and refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import CELLS, CONCEPTS, K, build, edit_lists, random_situation, seeds

from csr_core import Confirm, Erase, Focus, Force, Ignore, Reject, Suppress
from csr_core.answers import AnswerWeights, answers_from_json, answers_to_json
from csr_core.score_model import Ledger
from csr_core.training.answers import RIDGE, fit_answers

WEIGHTS = AnswerWeights(
    np.array([[0.5, -1.0], [0.0, 2.0], [-0.25, 0.0]]),
    np.array([[1.0, 0.5], [-1.0, 0.0], [0.0, 3.0]]),
    share=0.5,
)


def answering(share=0.5):
    """Two concepts that score 0.5 everywhere; weights 1, 2 and -1 for the three classes."""
    maps = np.full((2, 3, 2, 2), 0.5)
    weight = np.array([1.0, 2.0, -1.0])[:, None, None] * np.ones((3, 2, 3))
    return build(maps, weight, [0.0, 0.0, 0.0], 0.0, 1.0, replace(WEIGHTS, share=share))


class TestWeighing:
    def test_by_hand(self):
        reasoner, case = answering()
        verdict = reasoner.reason(case, [Reject("streaks"), Confirm("globules")])
        # Half of the way to absent is 0.25, half of the way to present 0.75. Three prototypes of
        # the one make 0.75, 1.5 and -0.75, of the other 2.25, 4.5 and -2.25.
        assert verdict.scores.tolist() == [[0.25] * 3, [0.75] * 3]
        assert verdict.answers.tolist() == [[0.5, 0.5], [0.0, 0.0], [-0.25, 3.0]]
        assert verdict.contributions.tolist() == [[1.25, 2.75], [1.5, 4.5], [-1.0, 0.75]]
        assert verdict.logits.tolist() == [4.0, 6.0, -0.25]

    def test_without_a_share_scores_and_maps_stay_what_the_model_saw(self):
        reasoner, case = answering(share=0)
        edits = [Reject("streaks"), Confirm("globules")]
        assert np.array_equal(reasoner.reason(case, edits).scores, case.similarity_scores)
        assert np.array_equal(reasoner.concept_maps(case, edits), reasoner.concept_maps(case))

    @settings(max_examples=40)
    @given(seed=seeds, edits=edit_lists)
    def test_with_the_whole_share_scores_are_those_of_marks_on_every_patch(self, seed, edits):
        marking, case = random_situation(seed)
        weighing, _ = random_situation(seed, answering=True)
        weighing.answers = replace(weighing.answers, share=1.0)
        expected = marking.reason(case, edits)
        assert np.array_equal(weighing.reason(case, edits).scores, expected.scores)

    @settings(max_examples=40)
    @given(seed=seeds, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
    def test_a_larger_share_never_moves_scores_less(self, seed, shares):
        reasoner, case = random_situation(seed, answering=True)
        for answer in (Reject("streaks"), Confirm("streaks")):
            moved = []
            for share in sorted(shares):
                reasoner.answers = replace(reasoner.answers, share=share)
                scores = reasoner.reason(case, [answer]).scores
                moved.append(np.abs(scores - case.similarity_scores))
            assert (moved[0] <= moved[1] + 1e-6).all()

    def test_the_paper_knows_no_answers(self):
        with_weights, case = random_situation(0, answering=True)
        without, _ = random_situation(0)
        edits = [Reject("streaks"), Confirm("globules")]
        verdict = with_weights.reason(case, edits, "paper")
        assert not verdict.answers.any()
        assert np.array_equal(verdict.logits, without.reason(case, edits, "paper").logits)

    @pytest.mark.parametrize("last", [Reject, Confirm])
    def test_the_later_answer_counts(self, last):
        reasoner, case = answering()
        first = Confirm if last is Reject else Reject
        alone = reasoner.reason(case, [last("streaks")])
        both = reasoner.reason(case, [first("streaks"), last("streaks")])
        assert np.array_equal(both.logits, alone.logits)

    def test_marks_of_patches_count_beside_an_answer(self):
        reasoner, case = answering()
        marks = [Suppress("streaks", CELLS[:3]), Force("streaks", CELLS[3:])]
        marked = reasoner.reason(case, marks)
        answered = reasoner.reason(case, [Reject("streaks"), marks[1]])
        forced = reasoner.reason(case, [marks[1]])
        assert np.array_equal(answered.scores, forced.scores)
        assert answered.logits == pytest.approx(forced.logits + WEIGHTS.rejected[:, 0])
        assert not marked.answers.any()

    def test_ignored_patches_are_no_answers(self):
        reasoner, case = answering()
        assert not reasoner.reason(case, [Ignore(CELLS)]).answers.any()

    def test_focus_dims_the_patches_of_an_answered_concept_as_those_of_others(self):
        reasoner, case = answering(share=0)
        for edits in ([Focus(CELLS[:1]), Reject("streaks")], [Reject("streaks"), Focus(CELLS[:1])]):
            verdict = reasoner.reason(case, edits)
            focused = reasoner.reason(case, [Focus(CELLS[:1])])
            assert np.array_equal(verdict.scores, focused.scores)
            assert np.array_equal(verdict.answers[:, 0], WEIGHTS.rejected[:, 0])

    def test_an_answer_erased_everywhere_is_gone(self):
        reasoner, case = answering()
        verdict = reasoner.reason(case, [Reject("streaks"), Erase(CELLS, "streaks")])
        assert np.array_equal(verdict.logits, reasoner.reason(case).logits)

    @settings(max_examples=60)
    @given(seed=seeds, edits=edit_lists)
    def test_the_ledger_is_exact(self, seed, edits):
        reasoner, case = random_situation(seed, answering=True)
        verdict = reasoner.reason(case, edits)
        weight = reasoner.network.task_head.folded()[0].numpy()
        by_scores = np.einsum("ckm,km->ck", weight, verdict.scores - reasoner.profiles.absent)
        assert verdict.contributions == pytest.approx(by_scores + verdict.answers, abs=1e-5)
        assert np.array_equal(verdict.base + verdict.contributions.sum(axis=1), verdict.logits)

    def test_weights_of_another_model_are_refused(self):
        with pytest.raises(ValueError, match="Answers must have shape"):
            build(np.zeros((2, 3, 2, 2)), np.zeros((2, 2, 3)), [0.0, 0.0], 0.0, 1.0, WEIGHTS)


def unmoved(logits, concepts):
    """The ledger of images whose evidence no answer changes."""
    parts = np.zeros((len(logits), concepts, logits.shape[1]))
    parts[:, 0] = logits
    return Ledger(np.zeros(logits.shape[1]), parts, parts, parts)


class TestLearning:
    def test_it_is_the_minimum_of_a_ridged_balanced_loss(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(90, 3))
        labels = rng.integers(-1, 2, (90, 2)).astype(np.int8)
        diagnoses = rng.choice(3, 90, p=[0.6, 0.3, 0.1])
        rows = np.arange(90)
        found = fit_answers(unmoved(logits, 2), labels, diagnoses, rows, rows)
        counts = np.bincount(diagnoses)
        weight = counts[diagnoses] ** -0.5
        weight *= 90 / weight.sum()
        added = np.stack([found.added(label == 0, label == 1).sum(axis=1) for label in labels])
        odds = np.exp(logits + added)
        slope = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[diagnoses]) * weight[:, None]
        for value, table in ((0, found.rejected), (1, found.confirmed)):
            for concept in range(2):
                pull = slope[labels[:, concept] == value].sum(axis=0)
                assert pull == pytest.approx(-RIDGE * table[:, concept], abs=0.02)

    def test_an_answer_that_tells_the_class_says_so_and_an_idle_one_nothing(self):
        diagnoses = np.arange(200) % 2
        labels = np.stack([diagnoses, np.arange(200) // 2 % 2], axis=1).astype(np.int8)
        rows = np.arange(200)
        found = fit_answers(unmoved(np.zeros((200, 2)), 2), labels, diagnoses, rows, rows)
        assert found.confirmed[1, 0] > 0.5 > -0.5 > found.confirmed[0, 0]
        assert found.rejected[0, 0] > 0.5
        assert np.abs(found.confirmed[:, 1]).max() < 1e-3

    def test_unknown_labels_other_rows_and_unknown_diagnoses_have_no_part(self):
        rng = np.random.default_rng(1)
        logits, rows = rng.normal(size=(60, 2)), np.arange(40)
        labels = rng.integers(0, 2, (60, K)).astype(np.int8)
        diagnoses = rng.integers(0, 2, 60)
        diagnoses[:5] = -1
        ledger = unmoved(logits, K)
        first = fit_answers(ledger, labels, diagnoses, rows, rows)
        labels[:5] = 1 - labels[:5]
        labels[40:] = 1 - labels[40:]
        second = fit_answers(ledger, labels, diagnoses, rows, rows)
        assert np.array_equal(first.rejected, second.rejected)
        labels[:] = -1
        assert not fit_answers(ledger, labels, diagnoses, rows, rows).confirmed.any()

    @pytest.mark.parametrize(("said", "share"), [(3.0, 1.0), (-3.0, 0.0)])
    def test_answers_move_evidence_where_that_tells_unseen_images_better(self, said, share):
        labels, diagnoses = np.ones((80, 1), np.int8), np.arange(80) % 2
        towards = 2 * diagnoses[:, None] - 1  # of the second class, by marks on every patch
        first, unseen = np.arange(40), np.arange(40, 80)
        confirmed = np.zeros((80, 1, 2))
        confirmed[unseen, 0, 1:] = said * towards[unseen]
        confirmed[first, 0, 1:] = -said * towards[first]  # have no say in the share
        plain = np.zeros((80, 1, 2))
        ledger = Ledger(np.zeros(2), plain, plain, confirmed)
        found = fit_answers(ledger, labels, diagnoses, np.arange(80), unseen)
        assert found.share == share

    def test_a_share_in_between_is_found(self):
        """Marks that say twice too much where they are right, and are wrong at times."""
        labels, diagnoses = np.ones((200, 1), np.int8), np.arange(200) % 2
        right = np.arange(200) % 10 < 8
        confirmed = np.zeros((200, 1, 2))
        confirmed[:, 0, 1] = 4 * np.where(right, 1, -1) * (2 * diagnoses - 1)
        plain, rows = np.zeros((200, 1, 2)), np.arange(200)
        found = fit_answers(
            Ledger(np.zeros(2), plain, plain, confirmed), labels, diagnoses, rows, rows
        )
        # The best log-odds of four right in five are log 4 = 1.39, of 4 a share of 0.35.
        assert found.share == pytest.approx(0.35, abs=0.051)

    def test_few_examples_leave_the_start_nearly_as_it_is(self):
        start = AnswerWeights(np.full((2, K), 1.5), np.full((2, K), -0.5), 0.7)
        labels, diagnoses, one = np.array([[1, 0]], np.int8), np.array([0]), np.array([0])
        ledger = unmoved(np.zeros((1, 2)), K)
        found = fit_answers(ledger, labels, diagnoses, one, one, start, [0.7])
        assert found.share == 0.7
        assert found.rejected == pytest.approx(start.rejected, abs=0.1)
        assert found.confirmed == pytest.approx(start.confirmed, abs=0.1)
        none = fit_answers(ledger, labels, diagnoses, one[:0], one[:0], start)
        assert np.array_equal(none.confirmed, start.confirmed)


class TestKeeping:
    def test_what_was_written_is_read(self):
        read = answers_from_json(answers_to_json(WEIGHTS), (3, len(CONCEPTS)))
        assert np.array_equal(read.rejected, WEIGHTS.rejected)
        assert np.array_equal(read.confirmed, WEIGHTS.confirmed)
        assert read.share == WEIGHTS.share

    def test_answers_written_without_a_share_leave_evidence_alone(self):
        written = answers_to_json(WEIGHTS)
        del written["answers"]["share"]
        assert answers_from_json(written, (3, len(CONCEPTS))).share == 0

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), "0.5", None, True, [0.5]])
    def test_a_share_that_is_none_is_refused(self, share):
        written = answers_to_json(WEIGHTS)
        written["answers"]["share"] = share
        with pytest.raises(ValueError, match="'share' as a number from 0 to 1"):
            answers_from_json(written, (3, len(CONCEPTS)))

    def test_a_model_without_them_stays_without(self):
        assert answers_to_json(None) == {}
        assert answers_from_json({}, (3, 2)) is None

    @pytest.mark.parametrize(
        "damaged",
        [
            None,
            [],
            "much",
            {},
            {"rejected": [[0, 0]] * 3},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0, 0]] * 2},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0, float("nan")]] * 3},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0, 1e9]] * 3},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0, "x"]] * 3},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0], [0, 0], [0, 0]]},
            {"rejected": [[0, 0]] * 3, "confirmed": [[0, 10**400]] * 3},
        ],
    )
    def test_damaged_ones_are_refused(self, damaged):
        with pytest.raises(ValueError, match="answers need"):
            answers_from_json({"answers": damaged}, (3, 2))
