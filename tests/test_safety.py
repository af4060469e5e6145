"""Warnings: when they come, what they say, and how often they come by chance."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from situations import build, random_situation

from csr_core import EditError, Erase, Focus, Force, Suppress
from csr_core.calibration import Calibration
from csr_core.familiarity import (
    CalibrationError,
    Familiarity,
    ScoreRange,
    fit_familiarity,
    fit_score_range,
)
from csr_core.safety import (
    focus_effect,
    mismatch,
    model_limits,
    safety_notices,
    undecided,
    unfamiliar,
    unusual_scores,
)


def two_concepts(first=0.0, second=0.0, bias=(0.0, 0.0, 0.0)):
    """Concept similarities at patch (0, 0) between absent 0 and present 1; 0 elsewhere."""
    maps = np.zeros((2, 1, 2, 2))
    maps[:, 0, 0, 0] = first, second
    return build(maps, [[[1], [0]], [[0], [1]], [[0], [0]]], bias, 0.0, 1.0)


def with_features(case, pooled):
    return replace(case, pooled=np.array(pooled, np.float32))


def probabilities_apart(margin):
    """A verdict over two classes whose probabilities are that far apart."""
    high = (1 + margin) / 2
    reasoner, case = build(np.zeros((1, 1, 2, 2)), [[[0]]] * 2, np.log([1 - high, high]), 0.0, 1.0)
    return reasoner.reason(case)


class TestUndecided:
    def test_below_a_margin_of_three_tenths(self):
        notice = undecided(probabilities_apart(0.29), ["nevus", "melanoma_in_situ"])
        assert (notice.level, notice.kind) == ("caution", "undecided")
        assert notice.meaning == (
            "The model is undecided between melanoma in situ and nevus: they are 0.29 apart, "
            "less than 0.3."
        )
        assert undecided(probabilities_apart(0.31), ["nevus", "melanoma"]) is None


class TestScoreRange:
    def test_the_rate_holds_on_other_images(self):
        random = np.random.default_rng(5)
        mix = random.normal(size=(12, 12))
        usual = (random.normal(size=(6400, 12)) @ mix).reshape(-1, 3, 4)
        found = fit_score_range(usual[:400], 0.1)
        rate = np.mean([(found.excess(one) > 0).any() for one in usual[400:]])
        assert 0.04 < rate < 0.16

    def test_a_score_above_its_limit_is_named(self):
        reasoner, case = two_concepts(0.2, 0.9)
        limits = ScoreRange(np.array([[0.5], [0.5]]), 0.05, 200)
        notice = unusual_scores(case, limits, reasoner.concepts)
        assert notice.meaning == (
            "Similarity above its usual range for globules; about 5 % of usual images are flagged "
            "so by chance."
        )
        assert unusual_scores(two_concepts(0.2, 0.4)[1], limits, reasoner.concepts) is None

    def test_another_models_range_is_refused(self):
        with pytest.raises(ValueError, match="score range is for"):
            ScoreRange(np.zeros((3, 4)), 0.05, 10).excess(np.zeros((3, 5)))


class TestFamiliarity:
    @pytest.mark.parametrize("dimensions", [3, 300])
    def test_the_rate_holds_on_other_images(self, dimensions):
        random = np.random.default_rng(6)
        mix = random.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
        usual = random.normal(size=(2400, dimensions)) @ mix
        found = fit_familiarity(usual[:400], 0.1)
        rate = np.mean([found.distance(one) > found.limit for one in usual[400:]])
        assert 0.04 < rate < 0.16

    def test_an_unusual_combination_of_usual_scores_is_far(self):
        # Each score alone is within its range, but the two always go together.
        one = np.random.default_rng(7).normal(size=(200, 1))
        usual = np.hstack([one, one + 0.01 * np.random.default_rng(8).normal(size=(200, 1))])
        found = fit_familiarity(usual)
        assert found.distance(np.array([1.0, 1.0])) < found.limit
        assert found.distance(np.array([1.0, -1.0])) > 10 * found.limit

    def test_the_notice_gives_distance_limit_and_rate(self):
        case = with_features(two_concepts()[1], [3.0, 0.0])
        found = Familiarity(np.zeros(2), np.eye(2)[:1], np.ones(1), 1.0, 2.5, 0.05, 99)
        notice = unfamiliar(case, found)
        assert notice.level == "alert"
        assert "distance 3.0, limit 2.5; about 5 % of usual images" in notice.meaning
        assert unfamiliar(with_features(case, [2.0, 1.0]), found) is None


class TestCalibrationFiles:
    def fitted(self, fit):
        scores = np.random.default_rng(0).normal(size=(60, 2, 3))
        return fit(scores if fit is fit_score_range else scores.reshape(60, 6))

    @pytest.mark.parametrize("fit", [fit_score_range, fit_familiarity])
    def test_they_come_back_as_they_were(self, fit):
        found = self.fitted(fit)
        record = json.loads(json.dumps(found.to_json()))
        assert type(found).from_json(record).to_json() == found.to_json()
        assert (found.images, found.false_alarm_rate) == (60, 0.05)

    @pytest.mark.parametrize("fit", [fit_score_range, fit_familiarity])
    @given(st.data())
    def test_damaged_ones_are_refused(self, fit, data):
        found = self.fitted(fit)
        record = found.to_json()
        key = data.draw(st.sampled_from(sorted(record)))
        record[key] = data.draw(
            st.sampled_from([None, "1", True, [], [[]], [1, [2]], float("nan"), -1, 10**400, {}])
        )
        with pytest.raises(CalibrationError):
            type(found).from_json(record)

    @pytest.mark.parametrize("kind", [ScoreRange, Familiarity])
    def test_other_values_are_refused(self, kind):
        with pytest.raises(CalibrationError):
            kind.from_json([1, 2])

    @pytest.mark.parametrize("rate", [0.0, 1.0, 0.01])
    def test_too_few_images_or_an_impossible_rate_are_refused(self, rate):
        with pytest.raises(CalibrationError):
            fit_score_range(np.random.default_rng(0).normal(size=(60, 2, 3)), rate)

    def test_infinite_scores_are_refused(self):
        with pytest.raises(CalibrationError):
            fit_familiarity(np.full((60, 3), np.inf))


class TestMismatch:
    def find(self, reasoner, case, edits):
        return mismatch(case, edits, reasoner.profiles, reasoner.concepts)

    def test_a_region_that_shows_another_concept_is_flagged(self):
        notice = self.find(*two_concepts(0.1, 0.9), [Force("streaks", [(0, 0), (1, 1)])])
        assert notice.meaning == (
            "The region forced for streaks looks to the model more like globules (90% against 10% "
            "of the way from absent to present)."
        )

    @pytest.mark.parametrize(
        ("first", "second", "edit"),
        [
            (0.9, 0.9, Force("streaks", [(0, 0)])),  # both are there
            (0.1, 0.4, Force("streaks", [(0, 0)])),  # nothing is clearly there
            (0.1, 0.9, Force("streaks", [(1, 1)])),  # the other is elsewhere
            (0.1, 0.9, Suppress("streaks", [(0, 0)])),  # nothing is claimed
            (0.1, 0.9, Force("streaks", [])),
        ],
    )
    def test_else_it_is_not(self, first, second, edit):
        assert self.find(*two_concepts(first, second), [edit]) is None


class TestFocus:
    def test_the_effect_of_the_first_mark_is_told(self):
        reasoner, case = two_concepts(1.0, 0.0)
        focus = Focus([(1, 1)])
        before = reasoner.reason(case).probabilities[0]
        after = reasoner.reason(case, [focus]).probabilities[0]
        edits = [focus, Focus([(0, 0)])]
        notice = focus_effect(reasoner, case, edits, "calibrated")
        assert f"nevus {before:.2f} → {after:.2f}." in notice.meaning
        assert after < before

    @pytest.mark.parametrize(
        "edits", [[], [Focus([])], [Focus([(0, 0)]), Erase([(0, 0)])], [Suppress(0, [(0, 0)])]]
    )
    def test_without_a_focus_there_is_nothing_to_tell(self, edits):
        assert focus_effect(*two_concepts(1.0), edits, "calibrated") is None


class TestStrip:
    def test_the_gravest_comes_first(self):
        reasoner, case = two_concepts(3.0, 0.0, bias=(0, 3, 0))
        case = with_features(case, [3.0, 0.0])
        familiarity = Familiarity(np.zeros(2), np.eye(2)[:1], np.ones(1), 1.0, 2.5, 0.05, 99)
        limits = ScoreRange(np.full((2, 1), 0.5), 0.05, 99)
        reasoner.calibration = Calibration(limits, familiarity, "99 images")
        notices = safety_notices(reasoner, case, [Focus([(0, 0)])], "calibrated")
        assert [notice.kind for notice in notices] == [
            "unfamiliar",
            "undecided",
            "scores",
            "focus",
            "model",
        ]
        assert all(n.meaning.endswith(".") and n.action.endswith(".") for n in notices)

    def test_without_calibration_it_says_so(self):
        kinds = [n.kind for n in safety_notices(*random_situation(0), [], "calibrated")]
        assert "unchecked" in kinds and "unfamiliar" not in kinds and "scores" not in kinds

    def test_synthetic_models_are_more_than_research_only(self):
        assert model_limits({"synthetic": True}).level == "caution"
        assert model_limits({}).level == "note"

    def test_edits_are_checked(self):
        with pytest.raises(EditError):
            safety_notices(*random_situation(0), [Force("nothing", [(0, 0)])], "calibrated")
