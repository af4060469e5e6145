"""What is usual for a model: measured, kept beside its weights, and told to the reader."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import csr_core
from csr_core.__main__ import app
from csr_core.advice import presence
from csr_core.calibration import calibration_from_json, calibration_to_json, fit_calibration
from csr_core.cases import CaseStore
from csr_core.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from csr_core.datasets import load_dataset, load_image
from csr_core.datasets.phantom import write_phantom
from csr_core.evaluation import calibrate
from csr_core.familiarity import CalibrationError
from csr_core.models import Models
from csr_core.presence import PresenceScale, fit_presence
from csr_core.records import record_calibration
from csr_core.service import ReviewService
from csr_core.training import PRESETS, train

ROOT = Path(__file__).parents[1]
SHAPE, CHANNELS = (2, 3), 5


def some_calibration(shape=SHAPE, channels=CHANNELS):
    random = np.random.default_rng(0)
    scores, pooled = random.normal(size=(60, *shape)), random.normal(size=(60, channels))
    return fit_calibration(scores, pooled, "60 images of nothing")


@pytest.fixture(scope="module")
def usual_images(tmp_path_factory):
    """A phantom of 44 pictures, all in split test."""
    folder = tmp_path_factory.mktemp("usual") / "phantom"
    write_phantom(folder, 44, 9, size=64, val_fraction=0, test_fraction=1, workers=1)
    return folder


@pytest.fixture
def folder(tiny_checkpoints, tmp_path) -> Path:
    """A checkpoint a test may write to, shipped without calibration."""
    return Path(shutil.copytree(tiny_checkpoints / "first", tmp_path / "model"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def channels_of(folder: Path) -> int:
    return load_checkpoint(folder).network.concept_head.in_channels


class TestJson:
    def test_six_digits_come_back(self):
        found = some_calibration()
        again = calibration_from_json(
            json.loads(json.dumps(calibration_to_json(found))), SHAPE, CHANNELS
        )
        assert again.measured_on == "60 images of nothing"
        assert np.allclose(again.score_range.limits, found.score_range.limits, rtol=5e-6, atol=0)
        vector = np.arange(5.0)
        assert again.familiarity.distance(vector) == pytest.approx(
            found.familiarity.distance(vector), rel=1e-4
        )
        assert again.familiarity.images == again.score_range.images == 60
        assert calibration_to_json(again) == calibration_to_json(found)

    def test_how_probable_concepts_are_comes_back(self):
        scale = PresenceScale(np.array([4.0, 0.5]), np.array([-2.0, 1.25]))
        record = calibration_to_json(replace(some_calibration(), presence=scale))
        assert record["presence"] == {"slope": [4.0, 0.5], "offset": [-2.0, 1.25]}
        again = calibration_from_json(record, SHAPE, CHANNELS).presence
        assert (again.slope == scale.slope).all()
        assert (again.offset == scale.offset).all()

    def test_calibrations_of_before_do_not_tell_it(self):
        record = calibration_to_json(some_calibration())
        assert "presence" not in record
        assert calibration_from_json(record, SHAPE, CHANNELS).presence is None

    def test_a_scale_of_other_concepts_is_refused(self):
        scale = PresenceScale(np.ones(3), np.zeros(3))
        record = calibration_to_json(replace(some_calibration(), presence=scale))
        with pytest.raises(CalibrationError, match="2 numbers each"):
            calibration_from_json(record, SHAPE, CHANNELS)

    def test_numbers_are_short(self):
        found = some_calibration()
        centre = replace(found.familiarity, centre=np.array([1 / 3, -12345.678, 2e-9, 0.5, 0]))
        record = calibration_to_json(replace(found, familiarity=centre))
        assert record["familiarity"]["centre"] == [0.333333, -12345.7, 2e-9, 0.5, 0.0]

    def test_nothing_measured_is_nothing_written_and_read(self):
        assert calibration_to_json(None) == {}
        assert calibration_from_json({"absent_profile": []}, SHAPE, CHANNELS) is None

    @given(st.data())
    def test_damaged_ones_are_refused_in_one_sentence(self, data):
        record = calibration_to_json(some_calibration())
        part = data.draw(st.sampled_from(["measured_on", "score_range", "familiarity"]))
        rubbish = [None, "", True, [], [[]], [[1e300] * 3] * 2, math.nan, math.inf, -1, 10**400, {}]
        value = data.draw(st.sampled_from([*rubbish, "x" * 301]))
        if part == "measured_on":
            record[part] = value
        else:
            record[part][data.draw(st.sampled_from(sorted(record[part])))] = value
        with pytest.raises(CalibrationError) as refusal:
            calibration_from_json(record, SHAPE, CHANNELS)
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200

    @pytest.mark.parametrize("missing", ["measured_on", "score_range", "familiarity"])
    def test_half_a_calibration_is_refused_by_name(self, missing):
        record = calibration_to_json(some_calibration())
        del record[missing]
        with pytest.raises(CalibrationError, match=f"lacks {missing}"):
            calibration_from_json(record, SHAPE, CHANNELS)

    def test_that_of_another_model_is_refused(self):
        record = calibration_to_json(some_calibration())
        with pytest.raises(CalibrationError, match="3 × 2 limits"):
            calibration_from_json(record, (3, 2), CHANNELS)
        with pytest.raises(CalibrationError, match="centre of 6 numbers"):
            calibration_from_json(record, SHAPE, 6)


class TestCheckpoint:
    def test_one_without_still_loads(self, folder):
        assert load_checkpoint(folder).calibration is None
        assert csr_core.load(folder).calibration is None

    def test_saving_and_loading_keep_it(self, folder, tmp_path):
        found = some_calibration((3, 4), channels_of(folder))
        save_checkpoint(replace(load_checkpoint(folder), calibration=found), tmp_path / "again")
        loaded = csr_core.load(tmp_path / "again").calibration
        assert calibration_to_json(loaded) == calibration_to_json(found)

    def test_recording_touches_calibration_json_only_and_keeps_the_profiles(self, folder):
        before, profiles = contents(folder), load_checkpoint(folder).profiles
        found = some_calibration((3, 4), channels_of(folder))
        record_calibration(folder, some_calibration((3, 4), channels_of(folder)))
        record_calibration(folder, replace(found, measured_on="other images"))
        after, loaded = contents(folder), load_checkpoint(folder)
        assert {name for name in before if before[name] != after[name]} == {"calibration.json"}
        assert after.keys() == before.keys()
        assert loaded.calibration.measured_on == "other images"
        assert (loaded.profiles.absent == profiles.absent).all()
        assert (loaded.profiles.present == profiles.present).all()

    @pytest.mark.parametrize(
        "change",
        [
            lambda r: r.update(measured_on="<b>" * 200),
            lambda r: r.update(score_range=[[0.1]]),
            lambda r: r["score_range"].update(limits=[[0.5] * 5] * 3),
            lambda r: r["score_range"].update(false_alarm_rate=1.5),
            lambda r: r["familiarity"].update(deviations=[0.0] * len(r["familiarity"]["axes"])),
            lambda r: r["familiarity"].update(axes=[[1.0]]),
            lambda r: r["familiarity"].update(centre=[0.0] * 7),
            lambda r: r.pop("score_range"),
        ],
    )
    def test_a_hostile_one_is_refused(self, folder, change):
        record_calibration(folder, some_calibration((3, 4), channels_of(folder)))
        path = folder / "calibration.json"
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))
        with pytest.raises(CheckpointError, match=r"calibration\.json is damaged: ") as refusal:
            load_checkpoint(folder)
        assert "\n" not in str(refusal.value)


class TestMeasuring:
    def test_scores_and_features_are_those_of_the_images(self, folder, usual_images):
        reasoner, dataset = csr_core.load(folder), load_dataset(usual_images, for_training=False)
        found = calibrate(reasoner, dataset, "test")
        cases = [reasoner.encode(path) for path in dataset.image_paths]
        by_hand = fit_calibration(
            np.stack([case.similarity_scores for case in cases]),
            np.stack([case.pooled for case in cases]),
            f"44 images of split test of {dataset.name}",
        )
        # Many images at a time are rounded otherwise than one at a time.
        assert found.measured_on == by_hand.measured_on
        assert np.allclose(found.score_range.limits, by_hand.score_range.limits, atol=1e-5)
        assert np.allclose(found.familiarity.centre, by_hand.familiarity.centre, atol=1e-5)
        assert found.familiarity.limit == pytest.approx(by_hand.familiarity.limit, rel=1e-3)

    def test_labels_tell_how_probable_concepts_are_if_they_are_the_models(
        self, folder, usual_images
    ):
        reasoner, data = csr_core.load(folder), load_dataset(usual_images, for_training=False)
        assert calibrate(reasoner, data, "test").presence is None
        known = replace(
            data, concepts=reasoner.concepts, concept_labels=data.concept_labels[:, :3].copy()
        )
        found = calibrate(reasoner, known, "test").presence
        cases = [reasoner.encode(load_image(known, row)) for row in range(len(known))]
        scores = np.stack([case.similarity_scores for case in cases])
        levels = presence(scores, reasoner.profiles)
        assert found.slope == pytest.approx(
            fit_presence(levels, known.concept_labels).slope, abs=1e-3
        )

    def test_measuring_again_without_labels_forgets_them(self, folder):
        shape = (3, 4)
        channels = channels_of(folder)
        scale = PresenceScale(np.ones(3), np.zeros(3))
        usual = some_calibration(shape, channels)
        record_calibration(folder, replace(usual, presence=scale))
        assert load_checkpoint(folder).calibration.presence is not None
        record_calibration(folder, usual)
        assert load_checkpoint(folder).calibration.presence is None

    def test_the_pooled_features_are_the_mean_over_the_grid(self, folder):
        import torch

        reasoner = csr_core.load(folder)
        image = np.random.default_rng(3).integers(0, 256, (224, 224, 3), dtype=np.uint8)
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        features = reasoner.network(tensor).features[0].numpy()  # (C, H, W)
        assert np.allclose(reasoner.encode(image).pooled, features.mean(axis=(1, 2)), atol=1e-5)

    def test_images_it_was_trained_on_are_refused(self, usual_images):
        dataset = load_dataset(usual_images, for_training=False)
        trained = SimpleNamespace(card={"data": dataset.name})
        with pytest.raises(ValueError, match="choose another split"):
            calibrate(trained, dataset, "train")


class TestCommand:
    def run(self, folder, data, split):
        arguments = ("calibrate", "--checkpoint", folder, "--data", data, "--split", split)
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def test_it_writes_and_says_what_it_measured(self, folder, usual_images):
        result = self.run(folder, usual_images, "test")
        assert result.exit_code == 0, result.output
        found = csr_core.load(folder).calibration
        assert f"distance {found.familiarity.limit:.1f}" in result.stdout
        assert "about 5% of usual images" in result.stdout
        assert "44 images of split test" in result.stdout
        assert (found.score_range.images, found.familiarity.images) == (44, 44)

    @pytest.mark.parametrize(
        ("split", "said"), [("val", "14 images are too few"), ("tset", "No image in split 'tset'")]
    )
    def test_what_can_not_be_measured_leaves_the_checkpoint(
        self, folder, phantom_folder, split, said
    ):
        before = contents(folder)
        result = self.run(folder, phantom_folder, split)
        assert result.exit_code == 2
        assert said in result.stderr
        assert contents(folder) == before


class TestAnswersCommand:
    def run(self, folder, data, split):
        arguments = ("answers", "--checkpoint", folder, "--data", data, "--split", split)
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    @pytest.fixture
    def trained(self, phantom, tmp_path):
        recipe = replace(PRESETS["quick"], backbone="test_efficientnet", weights="random")
        return train(phantom, tmp_path / "trained", recipe)

    def test_it_goes_on_from_what_the_model_knows_and_says_what_it_learned(
        self, trained, phantom_folder
    ):
        before = csr_core.load(trained).answers
        result = self.run(trained, phantom_folder, "test")
        assert result.exit_code == 0, result.output
        after = csr_core.load(trained).answers
        assert not np.array_equal(after.rejected, before.rejected)
        assert np.abs(after.rejected - before.rejected).max() < 0.5  # of 14 images
        line = next(
            line for line in result.stdout.splitlines() if line.startswith("streaks absent")
        )
        said = csr_core.load(trained)
        index, melanoma = said.concepts.index("streaks"), said.classes.index("melanoma")
        assert f"melanoma {after.rejected[melanoma, index]:+.2f}" in line
        assert f"moves the evidence of its patches {after.share:.0%} of the way" in result.stdout

    @pytest.mark.parametrize(
        ("split", "said"), [("train", "choose another split"), ("tset", "No image in split 'tset'")]
    )
    def test_what_can_not_be_learned_leaves_the_checkpoint(
        self, trained, phantom_folder, split, said
    ):
        before = contents(trained)
        result = self.run(trained, phantom_folder, split)
        assert result.exit_code == 2
        assert said in result.stderr
        assert contents(trained) == before

    def test_other_concepts_are_refused(self, folder, phantom_folder):
        result = self.run(folder, phantom_folder, "test")
        assert result.exit_code == 2
        assert "other concepts or diagnoses" in result.stderr


class TestBundled:
    """The phantom model, as it is shipped."""

    @pytest.fixture(scope="class")
    @staticmethod
    def service():
        return ReviewService(Models(ROOT / "checkpoints"), ROOT / "assets" / "cases", CaseStore())

    def kinds(self, service, opened):
        advice = service.advise(opened["key"], [], "calibrated")
        return {notice["kind"]: notice for notice in advice["notices"]}

    def test_its_cases_are_familiar(self, service):
        names = [case["name"] for case in service.start()["cases"]]
        found = {
            name: self.kinds(service, service.open_bundled("dermoscopy-phantom", name))
            for name in names
            if name.startswith("phantom-")
        }
        assert len(found) >= 8
        assert not [name for name, kinds in found.items() if "unfamiliar" in kinds]
        assert len([name for name, kinds in found.items() if "scores" in kinds]) <= 1
        assert not any("unchecked" in kinds for kinds in found.values())

    @pytest.mark.parametrize("model", ["dermoscopy-phantom", "isic2017"])
    def test_a_picture_like_an_x_ray_is_not(self, service, model, tmp_path):
        from PIL import Image

        # A bright column between two dark fields, with bright bars across: a thorax in outline.
        across, down = np.meshgrid(np.linspace(-1, 1, 256), np.linspace(-1, 1, 256))
        grey = 40 + 170 * np.exp(-((across / 0.18) ** 2)) + 35 * (np.sin(22 * down) > 0.4)
        pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        Image.fromarray(pixels).save(tmp_path / "thorax.png")
        found = self.kinds(service, service.open_image(model, tmp_path / "thorax.png", "A picture"))
        assert found["unfamiliar"]["level"] == "alert"
        limit = csr_core.load(ROOT / "checkpoints" / model).calibration.familiarity.limit
        assert f"limit {limit:.1f}; about 5 % of usual images" in found["unfamiliar"]["meaning"]
        assert "unchecked" not in found
