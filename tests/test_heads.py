"""Stage 3, and the profiles of scores."""

import numpy as np
import pytest
import torch
from quick_training import tiny_network

from csr_core.training.heads import (
    class_weights,
    fit_head,
    measure_profiles,
    set_task_head,
)


class TestStage3:
    def separable(self, classes):
        rng = np.random.default_rng(0)
        diagnoses = np.arange(90) % classes
        inputs = rng.normal(scale=0.01, size=(90, 4)) + 0.05 * np.eye(4)[diagnoses] + 0.3
        return inputs, diagnoses, np.arange(60), np.arange(60, 90)

    @pytest.mark.parametrize("classes", [2, 3])
    def test_narrow_scores_are_standardised_and_told_apart(self, classes):
        inputs, diagnoses, fit, validation = self.separable(classes)
        head = fit_head(inputs, diagnoses, fit, validation, classes)
        assert head.weight.shape == (classes, 4)
        assert head.mean == pytest.approx(inputs[fit].mean(axis=0))
        assert head.deviation == pytest.approx(inputs[fit].std(axis=0))
        assert head.validation == 1
        assert (head.logits(inputs).argmax(axis=1) == diagnoses).mean() > 0.98

    def test_validation_decides_how_regularised_it_is(self):
        rng = np.random.default_rng(0)
        diagnoses = np.arange(120) % 2
        inputs = rng.normal(size=(120, 200))
        inputs[:, 0] += diagnoses
        fit, unseen = np.arange(60), np.arange(60, 120)
        by_heart = fit_head(inputs, diagnoses, fit, fit, 2)
        unbiased = fit_head(inputs, diagnoses, fit, unseen, 2)
        assert by_heart.strength > unbiased.strength
        assert by_heart.loss < 0.1 < unbiased.loss

    def test_a_teacher_counts_half(self):
        inputs, diagnoses, fit, validation = self.separable(2)
        same = fit_head(inputs, diagnoses, fit, validation, 2, teacher=np.eye(2)[diagnoses])
        alone = fit_head(inputs, diagnoses, fit, validation, 2)
        assert same.logits(inputs) == pytest.approx(alone.logits(inputs), rel=1e-2)
        # Noise with labels alone against it cannot be learned; a teacher who knows can teach it.
        rng = np.random.default_rng(0)
        noise = rng.normal(size=(90, 4))
        known = (noise[:, 2] > 0).astype(int)
        labels = np.where(np.arange(90) < 60, rng.integers(0, 2, 90), known)
        taught = fit_head(noise, labels, fit, validation, 2, teacher=np.eye(2)[known])
        untaught = fit_head(noise, labels, fit, validation, 2)
        assert taught.validation > untaught.validation

    def test_rare_classes_weigh_by_the_square_root(self):
        weights = class_weights(np.array([0, 0, 0, 0, 1]), 3)
        # 1/2 and 1, divided by their mean 3/5.
        assert weights == pytest.approx([5 / 6] * 4 + [5 / 3])
        assert len(class_weights(np.array([], int), 2)) == 0

    def test_rows_of_other_roles_and_unknown_diagnoses_have_no_influence(self):
        inputs, diagnoses, fit, validation = self.separable(3)
        unknown = diagnoses.copy()
        unknown[[3, 70]] = -1
        known_fit, known_validation = fit[fit != 3], validation[validation != 70]
        first = fit_head(inputs, unknown, fit, validation, 3)
        changed = inputs.copy()
        changed[[3, 70]] = 1e3
        second = fit_head(changed, diagnoses, known_fit, known_validation, 3)
        assert np.array_equal(first.weight, second.weight)
        assert np.array_equal(first.mean, second.mean)

    def test_a_class_without_examples_is_refused(self):
        inputs, diagnoses, fit, validation = self.separable(2)
        with pytest.raises(ValueError, match="no example"):
            fit_head(inputs, diagnoses, fit, validation, 3)

    def test_the_network_computes_what_the_head_does(self):
        rng = np.random.default_rng(0)
        network = tiny_network(prototypes=2, concepts=2, classes=3)
        scores = rng.normal(scale=0.1, size=(90, 2, 2)).astype(np.float32)
        scores[:, 0, 0] += np.arange(90) % 3 * 0.1
        head = fit_head(
            scores.reshape(90, -1), np.arange(90) % 3, np.arange(60), np.arange(60, 90), 3
        )
        set_task_head(network, head)
        logits = network.task_head(torch.from_numpy(scores)).detach().numpy()
        assert np.abs(logits - head.logits(scores.reshape(90, -1))).max() < 1e-5

    def test_temperature_makes_probabilities_of_unseen_rows_likely(self):
        rng = np.random.default_rng(0)
        diagnoses = np.arange(400) % 2
        inputs = (diagnoses * 2 - 1)[:, None] * 0.5 + rng.normal(size=(400, 1))
        fit, validation = np.arange(200), np.arange(200, 400)
        head = fit_head(inputs, diagnoses, fit, validation, 2)

        def loss(scale):
            odds = np.exp(scale * head.logits(inputs[validation]))
            chosen = odds[np.arange(200), diagnoses[validation]] / odds.sum(axis=1)
            return -np.log(chosen).mean()

        assert loss(1) < min(loss(0.8), loss(1.25))


class TestProfiles:
    def test_medians_over_validation_rows_by_hand(self):
        scores = np.arange(40, dtype=np.float32).reshape(40, 1, 1) / 40
        labels = np.array([[0], [1]] * 20, np.int8)
        profiles = measure_profiles(scores, labels, np.arange(20), np.arange(20, 40))
        # Absent: even rows 20 to 38, median 29; present: odd rows 21 to 39, median 30.
        assert profiles.absent[0, 0] == pytest.approx(29 / 40)
        assert profiles.present[0, 0] == pytest.approx(30 / 40)

    def test_with_few_examples_fitted_rows_help(self):
        scores = np.arange(20, dtype=np.float32).reshape(20, 1, 1)
        labels = np.array([[0], [1]] * 10, np.int8)
        profiles = measure_profiles(scores, labels, np.arange(12), np.arange(12, 20))
        assert (profiles.absent[0, 0], profiles.present[0, 0]) == (9, 10)

    def test_unknown_labels_and_other_rows_are_left_out(self):
        scores = np.zeros((40, 1, 1), np.float32)
        labels = np.array([[0], [1]] * 20, np.int8)
        labels[30:] = -1
        scores[30:] = 99
        profiles = measure_profiles(scores, labels, np.arange(10), np.arange(10, 40))
        assert profiles.absent[0, 0] == profiles.present[0, 0] == 0
        scores[:10], labels[:] = 99, np.array([[0], [1]] * 20)
        scores[10:] = 0
        profiles = measure_profiles(scores, labels, np.arange(10), np.arange(10, 40))
        assert profiles.absent[0, 0] == profiles.present[0, 0] == 0

    def test_present_never_falls_below_absent(self):
        scores = np.zeros((40, 1, 2), np.float32)
        labels = np.array([[0], [1]] * 20, np.int8)
        scores[labels[:, 0] == 0, 0] = (0.5, 0.1)
        scores[labels[:, 0] == 1, 0] = (0.2, 0.4)
        profiles = measure_profiles(scores, labels, np.arange(10), np.arange(10, 40))
        assert profiles.absent[0].tolist() == pytest.approx([0.5, 0.1])
        assert profiles.present[0].tolist() == pytest.approx([0.5, 0.4])
