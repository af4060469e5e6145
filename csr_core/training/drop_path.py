"""Stochastic depth: while a backbone learns, images skip some of its residual blocks by chance."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["DropPaths"]


class DropPaths:
    """Lets the residual blocks of a timm backbone be skipped, until it is removed.

    The chance is drawn for whole batches, so that an image's does not depend on the process that
    sees it. It grows linearly from 0 at the first block (Huang et al., ECCV 2016).

    Args:
        backbone: changed in place; blocks without a residual branch are left alone.
        rate: share of the images that skip the last block, in [0, 1).
    """

    def __init__(self, backbone: nn.Module, rate: float) -> None:
        self._blocks: list[Any] = [
            part for part in backbone.modules() if hasattr(part, "drop_path")
        ]
        self._before = [block.drop_path for block in self._blocks]
        self._branches = [
            _Branch(rate * place / len(self._blocks)) for place in range(len(self._blocks))
        ]
        for block, branch in zip(self._blocks, self._branches, strict=True):
            block.drop_path = branch

    def draw(self, size: int, own: slice, generator: torch.Generator) -> None:
        """Draw which blocks the images of the next batch skip.

        Args:
            size: B, images in the batch.
            own: those this process sees.
            generator: the source of chance.
        """
        chances = torch.rand(len(self._branches), size, generator=generator)
        for branch, chance in zip(self._branches, chances, strict=True):
            branch.factors = ((chance >= branch.rate) / (1 - branch.rate))[own]

    def remove(self) -> None:
        """Put everything back as it was."""
        for block, before in zip(self._blocks, self._before, strict=True):
            block.drop_path = before


class _Branch(nn.Module):
    """A residual branch that counts for some images only, and for those the more."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.factors: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Scale a branch (n, C, H, W), each image by its factor."""
        if not self.training or self.factors is None:
            return x
        return x * self.factors.to(x.device, x.dtype)[:, None, None, None]
