"""Many images at a time give what one at a time gives."""

from dataclasses import replace

import numpy as np
import pytest

import csr_core
from csr_core import inference
from csr_core.datasets import load_dataset, load_image
from csr_core.imaging import ImageError
from csr_core.inference import run_network, square_batches

ROWS = np.array([7, 2, 30, 11, 5])


@pytest.fixture(scope="module")
def dataset(phantom_folder):
    return load_dataset(phantom_folder)


def test_outputs_are_those_of_encoding_and_reasoning(tiny_checkpoints, dataset, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 2)
    reasoner = csr_core.load(tiny_checkpoints / "first")
    outputs = run_network(reasoner.network, dataset, ROWS)
    for index, row in enumerate(ROWS):
        case = reasoner.encode(load_image(dataset, row))
        verdict = reasoner.reason(case)
        assert np.allclose(outputs.scores[index], case.similarity_scores, atol=1e-5)
        assert np.allclose(outputs.concept_maps[index], reasoner.concept_maps(case), atol=1e-5)
        assert np.allclose(outputs.logits[index], verdict.logits, rtol=1e-4, atol=1e-4)
        flat = case.similarity_maps.reshape(*case.similarity_scores.shape, -1)
        found = np.take_along_axis(flat, outputs.peaks[index][..., None], axis=-1)[..., 0]
        assert np.allclose(found, case.similarity_scores, atol=1e-5)


def test_pooled_features_and_concept_logits_agree_with_each_other(tiny_checkpoints, dataset):
    network = csr_core.load(tiny_checkpoints / "first").network
    outputs = run_network(network, dataset, ROWS)
    # The concept head is linear: its mean over patches is what it makes of the mean patch.
    weight = network.concept_head.weight[:, :, 0, 0].numpy()
    assert np.allclose(outputs.concept_logits, outputs.pooled @ weight.T, atol=1e-4)


@pytest.mark.parametrize(("batch", "sizes"), [(2, [2, 2, 1]), (5, [5]), (16, [5])])
def test_batches_hold_every_image_once_and_in_order(dataset, monkeypatch, batch, sizes):
    monkeypatch.setattr(inference, "BATCH", batch)
    images = list(square_batches(dataset, ROWS, 64))
    assert [len(image) for image in images] == sizes
    pixels = np.concatenate([image.numpy() for image in images])
    for row, image in zip(ROWS, pixels, strict=True):
        assert np.allclose(image.transpose(1, 2, 0) * 255, load_image(dataset, row), atol=1e-3)


def test_an_image_that_is_gone_is_named(dataset, tmp_path, monkeypatch):
    paths = list(dataset.image_paths)
    paths[30] = tmp_path / "gone.jpg"
    with pytest.raises(ImageError, match=dataset.image_ids[30]):
        list(square_batches(replace(dataset, image_paths=tuple(paths)), ROWS, 64))
