"""The baselines of a checkpoint: what is written is read back, what is damaged is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from csr_core.baselines import BASELINES_FILE, Baselines, Layer, read_baselines, write_baselines

CLASSES, CHANNELS, K = 3, 5, 2
NETWORK = SimpleNamespace(
    config=SimpleNamespace(classes=CLASSES, concepts=K),
    concept_head=SimpleNamespace(in_channels=CHANNELS),
)


@pytest.fixture
def baselines() -> Baselines:
    rng = np.random.default_rng(0)
    return Baselines(
        Layer(rng.normal(size=(CLASSES, CHANNELS)), rng.normal(size=CLASSES)),
        Layer(rng.normal(size=(CLASSES, K)), rng.normal(size=CLASSES)),
    )


@pytest.fixture
def folder(baselines, tmp_path):
    write_baselines(baselines, tmp_path / BASELINES_FILE)
    return tmp_path


def test_what_is_written_is_read_back(baselines, folder):
    read = read_baselines(folder, NETWORK)
    for name in ("black_box", "concept_bottleneck"):
        ours, theirs = getattr(baselines, name), getattr(read, name)
        assert np.allclose(ours.weight, theirs.weight, atol=1e-6)
        assert np.allclose(ours.bias, theirs.bias, atol=1e-6)


def test_a_checkpoint_may_keep_none(tmp_path):
    assert read_baselines(tmp_path, NETWORK) is None


def test_the_bottleneck_sees_probabilities_of_concepts_and_the_black_box_features():
    baselines = Baselines(
        Layer(np.array([[1.0], [-1.0]]), np.array([0.0, 0.5])),
        Layer(np.array([[4.0], [0.0]]), np.array([0.0, 1.0])),
    )
    logits = baselines.logits(np.array([[2.0]]), np.array([[0.0]]))
    assert logits["black_box"].tolist() == [[2, -1.5]]
    assert logits["concept_bottleneck"].tolist() == [[2, 1]]  # 4 · sigmoid(0)


@pytest.mark.parametrize("name", ["black_box.weight", "concept_bottleneck.bias"])
@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor[:-1],
        lambda tensor: tensor[None],
        lambda tensor: tensor.astype(np.int64),
        lambda tensor: np.full_like(tensor, np.nan),
        lambda tensor: np.full_like(tensor, np.inf),
        None,
    ],
    ids=["fewer classes", "another rank", "whole numbers", "NaN", "infinite", "missing"],
)
def test_a_layer_that_does_not_fit_is_refused(folder, name, change):
    tensors = load_file(folder / BASELINES_FILE)
    tensor = tensors.pop(name)
    if change is not None:
        tensors[name] = np.ascontiguousarray(change(tensor))
    save_file(tensors, folder / BASELINES_FILE)
    with pytest.raises(ValueError, match=name.split(".")[0]):
        read_baselines(folder, NETWORK)


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x04K\x01.", b"\xff" * 64, (10**9).to_bytes(8, "little") + b"{}"]
)
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    (tmp_path / BASELINES_FILE).write_bytes(data)
    with pytest.raises(ValueError, match="no safetensors file"):
        read_baselines(tmp_path, NETWORK)


def test_a_folder_in_its_place_or_a_file_too_large_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("csr_core.baselines.MAX_BYTES", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read_baselines(folder, NETWORK)
    (tmp_path / "other" / BASELINES_FILE).mkdir(parents=True)
    with pytest.raises(ValueError, match="is no file"):
        read_baselines(tmp_path / "other", NETWORK)
