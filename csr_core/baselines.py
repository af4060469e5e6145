"""The models CSR is compared with: a black box and a concept bottleneck on the same backbone.

baselines.safetensors holds two linear layers. The black box reads the pooled features, the concept
bottleneck the probabilities that the concept head gives for the K concepts, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from csr_core.network import CSRNetwork

__all__ = ["BASELINES_FILE", "Baselines", "Layer", "read_baselines", "write_baselines"]

BASELINES_FILE = "baselines.safetensors"
MAX_BYTES = 100_000_000


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer on F plain inputs: weight (classes, F) and bias (classes,)."""

    weight: NDArray[np.floating]
    bias: NDArray[np.floating]

    def logits(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map inputs (N, F) to logits (N, classes)."""
        return inputs.astype(np.float64) @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class Baselines:
    """Both models; their inputs come from the same run of the network as CSR's.

    Attributes:
        black_box: on the C pooled features.
        concept_bottleneck: on the K predicted concept probabilities.
    """

    black_box: Layer
    concept_bottleneck: Layer

    def logits(
        self, pooled: NDArray[np.floating], concept_logits: NDArray[np.floating]
    ) -> dict[str, NDArray[np.float64]]:
        """Logits of both models, (N, classes) each, by their names.

        Args:
            pooled: (N, C), spatial mean of the features.
            concept_logits: (N, K), spatial mean of the concept activation maps.
        """
        return {
            "black_box": self.black_box.logits(pooled),
            "concept_bottleneck": self.concept_bottleneck.logits(expit(concept_logits)),
        }


def write_baselines(baselines: Baselines, path: Path) -> None:
    """Write both layers in single precision."""
    layers = {
        "black_box": baselines.black_box,
        "concept_bottleneck": baselines.concept_bottleneck,
    }
    tensors = {}
    for name, layer in layers.items():
        tensors[f"{name}.weight"] = np.ascontiguousarray(layer.weight, dtype=np.float32)
        tensors[f"{name}.bias"] = np.ascontiguousarray(layer.bias, dtype=np.float32)
    save_file(tensors, path)


def read_baselines(folder: Path, network: CSRNetwork) -> Baselines | None:
    """Read the baselines of a checkpoint, which may come from anyone.

    Args:
        folder: of the checkpoint.
        network: of the same checkpoint, whose shapes they have to fit.

    Returns:
        The baselines, or None if the checkpoint keeps none.

    Raises:
        ValueError: if the file holds anything else than two fitting layers of finite numbers.
    """
    path = folder / BASELINES_FILE
    if not path.exists():
        return None
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{BASELINES_FILE} is no file of at most {MAX_BYTES:,} bytes.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        detail = str(error)[:200]
        raise ValueError(f"{BASELINES_FILE} is no safetensors file: {detail}.") from error
    config = network.config
    return Baselines(
        _layer(tensors, "black_box", (config.classes, network.concept_head.in_channels)),
        _layer(tensors, "concept_bottleneck", (config.classes, config.concepts)),
    )


def _layer(tensors: Mapping[str, NDArray], name: str, shape: tuple[int, int]) -> Layer:
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if (
        weight is None
        or bias is None
        or weight.shape != shape
        or bias.shape != shape[:1]
        or weight.dtype.kind != "f"
        or bias.dtype.kind != "f"
        or not (np.isfinite(weight).all() and np.isfinite(bias).all())
    ):
        raise ValueError(
            f"{BASELINES_FILE} needs {name} as {shape[0]} × {shape[1]} finite numbers and "
            f"{shape[0]} more."
        )
    return Layer(weight, bias)
