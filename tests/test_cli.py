"""The command line: what works prints what it did, what can't is refused in one sentence."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from csr_core.__main__ import app

ROOT = Path(__file__).parents[1]
QUICK = ("--preset", "quick", "--weights", "random", "--backbone", "test_efficientnet")


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments) -> str:
    """What is printed to a person whose command is refused: no traceback, no success."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert result.stderr.strip()
    return result.stderr


@pytest.fixture
def broken(phantom_folder, tmp_path) -> Path:
    """The phantom with two faults in its table and one missing picture."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in phantom_folder.iterdir():
        if path.name != "labels.csv":
            (folder / path.name).symlink_to(path)
    with (phantom_folder / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    rows[2][2] = "wart"
    rows[5][rows[0].index("streaks")] = "maybe"
    rows[7][0] = "nowhere"
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


class TestTrainAndEvaluate:
    @pytest.fixture(scope="class")
    @staticmethod
    def checkpoint(phantom_folder, tmp_path_factory):
        out = tmp_path_factory.mktemp("cli") / "model"
        result = invoke(
            "train", "--data", phantom_folder, "--out", out, *QUICK, "--title", "My model"
        )
        assert result.exit_code == 0, result.output
        assert str(out) in result.stdout
        return out

    def test_training_writes_a_checkpoint(self, checkpoint):
        config = json.loads((checkpoint / "config.json").read_text())
        assert config["network"]["backbone"] == "test_efficientnet"
        assert config["card"]["title"] == "My model"
        assert (checkpoint / "README.md").read_text(encoding="utf-8").startswith("# My model")

    def test_nothing_but_the_checkpoint_is_left(self, checkpoint):
        assert [path.name for path in checkpoint.parent.iterdir()] == ["model"]

    def test_evaluating_prints_and_writes_the_figures(self, checkpoint, phantom_folder, tmp_path):
        target, pictures = tmp_path / "figures" / "val.json", tmp_path / "pictures"
        result = invoke(
            "evaluate", "--checkpoint", checkpoint, "--data", phantom_folder, "--split", "val",
            "--json", target, "--pictures", pictures,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        figures = json.loads(result.stdout)
        assert figures == json.loads(target.read_text())
        assert figures["images"] == 14
        assert 0 <= figures["macro_f1"] <= 1
        assert figures["pointing_game"]["random_point"] > 0
        assert figures["bayes_optimal_macro_f1"] > 0.8
        for model in ("black_box", "concept_bottleneck"):
            assert 0 <= figures[model]["macro_f1"] <= 1
            low, high = figures["differences"][f"csr - {model}"]["interval"]
            assert low <= high
        assert len(list(pictures.glob("*.png"))) == 6

    def test_a_checkpoint_that_kept_no_baselines_says_so(
        self, checkpoint, phantom_folder, tmp_path
    ):
        folder = shutil.copytree(checkpoint, tmp_path / "model")
        (folder / "baselines.safetensors").unlink()
        result = invoke(
            "evaluate", "--checkpoint", folder, "--data", phantom_folder, "--split", "val",
            "--record",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert "keeps no black box" in json.loads(result.stdout)["baselines"]
        assert "black_box" not in json.loads(result.stdout)
        assert "95 % interval" in (folder / "README.md").read_text(encoding="utf-8")

    def test_training_measures_the_baselines_too(self, checkpoint):
        metrics = json.loads((checkpoint / "metrics.json").read_text())
        for key in ("black_box_macro_f1", "concept_bottleneck_macro_f1"):
            assert f"{metrics['test'][key]:.4f}" in (checkpoint / "README.md").read_text()

    def test_a_split_that_is_not_there(self, checkpoint, phantom_folder):
        message = refused(
            "evaluate", "--checkpoint", checkpoint, "--data", phantom_folder, "--split", "tset"
        )
        assert "No image in split 'tset'" in message

    def test_figures_that_can_not_be_written(self, checkpoint, phantom_folder, tmp_path):
        (tmp_path / "file").write_text("in the way")
        refused(
            "evaluate", "--checkpoint", checkpoint, "--data", phantom_folder, "--split", "val",
            "--json", tmp_path / "file" / "figures.json",
        )  # fmt: skip

    def test_a_checkpoint_that_is_none(self, phantom_folder, tmp_path):
        message = refused("evaluate", "--checkpoint", tmp_path, "--data", phantom_folder)
        assert "no checkpoint" in message


class TestTrainRefusals:
    def test_a_broken_data_set_is_refused_before_training_with_every_fault(self, broken, tmp_path):
        message = refused("train", "--data", broken, "--out", tmp_path / "model", *QUICK)
        assert "labels.csv, row 3, column diagnosis: found 'wart'" in message
        assert "labels.csv, row 6, column streaks: found 'maybe'" in message
        assert "nowhere" in message
        assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]

    def test_a_picture_that_can_not_be_decoded_is_found_before_training(
        self, phantom_folder, tmp_path
    ):
        folder = tmp_path / "data"
        (folder / "images").mkdir(parents=True)
        for name in ("dataset.json", "labels.csv"):
            (folder / name).write_bytes((phantom_folder / name).read_bytes())
        for path in (phantom_folder / "images").rglob("*.jpg"):
            (folder / "images" / path.name).write_bytes(path.read_bytes())
        cut = next((folder / "images").iterdir())
        cut.write_bytes(cut.read_bytes()[:300])
        message = refused("train", "--data", folder, "--out", tmp_path / "model", *QUICK)
        assert cut.name in message
        assert not (tmp_path / ".model.work").exists()

    def test_no_data(self, tmp_path):
        message = refused("train", "--data", tmp_path / "nowhere", "--out", tmp_path / "m", *QUICK)
        assert "no such folder" in message

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--preset", "slow"), "There is no preset 'slow'"),
            (("--weights", "mine"), "imagenet or random"),
            (("--holdout", "1"), "from 0 to 1"),
            (("--holdout", "-0.1"), "from 0 to 1"),
            (("--holdout", "nan"), "from 0 to 1"),
            (("--backbone", "no_such_net"), "timm has no model 'no_such_net'"),
            (("--backbone", "test_vit", "--output-stride", "8"), "not 8"),
            (("--output-stride", "7"), "7 px"),
            (("--output-stride", "0"), "at least 1"),
            (("--epochs", "0"), "epochs is 0"),
            (("--epochs", "-3"), "epochs is -3"),
            (("--region-weight", "-1"), "region_weight is -1.0"),
            (("--region-weight", "nan"), "region_weight is nan"),
            (("--lesion-weight", "-2"), "lesion_weight is -2.0"),
            (("--select-on", "nowhere"), "Split 'nowhere' can't be selected on"),
        ],
    )
    def test_settings_no_run_can_have(self, phantom_folder, tmp_path, arguments, said):
        chosen = ("train", "--data", phantom_folder, "--out", tmp_path / "model", *QUICK)
        message = refused(*chosen, *arguments)
        assert said in message
        assert len(message.strip().splitlines()) == 1
        assert not (tmp_path / "model").exists()

    @pytest.mark.parametrize("option", ["--epochs", "--seed", "--holdout"])
    def test_words_where_numbers_belong(self, phantom_folder, tmp_path, option):
        assert option in refused(
            "train", "--data", phantom_folder, "--out", tmp_path / "model", option, "many"
        )

    def test_a_folder_of_something_else(self, phantom_folder, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        message = refused("train", "--data", phantom_folder, "--out", tmp_path, *QUICK)
        assert "holds other files" in message
        assert (tmp_path / "thesis.txt").read_text() == "years of work"


class TestCrossvalidate:
    def test_it_prints_a_line_a_fold_and_writes_everything(self, phantom_folder, tmp_path):
        command = (
            "crossvalidate", "--data", phantom_folder, "--work", tmp_path / "work", *QUICK,
            "--folds", 2, "--region-weight", 0.5, "--lesion-weight", 0.25, "--select-on", "val",
            "--json", tmp_path / "figures.json", "--picture", tmp_path / "curves.png",
        )  # fmt: skip
        first, again = invoke(*command), invoke(*command)
        assert first.exit_code == 0, first.output
        figures = json.loads((tmp_path / "figures.json").read_text())
        assert len(figures["by_fold"]) == figures["protocol"]["folds"] == 2
        recipe = figures["protocol"]["recipe"]
        assert (recipe["region_weight"], recipe["lesion_weight"]) == (0.5, 0.25)
        assert recipe["select_on"] == "val"
        assert "selected on split val" in figures["protocol"]["words"]
        assert f"CSR {figures['pooled']['macro_f1']:.4f}" in first.stdout
        assert len(again.stdout.splitlines()) == 33
        assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
        assert first.stdout.endswith(again.stdout)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--preset", "slow"), "There is no preset 'slow'"),
            (("--folds", 1), "expected 2"),
            (("--weights", "mine"), "imagenet or random"),
            (("--select-on", "train"), "Split 'train' can't be selected on"),
        ],
    )
    def test_settings_no_run_can_have(self, phantom_folder, tmp_path, arguments, said):
        chosen = ("crossvalidate", "--data", phantom_folder, "--work", tmp_path / "work", *QUICK)
        assert said in refused(*chosen, *arguments)
        assert not (tmp_path / "work").exists()


class TestPhantom:
    def test_it_renders_and_says_what_can_be_reached_at_best(self, tmp_path):
        out = tmp_path / "phantom"
        result = invoke("phantom", "--out", out, "--count", 4, "--seed", 5)
        assert result.exit_code == 0, result.output
        best = json.loads((out / "dataset.json").read_text())["bayes_optimal_macro_f1"]
        assert f"{best:.4f}"[:5] in result.stdout
        assert "macro-F1" in result.stdout
        assert len(list((out / "images").rglob("*.jpg"))) == 4

    def test_all_images_may_go_to_one_split(self, tmp_path):
        out = tmp_path / "phantom"
        arguments = ("--count", 3, "--val-fraction", 0, "--test-fraction", 1)
        assert invoke("phantom", "--out", out, *arguments).exit_code == 0
        assert [path.name for path in (out / "images").iterdir()] == ["test"]

    def test_a_shortcut_is_handed_on(self, tmp_path):
        out = tmp_path / "phantom"
        result = invoke("phantom", "--out", out, "--count", 2, "--shortcut", "ruler:melanoma:1:0")
        assert result.exit_code == 0, result.output
        shortcut = json.loads((out / "dataset.json").read_text())["shortcut"]
        assert shortcut["artefact"] == "ruler"

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--count", 0),
            ("--count", -1),
            ("--count", 10**9),
            ("--count", 2, "--seed", -1),
            ("--count", 2, "--test-fraction", 2),
            ("--count", 2, "--val-fraction", "nan"),
            ("--count", 2, "--shortcut", "ruler"),
            ("--count", 2, "--shortcut", "ruler:wart:1:0"),
        ],
    )
    def test_what_can_not_be_rendered(self, tmp_path, arguments):
        refused("phantom", "--out", tmp_path / "phantom", *arguments)
        assert not (tmp_path / "phantom").exists()

    def test_a_folder_that_is_not_empty(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("years of work")
        assert "not an empty folder" in refused("phantom", "--out", tmp_path, "--count", 2)
        assert (tmp_path / "thesis.txt").exists()


class TestProgram:
    def test_help_names_every_command(self):
        result = invoke("--help")
        assert result.exit_code == 0
        for command in ("train", "evaluate", "calibrate", "answers", "crossvalidate", "phantom"):
            assert command in result.output

    def test_it_runs_as_a_module_and_ends_with_code_2(self, tmp_path):
        result = subprocess.run(
            [sys.executable, "-m", "csr_core", "phantom", "--out", tmp_path / "p", "--count", "0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 2
        assert "count is 0" in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
