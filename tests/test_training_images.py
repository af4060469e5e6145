"""Images on their way into stage 1."""

import numpy as np
import pytest
import torch

from csr_core.training.images import (
    batches,
    image_batches,
    random_colours,
    random_views,
    recolour,
    warp,
)


class TestImages:
    def test_batches_cover_every_row_once(self):
        rows = np.arange(3, 24)
        plain, shuffled = batches(rows, 8), batches(rows, 8, torch.Generator().manual_seed(0))
        assert [len(part) for part in plain] == [8, 8, 5]
        assert np.concatenate(plain).tolist() == rows.tolist()
        assert sorted(np.concatenate(shuffled)) == rows.tolist()
        assert np.concatenate(shuffled).tolist() != rows.tolist()

    def test_images_come_in_the_order_of_the_batch(self):
        images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3) * 51
        (batch,) = image_batches(images, [np.array([4, 0, 2])])
        assert batch.shape == (3, 3, 1, 1)
        assert batch[:, 0, 0, 0].tolist() == pytest.approx([0.8, 0.0, 0.4])

    @staticmethod
    def augmented(image, any_orientation, seed):
        generator = torch.Generator().manual_seed(seed)
        views = random_views(len(image), any_orientation, generator)
        colours = random_colours(len(image), generator)
        return recolour(warp(image, views, 32), colours)

    @pytest.mark.parametrize("any_orientation", [True, False])
    def test_augmented_images_are_images(self, any_orientation):
        image = torch.rand(6, 3, 40, 40)
        views = [self.augmented(image, any_orientation, seed) for seed in (0, 0, 1)]
        assert views[0].shape == (6, 3, 32, 32)
        assert 0 <= views[0].min() <= views[0].max() <= 1
        assert torch.equal(views[0], views[1])
        assert not torch.equal(views[0], views[2])

    def test_upright_images_stay_upright(self):
        image = torch.zeros(16, 3, 64, 64)
        image[:, :, :32] = 1  # bright above, dark below
        upright = self.augmented(image, False, 0)
        assert (
            upright[:, :, :6].mean(dim=(1, 2, 3)) > upright[:, :, -6:].mean(dim=(1, 2, 3))
        ).all()
        turned = self.augmented(image, True, 0)
        above, below = turned[:, :, :6].mean(dim=(1, 2, 3)), turned[:, :, -6:].mean(dim=(1, 2, 3))
        assert (above < below).any()
