"""Region supervision."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from csr_core.datasets import lesion_mask
from csr_core.training.regions import (
    RegionLoss,
    Regions,
    lesion_loss,
    read_lesions,
    read_regions,
    region_precision,
)


class TestRegions:
    def loss(self, cams, masks, known, views=None):
        same = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(cams), 2, 3)
        return RegionLoss(cams.shape[1])(cams, masks, known, same if views is None else views)

    def test_masks_are_read_and_absent_concepts_are_seen_nowhere(self, phantom):
        regions = read_regions(phantom.select(range(12)))
        labels = phantom.concept_labels[:12]
        assert regions.known.all()
        assert (regions.masks.any(axis=(2, 3)) == (labels == 1)).all()

    def test_a_present_concept_without_a_region_is_unknown(self, phantom, tmp_path):
        regions = read_regions(replace(phantom.select(range(12)), root=tmp_path))
        assert (regions.known == (phantom.concept_labels[:12] == 0)).all()

    def test_by_hand(self):
        # Two by two patches; the upper left one is the region. logit = 1 · cam - 2.
        masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        masks[:, :, :32, :32] = True
        cams = torch.tensor([[[[3.0, 2.0], [2.0, 2.0]]]])
        known = torch.ones(1, 1, dtype=torch.bool)
        inside = 6 * math.log(1 + math.exp(-1))  # weight 6, logit 1, target 1
        outside = math.log(2)  # logit 0, target 0
        expected = (inside + 3 * outside) / 4
        assert self.loss(cams, masks, known).item() == pytest.approx(expected, rel=1e-5)

    def test_unknown_regions_carry_no_gradient(self):
        cams = torch.randn(2, 3, 4, 4, requires_grad=True)
        masks = torch.ones(2, 3, 64, 64, dtype=torch.bool)
        known = torch.tensor([[True, False, True], [False, False, True]])
        self.loss(cams, masks, known).backward()
        assert (cams.grad.abs().sum(dim=(2, 3)) > 0).equal(known)

    def test_regions_are_turned_with_the_image(self):
        masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        masks[:, :, :, :32] = True
        mirrored = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
        left = torch.tensor([[[[9.0, -9.0], [9.0, -9.0]]]])
        known = torch.ones(1, 1, dtype=torch.bool)
        assert self.loss(left, masks, known) < 0.01
        assert self.loss(left, masks, known, mirrored) > 5
        assert self.loss(left.flip(-1), masks, known, mirrored) < 0.01


class TestLesions:
    def loss(self, logits, masks, known):
        same = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(logits), 2, 3)
        return lesion_loss(logits, masks, known, same)

    def test_outlines_are_read_and_missing_ones_unknown(self, phantom, tmp_path):
        lesions = read_lesions(phantom.select(range(3)))
        assert lesions.known.all()
        for row, image_id in enumerate(phantom.image_ids[:3]):
            assert np.array_equal(lesions.masks[row, 0], lesion_mask(phantom, image_id, 64))
        assert not read_lesions(replace(phantom.select(range(3)), root=tmp_path)).known.any()

    def test_by_hand(self):
        # Two by two patches: the upper ones lie in the lesion, the lower left one half.
        masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        masks[:, :, :32] = True
        masks[:, :, 32:, :16] = True
        logits = torch.tensor([[[[0.0, 3.0], [1.0, 0.0]]]])
        # -log p of logits 0 and 3; half of logits 1 and -1 each; of logit 0 that it is not.
        losses = [
            math.log(2),
            math.log(1 + math.exp(-3)),
            (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2,
            math.log(2),
        ]
        found = self.loss(logits, masks, torch.ones(1, 1, dtype=torch.bool))
        assert found.item() == pytest.approx(sum(losses) / 4, rel=1e-5)

    def test_unknown_outlines_carry_no_gradient(self):
        logits = torch.randn(2, 1, 4, 4, requires_grad=True)
        masks = torch.ones(2, 1, 64, 64, dtype=torch.bool)
        self.loss(logits, masks, torch.tensor([[True], [False]])).backward()
        assert (logits.grad.abs().sum(dim=(1, 2, 3)) > 0).tolist() == [True, False]
        assert self.loss(logits, masks, torch.zeros(2, 1, dtype=torch.bool)) == 0


class TestRegionPrecision:
    masks = np.zeros((1, 2, 64, 64), bool)
    masks[:, 0, :32, :32] = True

    def test_by_hand(self):
        # One of four patches is inside, and ranked second: a precision of 1/2.
        cams = torch.tensor([[[[0.8, 0.1], [0.9, 0.2]], [[0.0, 0.0], [0.0, 0.0]]]])
        known = np.ones((1, 2), bool)
        assert region_precision(cams, Regions(self.masks, known)) == pytest.approx(0.5)
        assert region_precision(-cams, Regions(self.masks, known)) == pytest.approx(1 / 3)

    def test_without_a_known_region_there_is_none(self):
        cams = torch.zeros(1, 2, 2, 2)
        assert region_precision(cams, Regions(self.masks, np.zeros((1, 2), bool))) == 0
