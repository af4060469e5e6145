"""Stage 1 and its saved state."""

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from quick_training import QUICK, tiny_network

from csr_core.splits import stratified_split
from csr_core.training import concept_model as stage1
from csr_core.training import targets
from csr_core.training.images import batches
from csr_core.training.state import load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")


class TestStage1:
    def stage1(self, dataset, tmp_path, recipe):
        network = tiny_network(concepts=8, classes=3)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        kept, held = stratified_split(dataset.diagnoses[:40], None, 0.2, 0)
        figures = stage1.train_concept_model(network, dataset, kept, held, recipe, 0, tmp_path)
        return network, before, figures

    def test_a_concept_of_unknown_labels_learns_nothing(self, phantom, tmp_path):
        labels = phantom.concept_labels.copy()
        labels[:, 3] = -1
        recipe = replace(QUICK, epochs=1, weight_decay=0.0, diagnosis_weight=0.0)
        network, before, _ = self.stage1(replace(phantom, concept_labels=labels), tmp_path, recipe)
        moved = (network.concept_head.weight != before["concept_head.weight"]).flatten(1).any(1)
        assert moved.tolist() == [True, True, True, False, True, True, True, True]

    def test_a_batch_of_unknown_diagnoses_does_no_harm(self, phantom, tmp_path):
        diagnoses = np.where(np.arange(len(phantom)) % 3, phantom.diagnoses, -1)
        recipe = replace(QUICK, epochs=1, batch=1)
        network, before, figures = self.stage1(
            replace(phantom, diagnoses=diagnoses), tmp_path, recipe
        )
        assert all(value.isfinite().all() for value in network.state_dict().values())
        assert not torch.equal(network.concept_head.weight, before["concept_head.weight"])
        assert math.isfinite(figures["score"])

    def test_every_epoch_sees_every_fitted_row_once_in_an_order_of_its_own(
        self, phantom, tmp_path, monkeypatch
    ):
        plans = []

        def recorded(rows, size, generator=None):
            plan = batches(rows, size, generator)
            if generator is not None:
                plans.append(np.concatenate(plan).tolist())
            return plan

        monkeypatch.setattr(stage1, "batches", recorded)
        self.stage1(phantom, tmp_path, replace(QUICK, epochs=3))
        kept, _ = stratified_split(phantom.diagnoses[:40], None, 0.2, 0)
        assert [sorted(plan) for plan in plans] == [kept.tolist()] * 3
        assert len({tuple(plan) for plan in plans}) == 3

    def test_the_epoch_that_is_best_on_validation_is_kept(self, phantom, tmp_path, monkeypatch):
        heads = []

        def validate(model, *_):
            heads.append(model.network.concept_head.weight.detach().clone())
            return {"score": [0.2, 0.9, 0.5][len(heads) - 1]}

        monkeypatch.setattr(stage1, "_validate", validate)
        network, _, figures = self.stage1(phantom, tmp_path, replace(QUICK, epochs=3))
        assert figures["epoch"] == 2
        assert torch.equal(network.concept_head.weight, heads[1])
        assert not torch.equal(heads[1], heads[2])

    def test_class_weights_are_the_inverse_root_of_the_frequency(self):
        # Counts 4, 1: weights 1/2 and 1, scaled so that 4·w0 + 1·w1 = 5: 5/3 · (1/2, 1)
        weights = targets._class_weights(np.array([0, 0, 0, 0, 1, -1, -1]), 2)
        assert weights.tolist() == pytest.approx([5 / 6, 5 / 3])

    def test_concept_weights_count_known_labels_only(self):
        labels = np.array([[1, 1, 1], [0, 1, -1], [0, 0, -1], [0, 0, -1], [0, -1, -1]], np.int8)
        # √(4/1), √(2/2), √(1/1) since nothing is absent
        assert targets._positive_weights(labels).tolist() == pytest.approx([2, 1, 1])
        rare = np.zeros((1000, 1), np.int8)
        rare[0] = 1
        assert targets._positive_weights(rare).tolist() == [5]

    def test_average_precision_leaves_unknown_labels_out(self):
        labels = np.array([[1, 1], [0, -1], [1, 1], [-1, -1]], np.int8)
        scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3], [1.0, 0.9]])
        # First concept, ranked present, absent, present: (1/1 + 2/3) / 2. Second: nothing absent.
        assert stage1.mean_average_precision(labels, scores) == pytest.approx(5 / 6)
        assert stage1.mean_average_precision(np.full((2, 1), -1), np.zeros((2, 1))) == 0

    def test_concepts_with_too_few_examples_are_not_judged(self):
        labels = np.array([[1, 1], [0, 1], [0, 0], [0, 0]])
        scores = np.array([[0.0, 4], [1, 3], [2, 2], [3, 1]])  # the first is at its worst
        assert stage1.mean_average_precision(labels, scores) == pytest.approx((0.25 + 1) / 2)
        assert stage1.mean_average_precision(labels, scores, fewest=2) == pytest.approx(1)
        assert stage1.mean_average_precision(labels, scores, fewest=3) == 0

    def test_the_learning_rate_warms_up_and_falls_to_a_hundredth(self):
        recipe = replace(QUICK, epochs=8, learning_rate=1.0)
        rates = [stage1._learning_rate(progress, recipe) for progress in (0, 0.5, 1, 4.5, 8)]
        assert rates == pytest.approx([0.01, 0.505, 1.0, 0.505, 0.01])

    def test_state_is_read_back_as_it_was(self, tmp_path):
        assert load_state(tmp_path / "stage1.safetensors") is None
        for epoch in (0, 1):
            tensors = {"a": torch.full((2,), float(epoch)), "step": torch.tensor(3.0)}
            save_state(tmp_path / "stage1.safetensors", tensors, {"epoch": epoch, "best": {"x": 1}})
        tensors, numbers = load_state(tmp_path / "stage1.safetensors")
        assert tensors["a"].tolist() == [1, 1]
        assert numbers["epoch"] == 1
        assert numbers["best"] == {"x": 1}
        assert len(list(tmp_path.glob("*.safetensors"))) == 1

    def test_a_state_half_written_does_not_count(self, tmp_path, monkeypatch):
        path = tmp_path / "stage1.safetensors"
        save_state(path, {"a": torch.zeros(1)}, {"epoch": 0})

        def full(*_):
            raise OSError("no space left on device")

        for step in ("save_file", "write_json_atomic"):
            with monkeypatch.context() as patch, contextlib.suppress(OSError):
                patch.setattr(f"csr_core.training.state.{step}", full)
                save_state(path, {"a": torch.ones(1)}, {"epoch": 1})
            tensors, numbers = load_state(path)
            assert (tensors["a"].item(), numbers["epoch"]) == (0, 0)
