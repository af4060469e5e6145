"""A simulated reader who knows the true concepts, against counts made by hand and the reasoner."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import CONCEPTS, K, M, random_situation, seeds, semantics

from csr_core import Confirm, EditError, Reject
from csr_core.advice import ask_next, margins_of, presence
from csr_core.curves import intervention_figure, intervention_picture
from csr_core.evidence import Profiles
from csr_core.interventions import (
    POLICIES,
    READERS,
    Plan,
    ScoredImages,
    ask_reader,
    choose_plan,
    intervention_curve,
    question_order,
)
from csr_core.revision import Revision, pooled
from csr_core.score_model import LEAVE, REJECT, ScoreModel, edited_scores

policies = st.sampled_from(POLICIES)
readers = st.sampled_from(READERS)


def model_of(weight, bias=(0.0, 0.0)):
    """A model of one prototype a concept whose profiles are 0 and 1."""
    weight = np.asarray(weight, float)[..., None]
    profiles = Profiles(
        np.zeros(weight.shape[1:], np.float32), np.ones(weight.shape[1:], np.float32)
    )
    return ScoreModel(weight, np.asarray(bias, float), profiles)


def images_of(scores, labels, diagnoses):
    return ScoredImages(
        np.array(scores, np.float32)[..., None],
        np.array(labels, np.int8),
        np.array(diagnoses, np.int64),
    )


# Class 1 is the likelier one if 2·s₀ + 3·s₁ > 2, the logits being 0 and 2·s₀ + 3·s₁ - 2.
MODEL = model_of([[0, 0], [2, 3]], [0, -2])
IMAGES = images_of(
    # Log-odds 0.2; 0.5; -0.6; -1.8; 1.1
    scores=[[0.5, 0.4], [0.8, 0.3], [0.4, 0.2], [0.1, 0.0], [0.05, 1.0]],
    labels=[[0, 0], [1, 0], [1, 1], [0, -1], [-1, 1]],
    diagnoses=[0, 1, 1, 0, 0],
)


class TestByHand:
    def test_every_question_is_counted(self):
        curve = intervention_curve(MODEL, IMAGES, Plan("uncertainty"))
        none, one, two = curve.points
        # Unedited: 1, 1, 0, 0, 1 where 0, 1, 1, 0, 0 is true: the second and the fourth are right.
        assert (none.images, none.fixed, none.broken, none.edits) == (5, 0, 0, 0)
        # F1 = 2·1 / (2·1 + 1 + 2) = 2·1 / (2·1 + 2 + 1) = 0.4
        assert none.macro_f1 == none.macro_f1_before == pytest.approx(0.4)
        # Nearest to midway between the profiles are concepts 0, 1 (0.3 against 0.8), 0, 0 and 0.
        # Log-odds: 2·0 + 1.2 - 2 < 0, fixed; 1.6 + 0 - 2 < 0, broken; 2 + 0.6 - 2 > 0, fixed;
        # 0 + 0 - 2 < 0, right as before; in the fifth the reader doesn't know, still wrong.
        assert (one.fixed, one.broken, one.net) == (2, 1, 1)
        assert one.edits == pytest.approx(4 / 5)
        # Said 0, 0, 1, 0, 1 of 0, 1, 1, 0, 0: F1 = 4 / (4 + 1 + 1) and 2 / (2 + 1 + 1).
        assert one.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
        # Log-odds: -2; 2 - 2 = 0, a tie that goes to class 0; 3; the fourth and fifth as before.
        assert (two.fixed, two.broken) == (2, 1)
        assert two.edits == pytest.approx((2 + 2 + 2 + 1 + 1) / 5)

    def test_a_margin_triggers_the_review(self):
        # Margins tanh(|log-odds| / 2): 0.10, 0.24, 0.29, 0.72, 0.50.
        by_threshold = {
            threshold: intervention_curve(MODEL, IMAGES, Plan(threshold=threshold)).points[-1]
            for threshold in (0.05, 0.2, 0.28, 0.3, 0.6)
        }
        counts = {t: (point.fixed, point.broken) for t, point in by_threshold.items()}
        assert counts == {0.05: (0, 0), 0.2: (1, 0), 0.28: (1, 1), 0.3: (2, 1), 0.6: (2, 1)}
        edits = [5 * point.edits for point in by_threshold.values()]
        assert edits == pytest.approx([0, 2, 4, 6, 7])

    @pytest.mark.parametrize(
        ("reader", "said", "edits"),
        [
            # 0.5·2 and 0.4·3 taken away as far as the labels are 0, raised as far as they are 1.
            ("both", [0, 0, 1, 0, 1], [2, 2, 2, 1, 1]),
            # Log-odds -2; 1.6 + 0 - 2; as before; -2; as before
            ("reject", [0, 0, 0, 0, 1], [2, 1, 0, 1, 0]),
            # Log-odds 0.2; 2 + 0.9 - 2; 3; -1.8; 1.1
            ("confirm", [1, 1, 1, 0, 1], [0, 1, 2, 0, 1]),
        ],
    )
    def test_a_reader_may_only_reject_or_only_confirm(self, reader, said, edits):
        last = ask_reader(MODEL, IMAGES, Plan(reader=reader))[-1]
        assert last.after.tolist() == said
        assert last.edits.tolist() == edits

    def test_the_paper_has_no_way_to_confirm(self):
        last = ask_reader(MODEL, IMAGES, Plan(reader="confirm", semantics="paper"))[-1]
        assert last.after.tolist() == last.before.tolist() == [1, 1, 0, 0, 1]
        assert last.edits.tolist() == [0, 1, 2, 0, 1]

    def test_policies_order_concepts_by_hand(self):
        # Concept 2 is undecided, concept 1 moves most, concept 0 does a bit of both.
        model = model_of([[0, 0, 0], [1, 2, 0.1]], [0, -1])
        images = images_of([[0.8, 0.95, 0.5]], [[1, 1, 1]], [1])
        expected = {"uncertainty": [2, 0, 1], "influence": [1, 0, 2], "combined": [0, 1, 2]}
        for policy, order in expected.items():
            assert order_of(model, images, policy).tolist() == [order]

    def test_answers_change_what_is_asked_next(self):
        # Log-odds 12·s₀ + 3·s₁ + 3·s₂ - 9 = 0. Concept 0 moves them from -6 to 6 and is first.
        model = model_of([[0, 0, 0], [12, 3, 3]], [0, -9])
        images = images_of([[0.5, 1, 0]] * 2, [[0, 0, 0], [1, 0, 0]], [0, 1])
        absent, present = order_of(model, images, "influence")
        # At -6, concept 1 could bring -9 and concept 2 -3, where probability is less settled.
        assert absent.tolist() == [0, 2, 1]
        # At 6, concept 1 could bring 3 and concept 2 could bring 9.
        assert present.tolist() == [0, 1, 2]


def order_of(model, images, policy, seed=0):
    ledger = model.ledger(images.scores, "calibrated")
    levels = presence(images.scores, model.profiles)
    return question_order(ledger, levels, images.labels, policy, seed)


def random_images(seed, count=12):
    """A random model and images whose labels and diagnoses may be unknown."""
    random = np.random.default_rng(seed)
    model = ScoreModel.of(random_situation(seed)[0])
    scores = random.uniform(-0.5, 0.8, (count, K, M)).astype(np.float32)
    labels = random.integers(-1, 2, (count, K)).astype(np.int8)
    diagnoses = random.integers(-1, 3, count)
    diagnoses[:3] = 0, 1, 2
    return model, ScoredImages(scores, labels, diagnoses)


class TestAgainstTheReasoner:
    @settings(max_examples=40)
    @given(
        seed=seeds,
        calls=st.lists(st.sampled_from([-1, 0, 1]), min_size=K, max_size=K),
        answering=st.booleans(),
    )
    def test_scores_and_probabilities_are_those_of_edits(self, seed, calls, answering):
        reasoner, case = random_situation(seed, answering=answering)
        model = ScoreModel.of(reasoner)
        edits = [
            (Reject if call == REJECT else Confirm)(concept)
            for concept, call in zip(CONCEPTS, calls, strict=True)
            if call != LEAVE
        ]
        given_calls = np.array([calls], np.int8)
        for meaning in ("calibrated", "paper"):
            verdict = reasoner.reason(case, edits, meaning)
            scores = case.similarity_scores[None]
            share = reasoner.share_of_answers(meaning)
            edited = edited_scores(scores, given_calls, model.profiles, meaning, share)
            assert np.array_equal(edited[0], verdict.scores)
            ledger = model.ledger(scores, meaning)
            assert ledger.probabilities(given_calls)[0] == pytest.approx(verdict.probabilities)

    @settings(max_examples=40)
    @given(
        seed=seeds,
        meaning=semantics,
        labels=st.lists(st.booleans(), min_size=4, max_size=4),
        answering=st.booleans(),
    )
    def test_the_combined_policy_asks_as_ask_me_next_does(self, seed, meaning, labels, answering):
        reasoner, case = random_situation(seed, k=4, answering=answering)
        model = ScoreModel.of(reasoner)
        scores, answers = case.similarity_scores[None], np.array([labels], np.int8)
        levels = presence(scores, model.profiles)
        order = question_order(model.ledger(scores, meaning), levels, answers, "combined", 0)
        edits = []
        for index in order[0]:
            question = ask_next(reasoner, case, edits, meaning)[0]
            assert question.concept == reasoner.concepts[index]
            edits.append((Confirm if labels[index] else Reject)(question.concept))

    def test_an_unknown_semantics_is_refused(self):
        with pytest.raises(EditError, match="calibrated, paper"):
            ask_reader(MODEL, IMAGES, Plan(semantics="guessed"))


class TestProperties:
    @settings(max_examples=40)
    @given(seed=seeds, policy=policies, reader=readers, meaning=semantics)
    def test_what_is_counted_is_what_happened(self, seed, policy, reader, meaning):
        model, images = random_images(seed)
        revisions = ask_reader(model, images, Plan(policy, reader, meaning, None, seed))
        assert len(revisions) == K + 1
        assert np.array_equal(revisions[0].after, revisions[0].before)
        known = images.diagnoses >= 0
        heard = {"both": (0, 1), "reject": (0,), "confirm": (1,)}[reader]
        answerable = np.isin(images.labels[known], heard).sum(axis=1)
        for questions, revision in enumerate(revisions):
            effect = revision.effect()
            assert effect.images == known.sum()
            right = (revision.after == revision.truth).sum()
            assert effect.net == right - (revision.before == revision.truth).sum()
            assert (revision.edits <= np.minimum(answerable, questions)).all()
        assert np.array_equal(revisions[-1].edits, answerable)

    @settings(max_examples=20)
    @given(seed=seeds, reader=readers, meaning=semantics)
    def test_the_order_does_not_matter_once_all_are_asked(self, seed, reader, meaning):
        model, images = random_images(seed)
        last = [ask_reader(model, images, Plan(p, reader, meaning))[-1].after for p in POLICIES]
        assert all(np.array_equal(after, last[0]) for after in last)

    @settings(max_examples=20)
    @given(seed=seeds, policy=policies, meaning=semantics)
    def test_unknown_concepts_are_never_edited(self, seed, policy, meaning):
        model, images = random_images(seed)
        unknown = replace(images, labels=np.full_like(images.labels, LEAVE))
        for revision in ask_reader(model, unknown, Plan(policy, semantics=meaning)):
            assert np.array_equal(revision.after, revision.before)
            assert not revision.edits.any()
        # What is asked first but can't be answered leaves the rest as if only the rest were asked.
        half = images.labels.copy()
        half[:, 0] = LEAVE
        calls = half[images.diagnoses >= 0]
        last = ask_reader(model, replace(images, labels=half), Plan(policy, semantics=meaning))[-1]
        scores = images.scores[images.diagnoses >= 0]
        wanted = model.ledger(scores, meaning).probabilities(calls).argmax(axis=1)
        assert np.array_equal(last.after, wanted)

    @given(seed=seeds, policy=policies)
    def test_every_concept_is_asked_about_once(self, seed, policy):
        model, images = random_images(seed)
        order = order_of(model, images, policy)
        assert (np.sort(order, axis=1) == np.arange(K)).all()

    def test_chance_is_seeded_and_fair(self):
        model, images = random_images(1, count=400)
        first, same, other = (order_of(model, images, "random", seed) for seed in (1, 1, 2))
        assert np.array_equal(first, same)
        assert not np.array_equal(first, other)
        assert (first[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.1)

    @settings(max_examples=20)
    @given(seed=seeds, threshold=st.floats(0, 1))
    def test_only_close_verdicts_are_reviewed(self, seed, threshold):
        model, images = random_images(seed)
        everything = ask_reader(model, images, Plan())
        triggered = ask_reader(model, images, Plan(threshold=threshold))
        for whole, part in zip(everything, triggered, strict=True):
            close = whole.margins < threshold
            assert np.array_equal(part.after[close], whole.after[close])
            assert np.array_equal(part.after[~close], whole.before[~close])
            assert not part.edits[~close].any()


class TestChoice:
    def test_the_best_on_validation_is_applied_to_test(self):
        # Rejecting helps, confirming a label that is wrong for the diagnosis does harm.
        model = model_of([[0, 0], [2, 2]], [0, -1])
        validation = images_of(
            [[0.4, 0.3], [0.4, 0.3], [0.9, 0.0], [0.2, 0.0]],
            [[0, 0], [0, 0], [1, 0], [1, 0]],
            [0, 0, 1, 0],
        )
        test = images_of([[0.4, 0.2], [0.7, 0.1]], [[0, 0], [0, 1]], [0, 1])
        choice = choose_plan(model, validation, test)
        # Log-odds 0.4, 0.4, 0.8, -0.6. Rejecting concept 0 alone settles the first two: -0.4, or
        # concept 1 alone: -0.2; one edit an image is enough. In the fourth nothing is confirmed.
        assert choice.plan.reader == "reject"
        assert choice.plan.threshold is None
        assert choice.questions == 1
        assert choice.validation.macro_f1 == 1
        assert choice.validation.fixed == 2
        # Log-odds 0.2, 0.6; rejecting concept 0, the more uncertain one in both, gives -0.6, -0.8.
        effect = choice.revision.effect()
        assert (effect.fixed, effect.broken) == (1, 1)
        assert choice.to_json()["test"]["net"] == 0
        assert choice.to_json()["chosen_on"] == "4 validation images"

    def test_doing_nothing_may_be_best(self):
        model = model_of([[0, 0], [2, 2]], [0, -1])
        liars = images_of([[0.9, 0.0], [0.1, 0.0]], [[0, 0], [1, 0]], [1, 0])
        choice = choose_plan(model, liars, liars)
        assert choice.questions == 0
        assert choice.validation.edits == 0

    def test_the_threshold_is_chosen_too(self):
        choice = choose_plan(
            MODEL,
            IMAGES,
            IMAGES,
            policies=["uncertainty"],
            readers=["both"],
            thresholds=(0.05, 0.2, 0.28, 0.3, None),
        )
        # Reviewing the first image alone: said 0, 1, 0, 0, 1 of 0, 1, 1, 0, 0, which gives
        # F1 = 4 / (4 + 1 + 1) and 2 / (2 + 1 + 1), as much as 2 fixed and 1 broken by more edits.
        assert choice.validation.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
        assert choice.plan.threshold == 0.2
        assert choice.questions == 1
        assert choice.validation.edits == pytest.approx(1 / 5)

    @settings(max_examples=5)
    @given(seed=seeds, meaning=semantics)
    def test_what_is_true_of_test_images_has_no_part_in_the_choice(self, seed, meaning):
        model, validation = random_images(seed)
        _, test = random_images(seed + 1)
        random = np.random.default_rng(seed)
        altered = ScoredImages(
            random.permutation(test.scores),
            random.permutation(test.labels),
            random.permutation(test.diagnoses),
        )
        chosen = [
            choose_plan(
                model,
                validation,
                part,
                semantics=meaning,
                thresholds=(0.3, None),
                readers=["both", "reject"],
            )
            for part in (test, altered)
        ]
        plans = [(choice.plan, choice.questions, choice.validation) for choice in chosen]
        assert plans[0] == plans[1]

    @settings(max_examples=5)
    @given(seed=seeds)
    def test_nothing_to_choose_from_is_better_on_validation(self, seed):
        model, images = random_images(seed)
        choice = choose_plan(
            model, images, images, thresholds=(0.3, None), policies=POLICIES[:2], readers=["both"]
        )
        for policy in POLICIES[:2]:
            for threshold in (0.3, None):
                curve = intervention_curve(model, images, Plan(policy, threshold=threshold))
                assert choice.validation.macro_f1 >= max(point.macro_f1 for point in curve.points)

    def test_something_to_choose_from_is_needed(self):
        with pytest.raises(ValueError, match="at least one policy"):
            choose_plan(MODEL, IMAGES, IMAGES, thresholds=())


class TestRefusals:
    def test_shapes_belong_together(self):
        with pytest.raises(ValueError, match="don't belong together"):
            images_of([[0.1, 0.2]], [[1]], [0])

    def test_without_any_diagnosis_nothing_can_be_judged(self):
        with pytest.raises(ValueError, match="no review can be judged"):
            ask_reader(MODEL, replace(IMAGES, diagnoses=np.full(5, -1)), Plan())

    def test_policies_and_readers_have_names(self):
        with pytest.raises(ValueError, match="no policy 'oracle'; use one of combined"):
            Plan("oracle")
        with pytest.raises(ValueError, match="no reader 'none'"):
            Plan(reader="none")


class TestRevision:
    def test_folds_are_judged_together(self):
        folds = [
            ask_reader(MODEL, IMAGES.of(np.array(rows)), Plan())[-1]
            for rows in ([0, 1], [2], [3, 4])
        ]
        assert pooled(folds).effect() == ask_reader(MODEL, IMAGES, Plan())[-1].effect()

    def test_margins(self):
        probabilities = np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])
        assert margins_of(probabilities) == pytest.approx([0.2, 0.7])

    def test_a_margin_at_the_threshold_is_no_trigger(self):
        zeros = np.zeros(2, int)
        revision = Revision(zeros, zeros, zeros + 1, zeros + 2, np.array([0.25, 0.3]), 2)
        assert revision.triggered(0.3).after.tolist() == [1, 0]
        assert revision.triggered(0.3).edits.tolist() == [2, 0]


class TestPicture:
    @pytest.fixture
    def curves(self):
        return [
            intervention_curve(MODEL, IMAGES, Plan(policy, semantics=meaning, threshold=threshold))
            for meaning in ("calibrated", "paper")
            for threshold in (None, 0.3)
            for policy in POLICIES
        ]

    def test_a_panel_for_each_way_to_review(self, curves):
        figure = intervention_figure(curves)
        panels = figure.axes
        assert [panel.get_title().split("\n")[0] for panel in panels] == [
            "Calibrated edits, every image",
            "Calibrated edits, images with a margin < 0.3",
            "Edits as in the paper, every image",
            "Edits as in the paper, images with a margin < 0.3",
        ]
        assert len({panel.get_ylim() for panel in panels}) == 1
        for panel in panels:
            assert panel.get_xlabel() == "edits per image"
            assert panel.get_ylabel() == "macro-F1 (%)"
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names == [
            "uncertainty × influence",
            "influence",
            "uncertainty",
            "random",
            "no edits",
        ]

    def test_only_what_is_drawn_is_in_the_legend(self, curves):
        figure = intervention_figure([curve for curve in curves if curve.plan.policy == "random"])
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names == ["random", "no edits"]

    def test_chance_is_not_magnified(self):
        curve = intervention_curve(MODEL, IMAGES, Plan(threshold=0))  # nothing ever changes
        # Macro-F1 stays at 40 %: two points, and a twentieth of them at both ends.
        assert intervention_figure([curve]).axes[0].get_ylim() == pytest.approx((38.9, 41.1))

    def test_lines_show_the_figures_and_differ_without_colour(self, curves):
        lines = intervention_figure(curves).axes[0].get_lines()
        for line, curve in zip(lines, curves[:4], strict=False):
            x, y = line.get_data()
            assert list(x) == [point.edits for point in curve.points]
            assert list(y) == pytest.approx([100 * point.macro_f1 for point in curve.points])
        assert len({line.get_marker() for line in lines[:4]}) == 4
        assert set(lines[4].get_ydata()) == {100 * curves[0].points[0].macro_f1}

    def test_the_file_is_a_small_png(self, curves):
        picture = intervention_picture(curves)
        assert picture.startswith(b"\x89PNG\r\n")
        assert len(picture) < 400_000
        assert picture == intervention_picture(curves)
