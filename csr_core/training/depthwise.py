"""Depthwise convolutions with quick gradients on processors.

The library's own gradients of a depthwise convolution are slow in bfloat16, and slowest where it is
dilated, as in a backbone whose stride was cut: they took two thirds of a training step. Here they
are computed in float32, and a dilated convolution as plain ones of every second row and column.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn

__all__ = ["quick_depthwise"]


@contextmanager
def quick_depthwise(model: nn.Module) -> Iterator[None]:
    """Give the depthwise convolutions of a model quick gradients for a while.

    Values are the same, gradients but for rounding.

    Args:
        model: on a processor.
    """
    layers = [
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1 and _plain(layer)
    ]
    for layer in layers:
        cast(Any, layer).forward = partial(_forward, layer)
    try:
        yield
    finally:
        for layer in layers:
            del cast(Any, layer).forward


def _plain(layer: nn.Conv2d) -> bool:
    return (
        layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and layer.out_channels == layer.in_channels
    )


def _forward(layer: nn.Conv2d, x: Tensor) -> Tensor:
    padding = layer.padding
    if isinstance(layer, Conv2dSame):
        x = pad_same(x, list(layer.kernel_size), list(layer.stride), list(layer.dilation))
        padding = (0, 0)
    if torch.is_autocast_enabled("cpu"):
        x = x.to(torch.get_autocast_dtype("cpu"))
    out = _Depthwise.apply(x, layer.weight, layer.stride, padding, layer.dilation)
    if layer.bias is not None:
        out = out + layer.bias.to(out.dtype)[:, None, None]
    return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight.to(x.dtype), None, stride, padding, dilation, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        step = _step(x, gradients[0], stride, padding, dilation)
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            _part(gradients[0].float(), step),
            _part(x.float(), step),
            weight,
            None,
            stride,
            [size // step for size in padding],
            [size // step for size in dilation],
            False,
            [0, 0],
            x.shape[1],
            [True, True, False],
        )
        return _join(of_x, step).to(x.dtype), of_weight, None, None, None


def _step(
    x: Tensor,
    out: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> int:
    """Distance of the rows and columns that never meet those between them; 1 if all meet."""
    step = dilation[0]
    apart = (
        dilation == (step, step)
        and stride == (1, 1)
        and x.shape == out.shape
        and not any(size % step for size in (*padding, *x.shape[2:]))
    )
    return step if apart else 1


def _part(x: Tensor, step: int) -> Tensor:
    """Make an image of every `step`th row and column: (B, C, H, W) to (B·step², C, H/step, …)."""
    if step == 1:
        return x
    B, C, H, W = x.shape
    x = x.view(B, C, H // step, step, W // step, step).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(-1, C, H // step, W // step).contiguous(memory_format=torch.channels_last)


def _join(x: Tensor, step: int) -> Tensor:
    """Undo `_part`."""
    if step == 1:
        return x
    _, C, H, W = x.shape
    x = x.view(-1, step, step, C, H, W).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(-1, C, H * step, W * step).contiguous(memory_format=torch.channels_last)
