"""Stage 1 on several processes, which together compute what one would.

Each process sees its share of every batch. Where images meet, in batch normalisation and before
the losses, the shares are gathered: every process then holds the loss of the whole batch, divided
by the counts of the whole batch. Without a launcher there is one process, and nothing changes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, nn
from torch.distributed import all_reduce
from torch.overrides import TorchFunctionMode

__all__ = ["Processes"]

PATIENCE = timedelta(days=2)
"""The others wait this long for what the main process does alone: decoding, stages 2 and 3."""


class Processes:
    """The processes of this run, as `accelerate launch` started them, and this one among them.

    Attributes:
        count: number of processes.
        index: of this one, from 0.
        main: whether this one validates, writes and speaks for all.
        device: a CUDA device of its own if there is one, or the CPU.
    """

    def __init__(self) -> None:
        on_cpu = not torch.cuda.is_available() or parse_flag_from_env("ACCELERATE_USE_CPU")
        self._state = PartialState(cpu=on_cpu, timeout=PATIENCE)
        self.count: int = self._state.num_processes
        self.index: int = self._state.process_index
        self.main: bool = self._state.is_main_process
        self.device: torch.device = self._state.device

    def wait(self) -> None:
        """Go on when every process has come here."""
        self._state.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Let the others enter the block when the main process has left it."""
        with self._state.main_process_first():
            yield

    def share(self, size: int) -> slice:
        """Say which part of a batch is this process' own.

        Args:
            size: images in the batch; if they are fewer than the processes, some have none.
        """
        start, stop = (size * index // self.count for index in (self.index, self.index + 1))
        return slice(start, stop)

    def gather(self, share: Tensor, size: int) -> Tensor:
        """Put the shares of all processes together, in order.

        Args:
            share: (n, ...), of this process, n as `share` says.
            size: B, images in the batch.

        Returns:
            (B, ...) on every process. Its gradient is that of the sum of all processes' losses,
            which `average_gradients` expects.
        """
        if self.count == 1:
            return share
        own = self.share(size)
        padding = [0, 0] * (share.ndim - 1) + [own.start, size - own.stop]
        # Adding zeros is exact, also where half precision is widened for the journey.
        return _SumOverProcesses.apply(F.pad(share.float(), padding)).to(share.dtype)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Complete gradients after `backward`, the same on every process.

        Each process ran backward from the same loss, and what was gathered sent back the sum of
        all of them to each share. The mean over processes is therefore the gradient of one loss.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        mean = torch.cat([gradient.flatten() for gradient in gradients]) / self.count
        all_reduce(mean)
        parts = mean.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    @contextmanager
    def pooled_batch_norm(self) -> Iterator[None]:
        """Within the block, batch normalisation takes statistics of all processes' images.

        PyTorch's SyncBatchNorm would need CUDA, and another network than the one to be kept.
        """
        if self.count == 1:
            yield
        else:
            with _PooledBatchNorm(self):
                yield


class _SumOverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return _SumOverProcesses.forward(_, *gradients)


class _PooledBatchNorm(TorchFunctionMode):
    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self.processes = processes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Normalise images (n, C, H, W), perhaps none, as `F.batch_norm` would all of them."""
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, False, 0.0, eps)
        image, (C, H, W) = input.float(), input.shape[1:]
        count = image.new_tensor([len(image) * H * W])
        own_mean = image.sum(dim=(0, 2, 3)) / count.clamp(min=1)
        own_squares = (image - own_mean.view(C, 1, 1)).square().sum(dim=(0, 2, 3))
        own = torch.cat([own_mean, own_squares, count])[None]
        means, squares, counts = self.processes.gather(own, self.processes.count).split(
            [C, C, 1], dim=1
        )  # (processes, C), (processes, C), (processes, 1)
        total = counts.sum()
        mean = (counts * means).sum(dim=0) / total
        variance = (squares + counts * (means - mean).square()).sum(dim=0) / total
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * total / (total - 1), momentum)
        scale = weight * (variance + eps).rsqrt()
        shift = bias - mean * scale
        return (image * scale.view(C, 1, 1) + shift.view(C, 1, 1)).to(input.dtype)
