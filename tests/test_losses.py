"""Losses against arithmetic done by hand."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from csr_core.losses import (
    concept_similarities,
    masked_concept_loss,
    multi_prototype_contrastive_loss,
)

# Two concepts with two prototypes each; the vector has cosines (1, 0) and (0.6, -0.8) with them.
VECTOR = torch.tensor([[1.0, 0.0]])
PROTOTYPES = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [-0.8, 0.6]]])


class TestMaskedConceptLoss:
    def test_known_labels_are_averaged_and_unknown_ones_left_out(self):
        logits = torch.tensor([[0.0, math.log(3)], [5.0, -1.0]])
        labels = torch.tensor([[1, 0], [-1, -1]])
        # -ln σ(0) = ln 2; -ln(1 - σ(ln 3)) = -ln(1/4) = ln 4; mean over these two
        assert masked_concept_loss(logits, labels).item() == pytest.approx(math.log(8) / 2)

    def test_an_unknown_label_has_no_value_and_no_gradient(self):
        labels = torch.tensor([[1, -1, 0]])
        losses = []
        for unknown in (-30.0, 0.0, 30.0):
            logits = torch.tensor([[0.3, unknown, -0.2]], requires_grad=True)
            loss = masked_concept_loss(logits, labels)
            loss.backward()
            losses.append(loss.item())
            assert logits.grad[0, 1] == 0
            assert logits.grad[0, 0] != 0
        assert losses[0] == losses[1] == losses[2]

    def test_nothing_known_is_zero_with_zero_gradient(self):
        logits = torch.randn(2, 3, requires_grad=True)
        loss = masked_concept_loss(logits, torch.full((2, 3), -1))
        loss.backward()
        assert loss.item() == 0
        assert not logits.grad.any()

    def test_present_labels_are_weighted_by_concept(self):
        logits = torch.zeros(2, 2)
        labels = torch.tensor([[1, 1], [0, 0]])
        weight = torch.tensor([1.0, 4.0])
        # ln 2 · (1 + 4 + 1 + 1) / 4
        assert masked_concept_loss(logits, labels, weight).item() == pytest.approx(
            7 * math.log(2) / 4
        )

    def test_labels_of_any_kind_of_number(self):
        logits = torch.tensor([[0.2, -0.4]])
        values = [
            masked_concept_loss(logits, torch.tensor([[1, -1]], dtype=kind)).item()
            for kind in (torch.int8, torch.int64, torch.float32)
        ]
        assert values[0] == values[1] == values[2]


class TestConceptSimilarities:
    def test_a_soft_assignment_by_hand(self):
        # γ = ln 3 for the first concept: q = softmax(ln 3 · (1, 0)) = (3/4, 1/4), sim = 3/4.
        sims = concept_similarities(VECTOR, PROTOTYPES[:1], gamma=math.log(3))
        assert sims[0].tolist() == pytest.approx([0.75])

    def test_gamma_zero_is_the_mean_and_gamma_1000_the_maximum(self):
        assert concept_similarities(VECTOR, PROTOTYPES, 0.0)[0].tolist() == pytest.approx(
            [0.5, -0.1]
        )
        assert concept_similarities(VECTOR, PROTOTYPES, 1000.0)[0].tolist() == pytest.approx(
            [1.0, 0.6]
        )

    def test_only_the_direction_of_a_prototype_counts(self):
        stretched = PROTOTYPES * torch.tensor([[[0.01], [3.0]], [[7.0], [0.5]]])
        assert torch.allclose(
            concept_similarities(VECTOR, stretched, 5.0),
            concept_similarities(VECTOR, PROTOTYPES, 5.0),
        )


class TestContrastiveLoss:
    def test_the_published_settings_by_hand(self):
        # sim = (1, 0.6), true concept 1, λ = 20, δ = 0.1:
        # -ln[e^(20·0.7) / (e^(20·0.7) + e^(20·1))] = ln(1 + e^6)
        loss = multi_prototype_contrastive_loss(VECTOR, torch.tensor([1]), PROTOTYPES)
        assert loss.item() == pytest.approx(math.log(1 + math.exp(6)), rel=1e-5)

    def test_lambda_gamma_and_delta_by_hand(self):
        # γ = 0: sim = (0.5, -0.1); λ = 2, δ = 0.3, true concept 0:
        # ln(1 + e^(2·(-0.1) - 2·(0.5 + 0.3))) = ln(1 + e^-1.8)
        loss = multi_prototype_contrastive_loss(
            VECTOR, torch.tensor([0]), PROTOTYPES, gamma=0.0, lam=2.0, delta=0.3
        )
        assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.8)), rel=1e-5)

    def test_the_margin_belongs_to_the_true_concept_alone(self):
        def loss(concept, delta):
            return multi_prototype_contrastive_loss(
                VECTOR, torch.tensor([concept]), PROTOTYPES, delta=delta
            ).item()

        # λ (0.6 - 1) = -8, and the margin takes λδ = 2 from it.
        assert loss(0, 0.0) == pytest.approx(math.log(1 + math.exp(-8)), rel=1e-4)
        assert loss(0, 0.1) == pytest.approx(math.log(1 + math.exp(-10)), rel=1e-3, abs=1e-7)

    def test_concepts_are_weighted_in_a_weighted_mean(self):
        vectors = VECTOR.repeat(2, 1)
        both = multi_prototype_contrastive_loss(
            vectors, torch.tensor([0, 1]), PROTOTYPES, concept_weight=torch.tensor([1.0, 3.0])
        )
        one, other = math.log(1 + math.exp(-10)), math.log(1 + math.exp(6))
        assert both.item() == pytest.approx((one + 3 * other) / 4, rel=1e-5)

    def test_only_the_winning_prototype_of_each_concept_learns(self):
        prototypes = PROTOTYPES.clone().requires_grad_()
        vector = F.normalize(torch.tensor([[1.0, 0.1]]), dim=-1)
        multi_prototype_contrastive_loss(vector, torch.tensor([1]), prototypes).backward()
        moved = prototypes.grad.abs().sum(dim=-1) > 1e-9
        assert moved.tolist() == [[True, False], [True, False]]

    def test_a_step_along_the_gradient_pulls_the_own_concept_nearer(self):
        prototypes = PROTOTYPES.clone().requires_grad_()
        loss = multi_prototype_contrastive_loss(VECTOR, torch.tensor([1]), prototypes)
        loss.backward()
        stepped = prototypes.detach() - 0.01 * prototypes.grad
        before = concept_similarities(VECTOR, PROTOTYPES, 1000.0)[0]
        after = concept_similarities(VECTOR, stepped, 1000.0)[0]
        assert after[1] > before[1]
