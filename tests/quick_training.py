"""A quick recipe, what a run of it leaves, and a network too small to wait for."""

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from csr_core.datasets import Dataset
from csr_core.network import CSRNetwork, NetworkConfig
from csr_core.training import PRESETS, Recipe, train

ROOT = Path(__file__).parents[1]
EPOCHS = 4
QUICK = replace(PRESETS["quick"], weights="random", backbone="test_efficientnet", epochs=EPOCHS)
SEED, HOLDOUT = 1, 0.2


def run(dataset: Dataset, out: Path, recipe: Recipe = QUICK, seed: int = SEED) -> str:
    train(dataset, out, recipe, seed=seed, holdout=HOLDOUT)
    return weights_hash(out)


def train_command(data: Path, out: Path) -> list[str]:
    """What trains the same on the command line as `run` does."""
    options = {
        "--data": data,
        "--out": out,
        "--preset": "quick",
        "--backbone": QUICK.backbone,
        "--epochs": EPOCHS,
        "--weights": "random",
        "--seed": SEED,
        "--holdout": HOLDOUT,
    }
    arguments = (str(part) for option in options.items() for part in option)
    return ["-m", "csr_core", "train", *arguments]


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def tiny_network(prototypes=3, projection=4, concepts=2, classes=2) -> CSRNetwork:
    torch.manual_seed(0)
    return CSRNetwork(
        NetworkConfig(
            concepts,
            classes,
            "test_efficientnet",
            image_size=64,
            prototypes=prototypes,
            projection=projection,
        )
    )
