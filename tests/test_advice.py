"""Which concept is worth a look, and why."""

import numpy as np
import pytest
from hypothesis import given, settings
from situations import CONCEPTS, K, M, build, edit_lists, random_situation, seeds, semantics

from csr_core import Confirm, EditError, Focus, Force, Ignore, Reject, Suppress
from csr_core.advice import ask_next, presence, spoken, strongest_group
from csr_core.evidence import Profiles


def situation(levels, weights):
    """Concepts whose one prototype scores `level` between absent 0 and present 1."""
    maps = np.zeros((len(levels), 1, 2, 2))
    maps[:, 0, 0, 1] = levels
    weight = np.stack([np.zeros((len(levels), 1)), np.reshape(weights, (-1, 1))])
    return build(maps, weight, [0.0, 0.0], 0.0, 1.0)


class TestAskNext:
    @settings(max_examples=40)
    @given(seed=seeds, edits=edit_lists, meaning=semantics)
    def test_influence_is_between_reject_and_confirm(self, seed, edits, meaning):
        reasoner, case = random_situation(seed)
        questions = ask_next(reasoner, case, edits, meaning)
        assert sorted(question.concept for question in questions) == sorted(CONCEPTS)
        for question in questions:
            rejected, confirmed = (
                reasoner.reason(case, [*edits, kind(question.concept)], meaning).probabilities
                for kind in (Reject, Confirm)
            )
            assert question.influence == np.abs(confirmed - rejected).max()
            assert question.influence == abs(question.confirmed - question.rejected)
            assert 0 <= question.uncertainty <= 0.5
        open_ones = [question for question in questions if not question.settled]
        worth = [question.uncertainty * question.influence for question in open_ones]
        assert worth == sorted(worth, reverse=True)
        assert questions[: len(open_ones)] == tuple(open_ones)

    def test_the_undecided_concept_that_matters_comes_first(self):
        # The second is undecided but weak, the third strong but clearly there.
        first, *rest = ask_next(*situation([0.5, 0.5, 1.0], [2, 0.5, 2]), [], "calibrated")
        assert first.concept == "concept 0" and first.uncertainty == 0.5
        assert [question.concept for question in rest] == ["concept 1", "concept 2"]
        # Without concept 0 the log-odds are 0.25 + 2 = 2.25; with it 4.25. Both raise class 1.
        low, high = (1 / (1 + np.exp(-logit)) for logit in (2.25, 4.25))
        assert first.influence == pytest.approx(high - low)

    def test_the_ranking_is_said_in_words(self):
        question = ask_next(*situation([0.5], [1.0]), [], "calibrated")[0]
        # 1 / (1 + e⁻¹) = 0.731; both classes move alike, the first is named.
        assert question.sentence == (
            "concept 0: undecided, and it moves class 0 most "
            "(±0.12: 0.50 if rejected, 0.27 if confirmed)."
        )
        still = ask_next(*situation([1.0], [0.0]), [], "calibrated")[0]
        assert still.sentence == "concept 0: looks present, and it hardly moves any diagnosis."

    @pytest.mark.parametrize(
        "edit",
        [
            Reject("streaks"),
            Confirm(0),
            Suppress("streaks", [(0, 0)]),
            Force("streaks", [(1, 1)]),
        ],
    )
    def test_what_is_marked_comes_last(self, edit):
        questions = ask_next(*situation([0.5, 0.6], [5, 0.1]), [edit], "calibrated")
        assert [question.settled for question in questions] == [False, True]
        assert questions[1].concept == "streaks"
        assert "you have marked it already" in questions[1].sentence

    @pytest.mark.parametrize("edit", [Ignore([(0, 0)]), Focus([(0, 1)])])
    def test_marks_on_everything_settle_nothing(self, edit):
        questions = ask_next(*situation([0.5, 0.6], [5, 0.1]), [edit], "calibrated")
        assert not any(question.settled for question in questions)

    def test_an_impossible_edit_is_refused(self):
        with pytest.raises(EditError):
            ask_next(*situation([0.5], [1]), [Reject("no such concept")], "calibrated")


class TestPresence:
    def test_profiles_are_zero_and_one(self):
        absent = np.array([[0.1, 0.2]], np.float32)
        profiles = Profiles(absent, absent + np.array([[0.2, 0.6]], np.float32))
        assert presence(profiles.absent, profiles) == pytest.approx([0.0])
        assert presence(profiles.present, profiles) == pytest.approx([1.0], abs=1e-6)
        # Only the second prototype at its present profile: 0.6 of 0.8.
        assert presence(np.array([[0.1, 0.8]], np.float32), profiles) == pytest.approx([0.75])

    def test_profiles_that_do_not_differ_say_nothing(self):
        same = np.full((K, M), 0.3, np.float32)
        assert presence(same + 0.2, Profiles(same, same.copy())).tolist() == [0.5] * K


class TestStrongestGroup:
    def test_touching_patches_above_the_middle_belong_together(self):
        concept_map = np.array(
            [[0.9, 0.2, 0.0, 0.8], [0.1, 0.6, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32
        )
        assert strongest_group(concept_map) == ((0, 0), (1, 1))

    def test_a_flat_map_is_one_group(self):
        assert len(strongest_group(np.full((3, 4), 0.2, np.float32))) == 12


def test_underscores_are_not_spoken():
    assert spoken("milia_like_cyst") == "milia like cyst"
