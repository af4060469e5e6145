"""Measuring a model on a data set, with a reader whose answers are known."""

import csv
import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from csr_core.baselines import Baselines, Layer
from csr_core.checkpoint import CheckpointError, load_checkpoint
from csr_core.datasets import load_dataset, load_image
from csr_core.evaluation import evaluate
from csr_core.evidence import Profiles
from csr_core.figures import POINTING_PROTOCOL
from csr_core.inference import Outputs
from csr_core.records import record_cross_validation, record_evaluation
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
SAID = np.array([row[3] for row in ROWS])
# Similarity scores of both concepts; their profiles are 0 and 1.
SCORES = np.array([[0.9, 0.1], [0.2, 0.6], [0.3, 0.7], [0.5, 0.9], [0.8, 0.2]], np.float32)
# A quarter of each image, as fractions of width and height.
BOXES = (
    ("case0", "streaks", 0, 0, 0.5, 0.5),
    ("case1", "streaks", 0, 0, 0.5, 0.5),
    ("case1", "veil", 0.5, 0, 1, 0.5),
    ("case2", "veil", 0, 0, 0.5, 0.5),
    ("case4", "streaks", 0, 0, 0.5, 0.5),
)

# Streaks speak for nevus, a veil for melanoma.
NETWORK = SimpleNamespace(
    task_head=SimpleNamespace(
        folded=lambda: (torch.tensor([[[1.0], [-1.0]], [[-1.0], [1.0]]]), torch.zeros(2))
    ),
    config=SimpleNamespace(grid=(SIDE, SIDE)),
)
READER = SimpleNamespace(
    concepts=CONCEPTS,
    classes=CLASSES,
    network=NETWORK,
    profiles=Profiles(np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32)),
    atlas=SimpleNamespace(hits=np.array([[3, 0], [1, 1]])),
    answers=None,
)


def known_outputs(network, dataset, rows):
    """What the network is taken to make of the images, whose row is their grey level."""
    cases = [int(load_image(dataset, row)[0, 0, 0]) // 10 for row in rows]
    peaks = np.array([[SIDE * row + column for row, column in ROWS[case][4]] for case in cases])
    maps = np.zeros((len(rows), 2, SIDE * SIDE), np.float32)
    np.put_along_axis(maps, peaks[:, :, None], 1, axis=2)
    return Outputs(
        logits=3 * np.eye(2)[SAID[cases]],
        scores=SCORES[cases][:, :, None],
        peaks=peaks[:, :, None],
        concept_maps=maps.reshape(-1, 2, SIDE, SIDE),
        mean_maps=maps.reshape(-1, 2, SIDE, SIDE)[:, :, ::-1],
        cams=-SCORES[cases][:, :, None, None],
        pooled=SAID[cases][:, None].astype(np.float32),
    )


@pytest.fixture(autouse=True)
def known_network(monkeypatch):
    monkeypatch.setattr("csr_core.evaluation.run_network", known_outputs)


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


def figures_of(dataset, baselines=None):
    return evaluate(READER, dataset, "test", baselines).figures


class TestDiagnosis:
    # Known: nevus, nevus, melanoma, melanoma; said: nevus, nevus, nevus, melanoma.

    def test_images_of_unknown_diagnosis_are_left_out(self, dataset):
        figures = figures_of(dataset)
        assert (figures["data"], figures["split"]) == ("five", "test")
        assert (figures["images"], figures["diagnosed"]) == (5, 4)
        assert figures["confusion"] == [[2, 0], [1, 1]]

    def test_by_class(self, dataset):
        nevus, melanoma = figures_of(dataset)["by_class"].values()
        assert nevus["f1"] == pytest.approx(4 / (4 + 1))
        assert melanoma["f1"] == pytest.approx(2 / (2 + 1))
        assert (nevus["precision"], nevus["recall"], nevus["support"]) == (
            pytest.approx(2 / 3), 1, 2
        )  # fmt: skip
        assert (melanoma["precision"], melanoma["recall"], melanoma["support"]) == (1, 0.5, 2)
        # Of four pairs of one image each, two are told apart and two are tied.
        assert nevus["auc"] == melanoma["auc"] == 0.75

    def test_all_classes_count_alike(self, dataset):
        figures = figures_of(dataset)
        assert figures["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
        assert figures["balanced_accuracy"] == 0.75
        low, high = figures["macro_f1_interval"]
        assert 0 <= low < figures["macro_f1"] < high == 1

    def test_probabilities_are_judged_too(self, dataset):
        figures = figures_of(dataset)
        sure = 1 / (1 + np.exp(-3))
        assert figures["calibration_error"] == pytest.approx(sure - 0.75)
        assert figures["brier_score"] == pytest.approx((3 * 2 * (1 - sure) ** 2 + 2 * sure**2) / 4)
        assert figures["reliability"] == [
            {"images": 4, "confidence": pytest.approx(sure), "accuracy": 0.75}
        ]


class TestBaselines:
    BASELINES = Baselines(
        black_box=Layer(np.array([[-1.0], [1.0]]), np.array([0.5, 0])),  # says what CSR says
        concept_bottleneck=Layer(np.zeros((2, 2)), np.array([1.0, 0])),  # always says nevus
    )

    def test_they_are_measured_on_the_same_images(self, dataset):
        figures = figures_of(dataset, self.BASELINES)
        assert figures["black_box"]["macro_f1"] == figures["macro_f1"]
        assert figures["concept_bottleneck"]["macro_f1"] == pytest.approx(2 / 3 / 2)
        assert figures["concept_bottleneck"]["confusion"] == [[2, 0], [2, 0]]

    def test_differences_are_paired(self, dataset):
        differences = figures_of(dataset, self.BASELINES)["differences"]
        assert differences["csr - black_box"] == {"macro_f1": 0, "interval": [0, 0]}
        other = differences["csr - concept_bottleneck"]
        assert other["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2 - 1 / 3)
        # CSR is right wherever the other is: no resample turns that round.
        assert other["interval"][0] >= 0

    def test_a_checkpoint_without_them_says_so(self, dataset):
        figures = figures_of(dataset)
        assert figures["differences"] == {}
        assert "keeps no black box" in figures["baselines"]


class TestConcepts:
    def test_similarity_scores_are_judged_where_the_label_is_known(self, dataset):
        found = figures_of(dataset)["concepts"]["similarity_scores"]
        streaks, veil = found["by_concept"]["streaks"], found["by_concept"]["veil"]
        # Present 0.9, 0.2, 0.8; absent 0.3: two of three pairs are in order.
        assert (streaks["present"], streaks["absent"]) == (3, 1)
        assert streaks["auc"] == pytest.approx(2 / 3)
        # Precision at each present image, by falling score: 1, 2/2, 3/4.
        assert streaks["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
        assert (veil["auc"], veil["average_precision"]) == (1, 1)
        assert found["macro_auc"] == pytest.approx((2 / 3 + 1) / 2)

    def test_the_concept_head_stands_beside_them(self, dataset):
        found = figures_of(dataset)["concepts"]["concept_head"]
        assert found["by_concept"]["veil"]["auc"] == 0
        assert found["by_concept"]["streaks"]["auc"] == pytest.approx(1 / 3)

    def test_a_concept_of_one_kind_of_label_is_not_judged(self, dataset):
        labels = dataset.concept_labels.copy()
        labels[:, 0] = 1
        found = figures_of(replace(dataset, concept_labels=labels))["concepts"]
        assert found["similarity_scores"]["by_concept"]["streaks"]["auc"] is None
        assert found["similarity_scores"]["macro_auc"] == 1


class TestLesions:
    @pytest.fixture
    def with_masks(self, folder):
        """Lesions of case 0, 1 and 4: the left half; the left half; the top half of a patch."""
        (folder / "lesion_masks").mkdir()
        left, slit = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
        left[:, :32] = 255
        slit[:8, :16] = 255
        for name, mask in (("case0", left), ("case1", left), ("case4", slit)):
            Image.fromarray(mask).save(folder / "lesion_masks" / f"{name}.png")
        return load_dataset(folder, for_training=False)

    def test_the_share_of_positive_contributions_whose_patch_lies_outside(self, with_masks):
        found = figures_of(with_masks)["evidence_outside_lesion"]
        # Case 0 says nevus by streaks at (0, 0): inside. Case 1 by streaks at (3, 3): outside.
        # Case 4 says melanoma by veil at (0, 0), half of which lies in the lesion.
        assert found["images"] == 3
        assert found["mean"] == pytest.approx((0 + 1 + 0.5) / 3)
        assert found["random_patch"] == pytest.approx((0.5 + 0.5 + (1 - 1 / 32)) / 3)
        assert found["interval"] == [0, 1]
        assert "positive contributions" in found["protocol"]

    def test_without_masks_there_is_no_such_figure(self, dataset):
        assert "evidence_outside_lesion" not in figures_of(dataset)


def test_a_reader_of_the_true_concepts_reviews_the_diagnosed_images(dataset):
    # By its scores the second image is a melanoma, and only that is wrong: 0.2 for streaks against
    # 0.6 for a veil. It has both, which makes 1 against 1, a tie that goes to nevus. No margin is
    # under 0.3. The paper's edits can only take away, and nothing of this image is absent.
    reviews = figures_of(dataset)["reviews"]

    def counted(semantics, name):
        review = reviews[semantics][name]
        return review["images"], review["fixed"], review["broken"]

    assert counted("calibrated", "all concepts") == (4, 1, 0)
    assert counted("calibrated", "margin 0.3") == (4, 0, 0)
    assert counted("paper", "all concepts") == (4, 0, 0)
    assert {len(curve["points"]) for curve in reviews["curves"]} == {3}
    assert len(reviews["curves"]) == 2 * 2 * 4
    assert "knows the true concepts" in reviews["protocol"]


def test_prototype_health(dataset):
    figures = figures_of(dataset)
    assert figures["prototypes_alive"] == 0.75
    assert figures["prototypes"] == {
        "streaks": {"alive": 0.5, "top_share": 1, "effective_number": pytest.approx(1), "of": 2},
        "veil": {"alive": 1, "top_share": 0.5, "effective_number": pytest.approx(2), "of": 2},
    }


def test_the_pointing_game_is_played_on_every_pair_with_a_region(dataset):
    game = figures_of(dataset)["pointing_game"]
    # Streaks: hit, miss, and a hit in the image of unknown diagnosis; veil: hit and miss.
    streaks, veil = game["by_concept"]["streaks"], game["by_concept"]["veil"]
    assert (streaks["hits"], streaks["pairs"]) == (pytest.approx(2 / 3), 3)
    assert (veil["hits"], veil["pairs"]) == (0.5, 2)
    assert game["mean"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert streaks["random_point"] == pytest.approx(0.25, abs=0.01)
    assert game["random_point"] == pytest.approx(0.25, abs=0.01)
    # A miss in one of the four images with regions; none, or nothing but misses, may be drawn.
    assert game["interval"][0] < game["mean"] < game["interval"][1] <= 1
    assert game["protocol"] == POINTING_PROTOCOL
    assert game["pairs"]["hits"] == pytest.approx(3 / 5)
    assert game["pairs"]["count"] == 5
    assert game["pairs"]["interval"][0] < 3 / 5 < game["pairs"]["interval"][1]
    # Upside down only the veil of the third image is hit; a flat map points at its first pixel.
    others = {kind: figures["pairs"]["hits"] for kind, figures in game["other_maps"].items()}
    assert others == {"mean_of_prototypes": pytest.approx(1 / 5), "concept_head": 4 / 5}


def test_the_protocol_says_which_map_upsampling_pairs_and_chance():
    for word in ("best prototype", "bicubically", "every (image, concept) pair", "random"):
        assert word in POINTING_PROTOCOL


def test_without_regions_there_is_no_pointing_game(folder):
    (folder / "boxes.csv").unlink()
    dataset = load_dataset(folder, for_training=False)
    assert "pointing_game" not in figures_of(dataset)


def test_figures_are_json(dataset):
    figures = figures_of(dataset, TestBaselines.BASELINES)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_stated_optimum_stands_beside_the_figure(folder):
    description = json.loads((folder / "dataset.json").read_text())
    description |= {"bayes_optimal_macro_f1": 0.9, "split_bayes_macro_f1": {"test": 0.875}}
    (folder / "dataset.json").write_text(json.dumps(description))
    figures = figures_of(load_dataset(folder, for_training=False))
    assert figures["bayes_optimal_macro_f1"] == 0.9
    assert figures["bayes_rule_macro_f1_on_these_images"] == 0.875


@pytest.mark.parametrize("stated", ["0.9", None, [0.9], {"test": "x"}])
def test_an_optimum_that_is_no_number_is_left_out(folder, stated):
    description = json.loads((folder / "dataset.json").read_text())
    description |= {"bayes_optimal_macro_f1": stated, "split_bayes_macro_f1": stated}
    (folder / "dataset.json").write_text(json.dumps(description))
    figures = figures_of(load_dataset(folder, for_training=False))
    assert not [key for key in figures if key.startswith("bayes")]


def test_a_split_without_images_is_refused_with_those_there_are(dataset):
    with pytest.raises(ValueError, match=r"No image in split 'val'.*test, train"):
        evaluate(READER, dataset, "val")


@pytest.mark.parametrize(
    "change", [{"concepts": CONCEPTS[::-1]}, {"classes": CLASSES[::-1]}, {"concepts": ("streaks",)}]
)
def test_a_data_set_of_other_names_is_refused(dataset, change):
    with pytest.raises(ValueError, match="the data set has others"):
        evaluate(READER, replace(dataset, **change), "test")


def test_a_split_without_any_known_diagnosis_is_refused(dataset):
    unknown = replace(dataset, diagnoses=np.full(len(dataset), -1))
    with pytest.raises(ValueError, match="diagnosis"):
        evaluate(READER, unknown, "test")


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


def test_the_card_says_of_which_images_the_model_was_selected_on(tmp_path, phantom):
    recipe = replace(PRESETS["quick"], backbone="test_efficientnet", weights="random")
    folder = train(phantom, tmp_path / "model", replace(recipe, select_on="val"))
    figures = {"images": 7, "macro_f1": 0.5, "prototypes_alive": 1.0}
    for data, split in ((phantom.name, "val"), (phantom.name, "test"), ("another set", "val")):
        record_evaluation(folder, figures | {"data": data, "split": split})
    card = (folder / "README.md").read_text()
    assert card.count("which the model was selected on") == 1
    assert f"{phantom.name}, split val, which the model was selected on: macro-F1" in card


def test_folds_are_recorded_beside_the_model_trained_as_they_were(tmp_path, phantom):
    recipe = replace(PRESETS["quick"], backbone="test_efficientnet", weights="random")
    folder = train(phantom, tmp_path / "model", recipe)
    before = (folder / "metrics.json").read_bytes()
    pooled = {"macro_f1": 0.5, "macro_f1_interval": [0.4, 0.6], "diagnosed": 68}
    pooled |= {name: {"macro_f1": 0.25} for name in ("black_box", "concept_bottleneck")}
    result = {"data": phantom.name, "pooled": pooled}
    for other in ({"data": "another set"}, {"recipe": replace(recipe, epochs=2)}):
        told = result | other
        protocol = {"folds": 2, "recipe": asdict(told.pop("recipe", recipe))}
        with pytest.raises(CheckpointError, match="other data or with other settings"):
            record_cross_validation(folder, told | {"protocol": protocol})
        assert (folder / "metrics.json").read_bytes() == before
    result["protocol"] = {"folds": 2, "recipe": asdict(recipe)}
    record_cross_validation(folder, result)
    assert load_checkpoint(folder).metrics["cross_validated"] == result
    card = (folder / "README.md").read_text()
    assert "68 in all: macro-F1 0.5000 (95 % interval 0.4000 to 0.6000), black box 0.2500" in card


def test_figures_are_not_recorded_beside_a_model_of_unknown_training(tiny_checkpoints):
    with pytest.raises(CheckpointError, match="no record of its training"):
        record_evaluation(tiny_checkpoints / "first", {"data": "d", "split": "s"})
