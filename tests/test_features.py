"""Cached features are what the network computes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from quick_training import tiny_network

import csr_core
from csr_core.datasets import load_image
from csr_core.training.features import (
    FrozenFeatures,
    cache_features,
    present_vectors,
    score_images,
)


class TestFeatures:
    @pytest.fixture(scope="class")
    @staticmethod
    def cached(phantom, tmp_path_factory):
        network = tiny_network(concepts=8, classes=3).eval()
        some = phantom.select(range(35))
        return network, some, cache_features(network, some, tmp_path_factory.mktemp("f") / "f.npy")

    def test_cached_scores_are_those_of_encoding(self, cached):
        network, some, features = cached
        scores, patches = score_images(network, features)
        for row in (0, 34):
            square = csr_core.imaging.to_square(load_image(some, row), 64)
            with torch.inference_mode():
                output = network(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)
            expected = output.similarity_scores[0].numpy()
            # Feature maps are kept in half precision.
            assert np.abs(scores[row] - expected).max() < 5e-3
            at_patch = np.take_along_axis(
                output.similarity_maps[0].flatten(2).numpy(), patches[row][:, :, None], axis=2
            )
            assert np.abs(at_patch[:, :, 0] - expected).max() < 5e-3

    def test_pooled_quantities_are_those_of_the_network(self, cached):
        network, some, features = cached
        square = csr_core.imaging.to_square(load_image(some, 33), 64)
        with torch.inference_mode():
            output = network(torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255)
        assert features.pooled[33] == pytest.approx(
            output.features[0].mean(dim=(1, 2)).numpy(), abs=1e-4
        )
        assert features.concept_logits[33] == pytest.approx(
            output.cams[0].mean(dim=(1, 2)).numpy(), abs=1e-4
        )

    def test_only_present_concepts_give_vectors(self, phantom):
        labels = np.array([[1, 0, -1], [-1, -1, 0], [0, 1, 1], [1, 1, 1]], np.int8)
        vectors = np.arange(12, dtype=np.float32).reshape(4, 3, 1)
        features = FrozenFeatures(np.empty(0), vectors, np.empty(0), np.empty(0))
        some = replace(phantom.select(range(4)), concept_labels=labels)
        chosen, concepts = present_vectors(features, some, np.array([0, 1, 2]))
        assert chosen[:, 0].tolist() == [0, 7, 8]
        assert concepts.tolist() == [0, 1, 2]
