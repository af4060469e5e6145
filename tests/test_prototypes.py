"""Stage 2: whitening, k-means, prototypes that live."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from quick_training import QUICK, tiny_network

from csr_core.atlas import prototype_hits
from csr_core.network import Projector
from csr_core.training import prototypes as stage2


class TestStage2:
    def test_whitening_by_hand(self):
        network = SimpleNamespace(projector=Projector(2, 2).eval())
        vectors = np.array([[7, 1], [7, -1], [3, 1], [3, -1]], np.float32)
        stage2.whiten(network, vectors, 0.1)
        linear = network.projector.whitening(torch.tensor([7.0, 1.0]).view(1, 2, 1, 1)).flatten()
        # Mean (5, 0), variances 16/3 and 4/3, shrunk by a tenth of their mean 10/3.
        expected = [2 / math.sqrt(17 / 3), 1 / math.sqrt(5 / 3)]
        assert linear.tolist() == pytest.approx(expected, rel=1e-5)
        # Shrunk by all of their mean the stronger direction stays the stronger one.
        stage2.whiten(network, vectors, 1.0)
        weight = network.projector.whitening.weight[:, :, 0, 0]
        expected = [1 / math.sqrt(26 / 3), 1 / math.sqrt(14 / 3)]
        assert weight.diag().tolist() == pytest.approx(expected, rel=1e-5)

    def test_whitening_keeps_the_strongest_directions(self):
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(500, 3)).astype(np.float32) * (0.1, 5.0, 1.0)
        network = SimpleNamespace(projector=Projector(3, 2))
        stage2.whiten(network, vectors, 0.1)
        weight = network.projector.whitening.weight[:, :, 0, 0].abs()
        assert weight.argmax(dim=1).tolist() == [1, 2]

    @pytest.fixture
    def clustered(self):
        """A network whose projector is plain normalisation, and vectors in two concepts."""
        network = tiny_network(prototypes=3, projection=4)
        projector = network.projector
        projector.whitening = torch.nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            projector.whitening.weight.copy_(torch.eye(4)[:, :, None, None])
            projector.whitening.bias.zero_()
        rng = np.random.default_rng(0)
        centres = np.concatenate([np.eye(4), -np.eye(4)[:2]])  # three of each concept
        vectors = np.repeat(centres, 20, axis=0) + rng.normal(scale=0.02, size=(120, 4))
        return network, vectors.astype(np.float32), np.repeat([0, 1], 60), centres

    def test_prototypes_start_at_the_k_means_centres_of_their_concept(self, clustered):
        network, vectors, concepts, centres = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        prototypes = network.prototypes.detach().numpy()
        for concept in (0, 1):
            cosines = prototypes[concept] @ centres[concept * 3 : concept * 3 + 3].T
            assert sorted(cosines.argmax(axis=1)) == [0, 1, 2]
            assert cosines.max(axis=1) == pytest.approx([1, 1, 1], abs=1e-3)
        assert np.linalg.norm(prototypes, axis=2) == pytest.approx(np.ones((2, 3)), abs=1e-5)

    def test_fewer_vectors_than_prototypes_are_enough(self, clustered):
        network, vectors, _, _ = clustered
        stage2.initialise_prototypes(network, vectors[[0, 30, 119]], np.array([0, 0, 1]), seed=0)
        assert network.prototypes.isfinite().all()
        projected = stage2.project_vectors(network, vectors[[0, 30, 119]])
        hits = prototype_hits(projected, np.array([0, 0, 1]), network.prototypes.detach().numpy())
        assert (hits > 0).sum(axis=1).tolist() == [2, 1]

    def test_dead_prototypes_are_placed_on_vectors_of_their_concept_that_others_miss(
        self, clustered
    ):
        network, vectors, concepts, centres = clustered
        with torch.no_grad():
            # Both living prototypes of concept 0 sit in two clusters, the dead one faces away.
            network.prototypes[0] = torch.tensor(np.stack([centres[0], centres[1], -centres[2]]))
            network.prototypes[1] = torch.tensor(centres[3:])
        projected = stage2.project_vectors(network, vectors)
        before = network.prototypes.detach().clone()
        assert prototype_hits(projected, concepts, before.numpy())[0, 2] == 0
        stage2._reseed_dead(network, vectors, concepts, np.random.default_rng(0))
        after = network.prototypes.detach()
        hits = prototype_hits(projected, concepts, after.numpy())
        assert (hits > 0).all()
        assert after[0, 2] @ torch.tensor(centres[2], dtype=torch.float32) > 0.9
        assert torch.equal(after[0, :2], before[0, :2])
        assert torch.equal(after[1], before[1])

    @pytest.mark.parametrize(
        "checks",
        [
            [[0.8, 0.6, 0.7], [0.9, 0.7, 0.8], [0.8, 0.6, 0.7]],
            # Better on the whole, but one image worse: mean fall 0.1, its standard error 0.1.
            [[0.8, 0.6, 0.7], [0.9, 0.4, 0.5], [0.8, 0.7, 0.7]],
            [[], [], []],
        ],
    )
    def test_k_means_is_kept_unless_validation_is_surely_better(self, clustered, checks):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        losses = iter(checks)
        figures = stage2.train_prototypes(
            network,
            vectors,
            concepts,
            lambda: np.array(next(losses)),
            replace(QUICK, prototype_epochs=8),
            0,
        )
        assert figures["epoch"] == 0
        assert figures["validation_loss"] == figures["validation_loss_before"]
        assert figures["validation_loss"] == pytest.approx(0.7 if checks[0] else 0)
        after = network.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)

    def test_a_fall_is_sure_from_two_standard_errors(self):
        before = np.array([1.0, 1.0, 1.0, 1.0])
        # Falls of 0.3, 0.3, 0.1 and 0.1: mean 0.2, standard error 0.0577.
        assert stage2.surely_lower(np.array([0.7, 0.7, 0.9, 0.9]), before)
        # Falls of 0.3, 0.3, 0.1 and -0.3: mean 0.1, standard error 0.1414.
        assert not stage2.surely_lower(np.array([0.7, 0.7, 0.9, 1.3]), before)
        assert not stage2.surely_lower(before, before)
        assert not stage2.surely_lower(before[:1] - 1, before[:1])

    def test_the_best_check_is_kept(self, clustered):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        seen = []

        def judge():
            seen.append(network.prototypes.detach().clone())
            return np.full(3, [0.9, 0.5, 0.7][len(seen) - 1])

        figures = stage2.train_prototypes(
            network, vectors, concepts, judge, replace(QUICK, prototype_epochs=8), 0
        )
        assert (figures["epoch"], figures["validation_loss"]) == (4, 0.5)
        assert torch.equal(network.prototypes, seen[1])
        assert not torch.equal(seen[1], seen[2])
        assert not torch.equal(seen[1], seen[0])

    def test_backbone_and_concept_head_stay_frozen(self, clustered):
        network, vectors, concepts, _ = clustered
        stage2.initialise_prototypes(network, vectors, concepts, seed=0)
        frozen = {
            key: value.clone()
            for key, value in network.state_dict().items()
            if key.startswith(("backbone.", "concept_head."))
        }
        checks = iter(np.full(3, float(loss)) for loss in range(10, 0, -1))
        stage2.train_prototypes(network, vectors, concepts, lambda: next(checks), QUICK, 0)
        after = network.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in frozen.items())

    def test_prototypes_that_died_are_alive_after_training(self, clustered):
        network, vectors, concepts, centres = clustered
        with torch.no_grad():
            network.prototypes[:] = torch.tensor(np.stack([centres[:1].repeat(3, 0), centres[3:]]))
            network.prototypes[0, 1:] = -network.prototypes[0, 1:]
        checks = iter(np.full(3, float(loss)) for loss in range(10, 0, -1))
        figures = stage2.train_prototypes(
            network, vectors, concepts, lambda: next(checks), replace(QUICK, prototype_epochs=4), 0
        )
        assert figures["alive"] == 1
        assert np.isfinite(F.normalize(network.prototypes.detach(), dim=-1).numpy()).all()
