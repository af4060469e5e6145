"""Quick gradients of depthwise convolutions: the same numbers."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from csr_core.training.depthwise import quick_depthwise


def gradients(layer, x, half=False):
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        out = layer(x)
    weights = torch.linspace(-1, 1, out.numel()).view(out.shape)
    layer.zero_grad()
    (out * weights).sum().backward()
    return out.detach(), x.grad, *(p.grad.clone() for p in layer.parameters())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 5, padding=4, dilation=2, groups=6, bias=False),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, stride=2, groups=6),
        nn.Conv2d(6, 6, 3, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, padding=3, dilation=3, groups=6),
        Conv2dSame(6, 6, 3, stride=2, groups=6),
    ],
    ids=["plain", "dilated", "dilated with stride", "unpadded", "uneven", "same"],
)
def test_values_and_gradients_are_the_same(layer):
    x = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    for half in (False, True):
        expected = gradients(layer, x, half)
        with quick_depthwise(nn.Sequential(layer)):
            assert "forward" in vars(layer)
            found = gradients(layer, x, half)
        tolerance = {"rtol": 0.05, "atol": 0.05} if half else {"rtol": 1e-5, "atol": 1e-5}
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(one, other, **tolerance)
        assert expected[0].dtype == found[0].dtype


def test_a_model_is_as_before_afterwards_and_others_are_left_alone():
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3, groups=4))
    keys = list(model.state_dict())
    with pytest.raises(RuntimeError), quick_depthwise(model):
        assert ["forward" in vars(layer) for layer in model] == [True, False]
        assert list(model.state_dict()) == keys
        raise RuntimeError
    assert not any("forward" in vars(layer) for layer in model)
