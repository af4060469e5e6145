"""Stochastic depth in stage 1."""

import pytest
import timm
import torch
from torch import nn

from csr_core.training.drop_path import DropPaths


class Block(nn.Module):
    """As timm's blocks are: a residual branch, and a place for what scales it."""

    def __init__(self):
        super().__init__()
        self.drop_path = nn.Identity()

    def forward(self, x):
        return x + self.drop_path(torch.ones_like(x))


@pytest.fixture
def model():
    return nn.Sequential(Block(), Block())


def output(model, size):
    return model(torch.zeros(size, 1, 1, 1)).flatten()


class TestDropPaths:
    def test_images_skip_blocks_and_the_others_make_up_for_it(self, model):
        paths = DropPaths(model, 0.5)
        paths.draw(4000, slice(0, 4000), torch.Generator().manual_seed(0))
        out = output(model.train(), 4000)
        # The first block is never skipped; the second, at half of 0.5, by a quarter of the images.
        assert sorted(set(out.tolist())) == pytest.approx([1, 1 + 1 / 0.75])
        assert (out == 1).float().mean() == pytest.approx(0.25, abs=0.03)
        assert out.mean() == pytest.approx(2, abs=0.05)

    def test_shares_of_a_batch_see_what_the_batch_sees(self, model):
        paths = DropPaths(model.train(), 0.9)

        def drawn(own):
            paths.draw(64, own, torch.Generator().manual_seed(3))
            return output(model, own.stop - own.start)

        whole = drawn(slice(0, 64))
        assert torch.equal(torch.cat([drawn(slice(0, 24)), drawn(slice(24, 64))]), whole)

    def test_nothing_is_skipped_in_use_at_rate_0_or_once_removed(self, model):
        paths = DropPaths(model, 0.9)
        paths.draw(8, slice(0, 8), torch.Generator().manual_seed(0))
        assert output(model.eval(), 8).eq(2).all()
        paths.remove()
        assert isinstance(model[1].drop_path, nn.Identity)
        assert output(model.train(), 8).eq(2).all()
        DropPaths(model, 0.0).draw(8, slice(0, 8), torch.Generator().manual_seed(0))
        assert output(model, 8).eq(2).all()

    @pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_convnext"])
    def test_backbones_of_timm_have_such_blocks(self, name):
        backbone = timm.create_model(name, features_only=True).train()
        image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        before = backbone(image)[-1]
        keys = list(backbone.state_dict())
        paths = DropPaths(backbone, 0.5)
        paths.draw(2, slice(0, 2), torch.Generator().manual_seed(1))
        assert list(backbone.state_dict()) == keys
        assert not torch.equal(backbone(image)[-1], before)
