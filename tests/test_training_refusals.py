"""Runs that are refused, and settings no run can have."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from quick_training import HOLDOUT, QUICK, SEED, run, tiny_network

from csr_core.checkpoint import CheckpointError
from csr_core.network import Projector
from csr_core.training import prototypes as stage2
from csr_core.training import train


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
            network = SimpleNamespace(projector=Projector(2, 3))
            stage2.whiten(network, np.zeros((4, 2), np.float32), 0.1)
