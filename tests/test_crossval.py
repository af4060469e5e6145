"""Cross-validation: every training image judged once, by a model that never saw it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from csr_core.datasets import load_dataset
from csr_core.splits import stratified_folds
from csr_core.training import PRESETS, crossval
from csr_core.training.crossval import cross_validate, summary

RECIPE = replace(PRESETS["quick"], weights="random", backbone="test_efficientnet")


@pytest.fixture(scope="module")
def dataset(phantom_folder):
    return load_dataset(phantom_folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("crossval") / "work"


@pytest.fixture(scope="module")
def result(dataset, work):
    return cross_validate(dataset, RECIPE, 2, 0, work)


def test_every_image_of_train_is_judged_once(dataset, result):
    rows = dataset.rows_of("train")
    assert result["pooled"]["images"] == len(rows)
    assert sum(part["images"] for part in result["by_fold"]) == len(rows)
    counts = np.bincount(dataset.diagnoses[rows], minlength=len(dataset.classes))
    by_class = result["pooled"]["by_class"]
    assert [by_class[name]["support"] for name in dataset.classes] == counts.tolist()


def test_pooled_judgements_are_those_of_the_folds(result):
    confusion = sum(np.array(part["confusion"]) for part in result["by_fold"])
    assert result["pooled"]["confusion"] == confusion.tolist()
    pairs = [
        sum(entry["pairs"] for entry in part["pointing_game"]["by_concept"].values())
        for part in (*result["by_fold"], result["pooled"])
    ]
    assert pairs[2] == pairs[0] + pairs[1] > 0


def test_roles_never_overlap_and_follow_the_folds(dataset):
    rows = dataset.rows_of("train")
    labels = dataset.concept_labels[rows]
    for kept, held in stratified_folds(dataset.diagnoses[rows], 2, 0, labels):
        roles = crossval._roles(dataset, rows[kept], rows[held], RECIPE)
        everything = np.concatenate([roles.fit, roles.validation, roles.held])
        assert sorted(everything) == rows.tolist()
        assert roles.held.tolist() == rows[held].tolist()
        assert len(roles.validation) == pytest.approx(0.15 * len(kept), abs=1)


def test_folds_may_be_fitted_to_all_other_rows_and_selected_on_a_split(dataset):
    rows = dataset.rows_of("train")
    kept, held = stratified_folds(dataset.diagnoses[rows], 2, 0, dataset.concept_labels[rows])[0]
    chosen = replace(RECIPE, select_on="val")
    roles = crossval._roles(dataset, rows[kept], rows[held], chosen)
    assert roles.fit.tolist() == rows[kept].tolist()
    assert roles.validation.tolist() == dataset.rows_of("val").tolist()
    assert roles.held.tolist() == rows[held].tolist()


def test_nothing_but_what_was_found_is_left(work, result):
    assert sorted(path.name for path in work.iterdir()) == [
        "fold0-scores.npz", "fold0.json", "fold0.npz",
        "fold1-scores.npz", "fold1.json", "fold1.npz", "run.json",
    ]  # fmt: skip


def test_scores_and_head_of_a_fold_give_its_judgements(work, result):
    for fold in range(2):
        kept, seen = np.load(work / f"fold{fold}-scores.npz"), np.load(work / f"fold{fold}.npz")
        logits = np.einsum("nkm,ckm->nc", kept["scores"][kept["held"]], kept["weight"])
        # Cached features are in half precision.
        assert np.allclose(logits + kept["bias"], seen["logits_csr"], atol=0.05)
        assert (kept["present"] >= kept["absent"]).all()


def test_finished_folds_are_not_repeated(dataset, work, result, monkeypatch):
    monkeypatch.delattr(crossval, "fit_model")
    assert cross_validate(dataset, RECIPE, 2, 0, work) == result


def test_an_interrupted_run_goes_on_to_the_same_figures(dataset, result, tmp_path, monkeypatch):
    fit, fitted = crossval.fit_model, []

    def interrupted(*arguments):
        if len(fitted) == 1:
            raise KeyboardInterrupt
        fitted.append(arguments[1])
        return fit(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(crossval, "fit_model", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(dataset, RECIPE, 2, 0, tmp_path / "work")
    again = cross_validate(dataset, RECIPE, 2, 0, tmp_path / "work")
    for part in (*again["by_fold"], *result["by_fold"]):
        for stage in part["stages"].values():
            stage.pop("seconds", None)
    assert again["by_fold"] == result["by_fold"]
    assert again["pooled"] == result["pooled"]


@pytest.mark.parametrize(
    ("recipe", "folds", "seed"), [(RECIPE, 3, 0), (RECIPE, 2, 1), (replace(RECIPE, epochs=2), 2, 0)]
)
def test_a_folder_of_another_run_is_refused(dataset, work, result, recipe, folds, seed):
    with pytest.raises(ValueError, match="other settings or data"):
        cross_validate(dataset, recipe, folds, seed, work)


def test_too_few_images_or_folds_are_refused(dataset, tmp_path):
    for folds in (1, 10**6):
        with pytest.raises(ValueError, match="cannot be cut"):
            cross_validate(dataset, RECIPE, folds, 0, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_the_summary_has_a_line_for_each_fold_the_whole_and_the_differences(result):
    lines = summary(result)
    assert [line.split(",")[0] for line in lines[:3]] == ["fold 1", "fold 2", "pooled"]
    for line, figures in zip(lines, (*result["by_fold"], result["pooled"]), strict=False):
        assert f"CSR {figures['macro_f1']:.4f}" in line
        for name in ("black_box", "concept_bottleneck"):
            assert f"{name.replace('_', ' ')} {figures[name]['macro_f1']:.4f}" in line
    assert lines[3].startswith("CSR minus black box: ")
    assert lines[4].startswith("CSR minus concept bottleneck: ")
    reviews = [line for line in lines if line.startswith("reader, ")]
    assert lines[5 : 5 + len(reviews)] == reviews
    assert len(reviews) == sum(
        len(result[kind][semantics])
        for kind in ("reviews", "marks")
        for semantics in ("calibrated", "paper")
    )
    change = result["reviews"]["paper"]["margin 0.3"]["macro_f1_change"]
    assert any(f"paper, margin 0.3: {change:+.4f}" in line for line in reviews)
    change = result["marks"]["calibrated"]["suppress outside"]["macro_f1_change"]
    assert any(f"calibrated, suppress outside: {change:+.4f}" in line for line in reviews)
    assert "random point" in lines[5 + len(reviews)]


def test_all_of_it_is_json(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
