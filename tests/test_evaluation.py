"""Measuring a model on a data set, with a reader whose answers are known."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from csr_core.checkpoint import CheckpointError, load_checkpoint
from csr_core.datasets import load_dataset
from csr_core.evaluation import POINTING_PROTOCOL, evaluate
from csr_core.records import record_evaluation
from csr_core.training import PRESETS, train

CLASSES = ("nevus", "melanoma")
CONCEPTS = ("streaks", "veil")
SIDE = 4

# Diagnosis, labels of both concepts, the model's diagnosis, where its maps peak (row, column).
ROWS = (
    ("nevus", "1", "0", 0, [(0, 0), (0, 0)]),
    ("nevus", "1", "1", 0, [(3, 3), (0, 3)]),
    ("melanoma", "0", "1", 0, [(0, 0), (3, 0)]),
    ("melanoma", "", "1", 1, [(0, 0), (0, 0)]),
    ("", "1", "0", 1, [(0, 1), (0, 0)]),
)
# A quarter of each image, as fractions of width and height.
BOXES = (
    ("case0", "streaks", 0, 0, 0.5, 0.5),
    ("case1", "streaks", 0, 0, 0.5, 0.5),
    ("case1", "veil", 0.5, 0, 1, 0.5),
    ("case2", "veil", 0, 0, 0.5, 0.5),
    ("case4", "streaks", 0, 0, 0.5, 0.5),
)


class KnownReader:
    """Stands for a reasoner: answers by the grey level of the image, which is its row."""

    concepts, classes, grid = CONCEPTS, CLASSES, (SIDE, SIDE)
    atlas = SimpleNamespace(alive=np.array([[True, False], [True, True]]))

    def encode(self, image):
        return int(image[0, 0, 0]) // 10

    def reason(self, case):
        return SimpleNamespace(probabilities=np.eye(2)[ROWS[case][3]])

    def concept_maps(self, case):
        maps = np.zeros((2, SIDE, SIDE), np.float32)
        for concept, peak in enumerate(ROWS[case][4]):
            maps[concept][peak] = 1
        return maps


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    description = {"name": "five", "classes": CLASSES, "concepts": CONCEPTS}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "split", "diagnosis", *CONCEPTS])
        for index, (diagnosis, *labels, _, _) in enumerate(ROWS):
            table.writerow([f"case{index}", "test", diagnosis, *labels])
            picture = Image.new("RGB", (64, 64), (index * 10,) * 3)
            picture.save(tmp_path / "images" / f"case{index}.png")
        table.writerow(["other", "train", "nevus", "1", "1"])
        Image.new("RGB", (64, 64)).save(tmp_path / "images" / "other.png")
    with (tmp_path / "boxes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_id", "concept", "x_min", "y_min", "x_max", "y_max"])
        table.writerows(BOXES)
    return tmp_path


@pytest.fixture
def dataset(folder):
    return load_dataset(folder, for_training=False)


def test_macro_f1_counts_images_of_known_diagnosis(dataset):
    figures = evaluate(KnownReader(), dataset, "test")
    assert (figures["data"], figures["split"], figures["images"]) == ("five", "test", 5)
    # Known: nevus, nevus, melanoma, melanoma; said: nevus, nevus, nevus, melanoma.
    # F1 = 4 / (4 + 1) and 2 / (2 + 1)
    assert figures["f1_by_class"] == pytest.approx({"nevus": 0.8, "melanoma": 2 / 3})
    assert figures["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_living_prototypes_are_counted(dataset):
    assert evaluate(KnownReader(), dataset, "test")["prototypes_alive"] == 0.75


def test_the_pointing_game_is_played_on_every_pair_with_a_region(dataset):
    game = evaluate(KnownReader(), dataset, "test")["pointing_game"]
    # Streaks: hit, miss, and a hit in the image of unknown diagnosis; veil: hit and miss.
    streaks, veil = game["by_concept"]["streaks"], game["by_concept"]["veil"]
    assert (streaks["hits"], streaks["pairs"]) == (pytest.approx(2 / 3), 3)
    assert (veil["hits"], veil["pairs"]) == (0.5, 2)
    assert game["mean"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert streaks["random_point"] == pytest.approx(0.25, abs=0.01)
    assert game["random_point"] == pytest.approx(0.25, abs=0.01)
    assert game["protocol"] == POINTING_PROTOCOL


def test_the_protocol_says_which_map_upsampling_pairs_and_chance():
    for word in ("max over its prototypes", "bicubically", "every (image, concept) pair", "random"):
        assert word in POINTING_PROTOCOL


def test_without_regions_there_is_no_pointing_game(folder):
    (folder / "boxes.csv").unlink()
    dataset = load_dataset(folder, for_training=False)
    assert "pointing_game" not in evaluate(KnownReader(), dataset, "test")


def test_figures_are_json(dataset):
    figures = evaluate(KnownReader(), dataset, "test")
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_stated_optimum_stands_beside_the_figure(folder):
    description = json.loads((folder / "dataset.json").read_text())
    description |= {"bayes_optimal_macro_f1": 0.9, "split_bayes_macro_f1": {"test": 0.875}}
    (folder / "dataset.json").write_text(json.dumps(description))
    figures = evaluate(KnownReader(), load_dataset(folder, for_training=False), "test")
    assert figures["bayes_optimal_macro_f1"] == 0.9
    assert figures["bayes_rule_macro_f1_on_these_images"] == 0.875


@pytest.mark.parametrize("stated", ["0.9", None, [0.9], {"test": "x"}])
def test_an_optimum_that_is_no_number_is_left_out(folder, stated):
    description = json.loads((folder / "dataset.json").read_text())
    description |= {"bayes_optimal_macro_f1": stated, "split_bayes_macro_f1": stated}
    (folder / "dataset.json").write_text(json.dumps(description))
    figures = evaluate(KnownReader(), load_dataset(folder, for_training=False), "test")
    assert not [key for key in figures if key.startswith("bayes")]


def test_a_split_without_images_is_refused_with_those_there_are(dataset):
    with pytest.raises(ValueError, match=r"No image in split 'val'.*test, train"):
        evaluate(KnownReader(), dataset, "val")


@pytest.mark.parametrize(
    "change", [{"concepts": CONCEPTS[::-1]}, {"classes": CLASSES[::-1]}, {"concepts": ("streaks",)}]
)
def test_a_data_set_of_other_names_is_refused(dataset, change):
    with pytest.raises(ValueError, match="the data set has others"):
        evaluate(KnownReader(), replace(dataset, **change), "test")


def test_a_split_without_any_known_diagnosis_is_refused(dataset):
    unknown = replace(dataset, diagnoses=np.full(len(dataset), -1))
    with pytest.raises(ValueError, match="diagnosis"):
        evaluate(KnownReader(), unknown, "test")


def test_recorded_figures_reach_metrics_and_card(tmp_path, phantom_folder):
    folder = train(
        load_dataset(phantom_folder),
        tmp_path / "model",
        replace(PRESETS["quick"], backbone="test_efficientnet", weights="random"),
    )
    figures = {
        "data": "a test set",
        "split": "test",
        "images": 7,
        "macro_f1": 0.123456,
        "prototypes_alive": 0.75,
        "bayes_optimal_macro_f1": 0.9,
        "pointing_game": {"mean": 0.5, "random_point": 0.1},
    }
    record_evaluation(folder, figures)
    record_evaluation(folder, figures | {"macro_f1": 0.2, "split": "other"})
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["evaluated"]) == {"a test set/test", "a test set/other"}
    assert metrics["evaluated"]["a test set/test"] == figures
    card = (folder / "README.md").read_text()
    assert (
        "macro-F1 0.1235 (Bayes-optimal 0.9000), pointing game 50.0% (random point 10.0%)" in card
    )
    assert "macro-F1 0.2000" in card
    assert load_checkpoint(folder).metrics == metrics


def test_figures_are_not_recorded_beside_a_model_of_unknown_training(tiny_checkpoints):
    with pytest.raises(CheckpointError, match="no record of its training"):
        record_evaluation(tiny_checkpoints / "first", {"data": "d", "split": "s"})
