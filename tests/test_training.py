"""Training from a small phantom to a checkpoint, killed or not."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quick_training import EPOCHS, HOLDOUT, QUICK, ROOT, SEED, run, train_command, weights_hash

import csr_core
from csr_core.datasets import load_image
from csr_core.familiarity import fit_familiarity, fit_score_range
from csr_core.files import read_json
from csr_core.training import concept_model as stage1
from csr_core.training import train
from csr_core.training.roles import assign_roles
from csr_core.training.state import save_state

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(phantom, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    return train(phantom, out, QUICK, seed=SEED, holdout=HOLDOUT, pictures=True)


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
            low, high = metrics[name]["macro_f1_interval"]
            assert low <= metrics[name]["macro_f1"] <= high
            difference = metrics[name]["differences"]["csr - black_box"]["macro_f1"]
            own, other = metrics[name]["macro_f1"], metrics[name]["black_box_macro_f1"]
            assert difference == pytest.approx(own - other)
            review = metrics[name]["reviews"]["calibrated"]["all concepts"]
            assert review["macro_f1_before"] == pytest.approx(own)
            assert review["edits"] > 0
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


class TestSelectingOnASplit:
    def test_all_of_train_is_fitted_and_the_split_is_no_longer_measured(self, phantom, tmp_path):
        out = train(phantom, tmp_path / "model", replace(QUICK, select_on="val"), seed=SEED)
        metrics = read_json(out / "metrics.json", 10**6)
        assert metrics["protocol"]["fit_images"] == len(phantom.rows_of("train"))
        assert "val" not in metrics
        assert metrics["test"]["images"] == len(phantom.rows_of("test"))
        count = len(phantom.rows_of("train"))
        card = (out / "README.md").read_text(encoding="utf-8")
        assert f"{count} training images: {count} to fit to, split val to select on." in card


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
        command = [sys.executable, *train_command(phantom.root, out)]
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
