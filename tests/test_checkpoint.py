"""The checkpoint folder: what is written is read back, and whatever is damaged is refused."""

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import csr_core
from csr_core import Reasoner
from csr_core.atlas import Atlas, AtlasEntry
from csr_core.baselines import BASELINES_FILE, Baselines, Layer
from csr_core.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    round_weights,
    save_checkpoint,
)
from csr_core.evidence import Profiles
from csr_core.network import CSRNetwork, NetworkConfig

CONCEPTS = ("streaks", "blue veil")
CLASSES = ("nevus", "melanoma", "keratosis")
K, M = 2, 3
PICTURE = b"\xff\xd8 a crop"


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = CSRNetwork(
        NetworkConfig(
            K, 3, "test_resnet", image_size=64, prototypes=M, projection=8, mean=(0.4, 0.5, 0.6)
        )
    )
    with torch.no_grad():
        network.task_head.weight.normal_()
        network.task_head.bias.normal_()
        network.task_head.score_mean.fill_(0.1)
        network.task_head.score_deviation.fill_(0.05)
    round_weights(network)
    absent = rng.uniform(-0.2, 0.2, (K, M)).astype(np.float32)
    channels = network.concept_head.in_channels
    entries = [
        [
            AtlasEntry(
                k, m, f"image_{k}{m}", k, m, 0.875, 5 * m, 0.25, Path("veil_1.jpg") if m else None
            )
            for m in range(M)
        ]
        for k in range(K)
    ]
    return Checkpoint(
        network=network.eval(),
        concepts=CONCEPTS,
        classes=CLASSES,
        profiles=Profiles(absent, absent + np.float32(0.25)),
        atlas=Atlas(entries),
        card={"title": "A model", "synthetic": True},
        metrics={"held": {"macro_f1": 0.75}},
        readme="# A model\n",
        baselines=Baselines(
            Layer(rng.normal(size=(3, channels)), rng.normal(size=3)),
            Layer(rng.normal(size=(3, K)), rng.normal(size=3)),
        ),
    )


@pytest.fixture(scope="module")
def pristine(checkpoint, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    save_checkpoint(checkpoint, folder, {"veil_1.jpg": PICTURE})
    return folder


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "model"))


def rewrite(path: Path, change) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(value) or value), encoding="utf-8")


def refused(folder: Path) -> str:
    """The one clear sentence with which a folder is refused."""
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    message = str(error.value)
    assert message
    assert "\n" not in message
    assert len(message) < 500
    return message


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestRoundTrip:
    def test_the_verdict_is_the_same(self, checkpoint, pristine):
        loaded = csr_core.load(pristine)
        original = Reasoner(
            checkpoint.network,
            CONCEPTS,
            CLASSES,
            checkpoint.profiles,
            checkpoint.atlas,
            checkpoint.card,
            loaded.model_hash,
        )
        image = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        case = original.encode(image)
        assert np.array_equal(case.similarity_maps, loaded.encode(image).similarity_maps)
        for edits in ((), (csr_core.Reject(0), csr_core.Focus([(1, 1)]))):
            before, after = original.reason(case, edits), loaded.reason(case, edits)
            # Profiles are written with seven digits.
            assert np.abs(before.logits - after.logits).max() <= 1e-4
            assert np.abs(before.scores - after.scores).max() <= 1e-6

    def test_what_was_loaded_is_written_again_as_it_was(self, pristine, tmp_path):
        save_checkpoint(load_checkpoint(pristine), tmp_path / "again", {"veil_1.jpg": PICTURE})
        assert contents(tmp_path / "again") == contents(pristine)

    def test_everything_known_of_the_model_comes_back(self, checkpoint, pristine):
        loaded = load_checkpoint(pristine)
        assert loaded.network.config == checkpoint.network.config
        assert (loaded.concepts, loaded.classes) == (CONCEPTS, CLASSES)
        assert np.allclose(loaded.profiles.absent, checkpoint.profiles.absent, atol=1e-7)
        assert np.allclose(loaded.profiles.present, checkpoint.profiles.present, atol=1e-7)
        assert loaded.card == checkpoint.card
        assert loaded.metrics == checkpoint.metrics
        assert loaded.readme == checkpoint.readme
        entry = checkpoint.atlas[1, 2]
        picture = pristine / "atlas" / "veil_1.jpg"
        assert loaded.atlas[1, 2] == dataclasses.replace(entry, picture=picture)
        assert picture.read_bytes() == PICTURE
        assert loaded.atlas[1, 0].picture is None
        assert loaded.atlas.alive.tolist() == [[False, True, True]] * 2

    def test_the_baselines_come_back(self, checkpoint, pristine):
        before, after = checkpoint.baselines, load_checkpoint(pristine).baselines
        assert np.allclose(before.black_box.weight, after.black_box.weight, atol=1e-6)
        assert np.allclose(before.concept_bottleneck.bias, after.concept_bottleneck.bias, atol=1e-6)

    def test_a_checkpoint_without_baselines_is_whole(self, checkpoint, tmp_path):
        save_checkpoint(dataclasses.replace(checkpoint, baselines=None), tmp_path / "model")
        assert not (tmp_path / "model" / BASELINES_FILE).exists()
        assert load_checkpoint(tmp_path / "model").baselines is None

    def test_damaged_baselines_are_refused(self, folder):
        (folder / BASELINES_FILE).write_bytes(b"\x00" * 40)
        assert BASELINES_FILE in refused(folder)

    def test_the_hash_is_of_the_weights(self, pristine, folder):
        same, weights = load_checkpoint(folder).model_hash, folder / "model.safetensors"
        assert same == load_checkpoint(pristine).model_hash
        tensors = load_file(weights)
        tensors["task_head.bias"] += 1
        save_file(tensors, weights)
        assert load_checkpoint(folder).model_hash != same

    def test_norms_and_the_task_head_keep_single_precision(self, pristine):
        tensors = load_file(pristine / "model.safetensors")
        for name, tensor in tensors.items():
            if name.startswith("task_head") or "running" in name:
                assert tensor.dtype == torch.float32, name
        assert tensors["prototypes"].dtype == torch.float16

    def test_only_the_files_of_the_format_are_written(self, pristine):
        assert set(contents(pristine)) == {
            "model.safetensors",
            "config.json",
            "calibration.json",
            "baselines.safetensors",
            "metrics.json",
            "README.md",
            "atlas/atlas.json",
            "atlas/veil_1.jpg",
        }

    def test_whoever_may_read_one_file_may_read_all(self, pristine):
        modes = {path.stat().st_mode for path in pristine.rglob("*") if path.is_file()}
        assert len(modes) == 1

    @pytest.mark.parametrize("name", ["metrics.json", "README.md"])
    def test_figures_and_card_may_be_missing(self, folder, name):
        (folder / name).unlink()
        assert load_checkpoint(folder).concepts == CONCEPTS


class TestSaving:
    def test_a_checkpoint_is_replaced(self, checkpoint, folder):
        save_checkpoint(dataclasses.replace(checkpoint, card={"title": "Other"}), folder)
        assert load_checkpoint(folder).card == {"title": "Other"}
        assert not (folder / "atlas" / "veil_1.jpg").exists()
        assert [path.name for path in folder.parent.iterdir()] == ["model"]

    @pytest.mark.parametrize(
        "files",
        [
            {"thesis.txt": "years of work"},
            {"config.json": '{"model_type": "bert"}', "thesis.txt": "years of work"},
            {"config.json": '{"model_type": "bert"}', "model.safetensors": "", "README.md": "mine"},
            {"README.md": "mine"},
            {"config.json": "not JSON"},
        ],
    )
    def test_a_folder_of_something_else_is_refused_and_untouched(self, checkpoint, tmp_path, files):
        target = tmp_path / "mine"
        target.mkdir()
        for name, text in files.items():
            (target / name).write_text(text)
        before = contents(target)
        with pytest.raises(CheckpointError, match="mine holds other files"):
            save_checkpoint(checkpoint, target)
        assert contents(target) == before
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_a_file_in_its_place_is_refused(self, checkpoint, tmp_path):
        (tmp_path / "model").write_text("a file")
        with pytest.raises(CheckpointError):
            save_checkpoint(checkpoint, tmp_path / "model")
        assert (tmp_path / "model").read_text() == "a file"

    def test_an_empty_folder_is_used(self, checkpoint, tmp_path):
        (tmp_path / "model").mkdir()
        save_checkpoint(checkpoint, tmp_path / "model")
        assert load_checkpoint(tmp_path / "model").concepts == CONCEPTS

    @pytest.mark.parametrize(
        "step", ["csr_core.checkpoint.save_file", "csr_core.checkpoint.write_json_atomic"]
    )
    def test_a_save_that_fails_half_way_leaves_the_old_one(
        self, checkpoint, folder, monkeypatch, step
    ):
        before = contents(folder)

        def full(*_):
            raise OSError("no space left on device")

        monkeypatch.setattr(step, full)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(dataclasses.replace(checkpoint, card={}), folder)
        assert contents(folder) == before
        assert [path.name for path in folder.parent.iterdir()] == ["model"]

    def test_a_save_that_fails_at_the_last_step_puts_the_old_one_back(
        self, checkpoint, folder, monkeypatch
    ):
        before, rename = contents(folder), Path.rename

        def refuse_the_new_one(self, target):
            if self.name != "model" and not self.name.endswith(".old"):
                raise OSError("the disk went away")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", refuse_the_new_one)
        with pytest.raises(OSError, match="went away"):
            save_checkpoint(dataclasses.replace(checkpoint, card={}), folder)
        monkeypatch.undo()
        assert contents(folder) == before
        assert [path.name for path in folder.parent.iterdir()] == ["model"]


class TestDamagedFiles:
    def test_a_folder_that_is_none(self, tmp_path):
        assert "no config.json" in refused(tmp_path)
        assert "no config.json" in refused(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["model.safetensors", "calibration.json", "atlas/atlas.json"])
    def test_a_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        assert Path(name).name in refused(folder)

    @pytest.mark.parametrize(
        "name", ["config.json", "calibration.json", "atlas/atlas.json", "metrics.json"]
    )
    @pytest.mark.parametrize(
        "text",
        [b"", b"{", b"[1, 2]", b"null", b'{"a": NaN}', b"\xff\xfe\x00", b"[" * 100_000],
    )
    def test_json_that_is_none_is_named(self, folder, name, text):
        (folder / name).write_bytes(text)
        assert Path(name).name in refused(folder)

    def test_a_file_of_endless_json_is_not_read_whole(self, folder):
        with (folder / "calibration.json").open("wb") as stream:
            stream.truncate(16_000_001)
        assert "larger" in refused(folder)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00" * 100,
            b"\xff" * 100,
            pickle.dumps({"prototypes": [1.0]}),
            b"PK\x03\x04 a zip archive as torch.save writes it",
        ],
    )
    def test_weights_that_are_no_safetensors(self, folder, data):
        (folder / "model.safetensors").write_bytes(data)
        assert "model.safetensors" in refused(folder)

    def test_a_pickle_is_never_run(self, folder):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (folder / "sprung",))

        torch.save({"prototypes": Trap()}, folder / "model.safetensors")
        refused(folder)
        assert not (folder / "sprung").exists()

    @pytest.mark.parametrize("kept", [4, 100, 0.5, 0.999])
    def test_weights_that_were_cut_short(self, folder, kept):
        weights = folder / "model.safetensors"
        data = weights.read_bytes()
        weights.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
        assert "model.safetensors" in refused(folder)

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.update(prototypes=t["prototypes"][:, :2].contiguous()),
            lambda t: t.update({"task_head.weight": t["task_head.weight"][:2].contiguous()}),
            lambda t: t.pop("concept_head.weight"),
            lambda t: t.update(stranger=torch.zeros(2)),
        ],
    )
    def test_weights_of_another_network(self, folder, change):
        weights = folder / "model.safetensors"
        tensors = load_file(weights)
        change(tensors)
        save_file(tensors, weights)
        assert "model.safetensors does not hold the weights" in refused(folder)

    def test_the_tensor_at_fault_is_named(self, folder):
        weights = folder / "model.safetensors"
        tensors = load_file(weights)
        del tensors["prototypes"]
        save_file(tensors, weights)
        assert "prototypes" in refused(folder)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_no_finite_numbers(self, folder, value):
        weights = folder / "model.safetensors"
        tensors = load_file(weights)
        tensors["task_head.bias"][0] = value
        save_file(tensors, weights)
        assert "finite" in refused(folder)

    @pytest.mark.parametrize("value", [0.0, -1.0])
    def test_a_standard_deviation_that_is_none(self, folder, value):
        weights = folder / "model.safetensors"
        tensors = load_file(weights)
        tensors["task_head.score_deviation"][0, 0] = value
        save_file(tensors, weights)
        assert "model.safetensors" in refused(folder)


class TestDamagedCalibration:
    @pytest.mark.parametrize("key", ["absent_profile", "present_profile"])
    @pytest.mark.parametrize(
        "profile",
        [
            None,
            [],
            0.5,
            "profile",
            {},
            [[0.1, 0.2, 0.3]],
            [[0.1, 0.2], [0.3, 0.4]],
            [[0.1, 0.2, 0.3], [0.1, 0.2]],
            [[0.1, 0.2, "x"], [0.1, 0.2, 0.3]],
            [[0.1, 0.2, None], [0.1, 0.2, 0.3]],
            [[0.1, 0.2, 10**400], [0.1, 0.2, 0.3]],
        ],
    )
    def test_a_profile_that_is_no_table_of_numbers(self, folder, key, profile):
        rewrite(folder / "calibration.json", lambda value: value.update({key: profile}))
        assert f"{key} as 2 × 3 numbers" in refused(folder)

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400"])
    def test_a_profile_with_a_number_that_is_none(self, folder, number):
        table = f"[[{number}, 0, 0], [0, 0, 0]]"
        (folder / "calibration.json").write_text(
            f'{{"absent_profile": {table}, "present_profile": {table}}}'
        )
        assert "calibration.json" in refused(folder)

    def test_a_present_profile_below_the_absent_one(self, folder):
        def swap(value):
            return {
                "absent_profile": value["present_profile"],
                "present_profile": value["absent_profile"],
            }

        rewrite(folder / "calibration.json", swap)
        assert "present profile below the absent one" in refused(folder)


class TestHostileConfiguration:
    @pytest.mark.parametrize("version", [None, 0, 2, "1", [1], "x" * 100_000])
    def test_another_format(self, folder, version):
        rewrite(folder / "config.json", lambda value: value.update(format=version))
        assert "config.json has format" in refused(folder)

    @pytest.mark.parametrize("key", ["concepts", "classes"])
    @pytest.mark.parametrize(
        "names",
        [None, [], "names", {}, [1, 2], ["a", "a"], ["a", ""], ["a", "x" * 129], ["a", None]],
    )
    def test_names_that_are_none(self, folder, key, names):
        rewrite(folder / "config.json", lambda value: value.update({key: names}))
        assert f"config.json needs {key}" in refused(folder)

    @pytest.mark.parametrize("key", ["concepts", "classes"])
    def test_as_many_names_as_the_network_has(self, folder, key):
        rewrite(folder / "config.json", lambda value: value[key].append("one more"))
        assert "numbers of concepts and classes differ" in refused(folder)

    @pytest.mark.parametrize("network", [None, [], "tf_efficientnet_lite0", {}, 5])
    def test_no_network_at_all(self, folder, network):
        rewrite(folder / "config.json", lambda value: value.update(network=network))
        assert "config.json describes no network" in refused(folder)

    @pytest.mark.parametrize(
        "values",
        [
            {"backbone": "hf-hub:someone/model"},
            {"backbone": "hf_hub:someone/model"},
            {"backbone": "local-dir:/etc"},
            {"backbone": "../../model"},
            {"backbone": "no_such_net"},
            {"backbone": None},
            {"backbone": ["test_resnet"]},
            {"image_size": 10**9},
            {"image_size": 0},
            {"image_size": -64},
            {"image_size": 64.0},
            {"image_size": "64"},
            {"image_size": 100},
            {"output_stride": 0},
            {"output_stride": 3},
            {"output_stride": True},
            {"mirrored": "no"},
            {"prototypes": 10**9},
            {"prototypes": 0},
            {"projection": 10**9},
            {"concepts": 10**6},
            {"classes": True},
            {"mean": [0.5]},
            {"mean": 0.5},
            {"mean": ["a", "b", "c"]},
            {"mean": None},
            {"mean": [10**400, 0, 0]},
            {"std": [0, 0, 0]},
            {"std": [-1, 1, 1]},
            {"std": [0.5, 0.5, 1e300]},
            {"unknown_setting": 1},
        ],
    )
    def test_values_no_network_has(self, folder, values):
        rewrite(folder / "config.json", lambda value: value["network"].update(values))
        assert "config.json describes no network" in refused(folder)

    def test_many_concepts_with_many_prototypes_are_refused_before_they_take_memory(self, folder):
        def grow(value):
            value["concepts"] = [f"concept {k}" for k in range(1000)]
            value["network"].update(concepts=1000, prototypes=4096, projection=4096)

        rewrite(folder / "config.json", grow)
        assert "config.json describes no network" in refused(folder)

    def test_no_backbone_is_ever_fetched(self, folder, monkeypatch):
        def fetch(*_, **__):
            raise AssertionError("a checkpoint made the program fetch something")

        monkeypatch.setattr("timm.models._builder.load_pretrained", fetch)
        monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
        assert load_checkpoint(folder).concepts == CONCEPTS

    def test_a_card_that_is_none_is_left_out(self, folder):
        rewrite(folder / "config.json", lambda value: value.update(card=["<script>"]))
        assert load_checkpoint(folder).card == {}


class TestDamagedAtlas:
    @pytest.mark.parametrize(
        "picture",
        [
            "../veil_1.jpg",
            "../../secret.jpg",
            "/etc/passwd",
            "a/b.jpg",
            "a\\b.jpg",
            ".hidden.jpg",
            "veil_1.png",
            "veil_1.jpg\n",
            "veil\0.jpg",
            "<img>.jpg",
            "",
            "x" * 200 + ".jpg",
            5,
            ["veil_1.jpg"],
        ],
    )
    def test_a_picture_that_is_no_plain_name(self, folder, picture):
        rewrite(
            folder / "atlas" / "atlas.json",
            lambda value: value["entries"][1].update(picture=picture),
        )
        assert "atlas.json is damaged" in refused(folder)

    @pytest.mark.parametrize(
        "values",
        [
            {"row": 4},
            {"row": -1},
            {"column": 4},
            {"column": 10**30},
            {"row": None},
            {"row": "1"},
            {"row": True},
            {"row": 1.5},
            {"hits": -1},
            {"hits": 0.5},
            {"similarity": "nan"},
            {"similarity": None},
            {"similarity": 10**400},
            {"reliance": []},
            {"concept": 1},
            {"prototype": 0},
        ],
    )
    def test_values_no_entry_has(self, folder, values):
        rewrite(folder / "atlas" / "atlas.json", lambda value: value["entries"][1].update(values))
        assert "atlas.json is damaged" in refused(folder)

    @pytest.mark.parametrize("key", ["row", "similarity"])
    def test_numbers_beyond_all_numbers(self, folder, key):
        path = folder / "atlas" / "atlas.json"
        value = json.loads(path.read_text())
        value["entries"][0][key] = "HUGE"
        path.write_text(json.dumps(value).replace('"HUGE"', "1e400"))
        assert "atlas.json is damaged" in refused(folder)

    @pytest.mark.parametrize(
        "change",
        [
            lambda entries: entries.pop(),
            lambda entries: entries.append(entries[0]),
            lambda entries: entries.reverse(),
            lambda entries: entries.__setitem__(2, None),
            lambda entries: entries.__setitem__(2, "entry"),
            lambda entries: entries.__setitem__(2, [1, 2]),
            lambda entries: entries[2].pop("picture"),
            lambda entries: entries[2].pop("image_id"),
        ],
    )
    def test_entries_that_are_not_one_a_prototype(self, folder, change):
        def damage(value):
            change(value["entries"])

        rewrite(folder / "atlas" / "atlas.json", damage)
        assert "atlas.json" in refused(folder)
