"""What lets a killed run go on: tensors and numbers of the last whole epoch, without pickle."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from csr_core.files import atomic_target, read_json, write_json_atomic

__all__ = ["load_state", "optimizer_tensors", "restore_optimizer", "save_state"]

MAX_JSON_BYTES = 1_000_000


def save_state(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write tensors to `path` and numbers beside it; the numbers come last and make it count.

    Args:
        path: of the safetensors file; the numbers go to the same name with `.json`.
        tensors: by name.
        numbers: JSON values, among them `epoch`.
    """
    versioned = path.with_name(f"{path.stem}-{numbers['epoch']}{path.suffix}")
    with atomic_target(versioned) as temporary:
        save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    write_json_atomic(path.with_suffix(".json"), numbers | {"tensors": versioned.name})
    for old in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        if old.name != versioned.name:
            old.unlink()


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read what `save_state` wrote, or None if nothing was."""
    numbers_path = path.with_suffix(".json")
    if not numbers_path.exists():
        return None
    numbers = read_json(numbers_path, MAX_JSON_BYTES)
    return load_file(path.with_name(numbers["tensors"])), numbers


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Name the running averages of an optimizer, one tensor each."""
    return {
        f"optimizer.{index}.{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` named."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, name = rest.split(".")
            state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
