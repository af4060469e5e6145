"""The checkpoint folder: safetensors, JSON and pictures, never pickle.

model.safetensors   weights; matrices in half precision, the rest in single
config.json         network shapes, names of concepts and classes, the card
calibration.json    absent and present profile; what answers are worth, usual scores and features,
                    where they were measured
baselines.safetensors               the models it is compared with, where they were kept
atlas/atlas.json    one entry a prototype; pictures beside it where they may be shipped
metrics.json        how good it is and how that was measured
README.md           the model card
"""

import hashlib
import reprlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from csr_core.answers import AnswerWeights, answers_from_json, answers_to_json
from csr_core.atlas import Atlas, atlas_from_json, atlas_to_json
from csr_core.baselines import BASELINES_FILE, Baselines, read_baselines, write_baselines
from csr_core.calibration import (
    Calibration,
    calibration_from_json,
    calibration_to_json,
    profiles_from_json,
    profiles_to_json,
)
from csr_core.evidence import Profiles
from csr_core.files import atomic_folder, read_json, write_json_atomic
from csr_core.network import CSRNetwork, NetworkConfig

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "check_target",
    "load_checkpoint",
    "read_part",
    "round_weights",
    "save_checkpoint",
]

FORMAT = 1
MAX_JSON_BYTES = 16_000_000
MAX_WEIGHT_BYTES = 2_000_000_000
MAX_PROTOTYPE_VALUES = 50_000_000
_FILES = {
    "model.safetensors",
    "config.json",
    "calibration.json",
    BASELINES_FILE,
    "metrics.json",
    "README.md",
    "atlas",
}


class CheckpointError(ValueError):
    """A checkpoint folder is incomplete, damaged or of another version."""


@dataclass(frozen=True)
class Checkpoint:
    """A model and all that is known of it.

    Attributes:
        network: with its weights.
        concepts: names of the K concepts.
        classes: names of the diagnoses.
        profiles: typical score of each prototype, (K, M) each.
        atlas: what each prototype stands for.
        card: title, data, licence, intended use, limits, whether the data are synthetic.
        metrics: figures and how they were measured.
        readme: the model card as Markdown.
        calibration: what is usual for the model, if it was measured.
        baselines: models on the same features to compare it with, if they were kept.
        answers: what answers about whole concepts say of the diagnosis, if that was learned.
        model_hash: SHA-256 of the weights file; empty until it is saved.
    """

    network: CSRNetwork
    concepts: tuple[str, ...]
    classes: tuple[str, ...]
    profiles: Profiles
    atlas: Atlas
    card: Mapping[str, Any]
    metrics: Mapping[str, Any]
    readme: str
    calibration: Calibration | None = None
    baselines: Baselines | None = None
    answers: AnswerWeights | None = None
    model_hash: str = ""


def save_checkpoint(
    checkpoint: Checkpoint, folder: Path, pictures: Mapping[str, bytes] | None = None
) -> None:
    """Write a checkpoint folder whole: until the last moment the old one stays in place.

    Args:
        checkpoint: what to write.
        folder: its place; a checkpoint that is there is replaced.
        pictures: JPEG bytes by the file names that atlas entries refer to.

    Raises:
        CheckpointError: if the folder holds something that is not a checkpoint.
    """
    check_target(folder)
    with atomic_folder(folder) as draft:
        (draft / "atlas").mkdir()
        save_file(_compact(checkpoint.network.state_dict()), draft / "model.safetensors")
        write_json_atomic(
            draft / "config.json",
            {
                "format": FORMAT,
                "network": asdict(checkpoint.network.config),
                "concepts": checkpoint.concepts,
                "classes": checkpoint.classes,
                "card": dict(checkpoint.card),
            },
        )
        if checkpoint.baselines is not None:
            write_baselines(checkpoint.baselines, draft / BASELINES_FILE)
        for path in draft.glob("*.safetensors"):
            # safetensors writes files for the owner's eyes only.
            shutil.copymode(draft / "config.json", path)
        write_json_atomic(
            draft / "calibration.json",
            profiles_to_json(checkpoint.profiles)
            | answers_to_json(checkpoint.answers)
            | calibration_to_json(checkpoint.calibration),
        )
        write_json_atomic(draft / "atlas" / "atlas.json", atlas_to_json(checkpoint.atlas))
        for name, data in (pictures or {}).items():
            (draft / "atlas" / name).write_bytes(data)
        write_json_atomic(draft / "metrics.json", dict(checkpoint.metrics))
        (draft / "README.md").write_text(checkpoint.readme, encoding="utf-8")


def check_target(folder: Path) -> None:
    """Make sure that a checkpoint may be written: replacing one is fine, other files are not.

    Raises:
        CheckpointError: if the folder is a file or holds anything a checkpoint does not.
    """
    if not folder.exists():
        return
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if names and (names - _FILES or not _is_ours(folder)):
        raise CheckpointError(f"{folder} holds other files; choose a new or empty folder.")


def load_checkpoint(folder: Path, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint folder, which may come from anyone.

    Args:
        folder: as `save_checkpoint` writes it.
        device: where the weights go.

    Raises:
        CheckpointError: naming the file that is missing or wrong, and what was expected.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no config.json.")
    config = read_part(folder, "config.json")
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"config.json has format {reprlib.repr(config.get('format'))}; this version reads "
            f"{FORMAT}."
        )
    concepts, classes = _names(config, "concepts"), _names(config, "classes")
    network = _build(config.get("network"), len(concepts), len(classes))
    shape = (network.config.concepts, network.config.prototypes)
    profiles, calibration, answers = _read_calibration(folder, network)
    weights = folder / "model.safetensors"
    if not weights.is_file() or weights.stat().st_size > MAX_WEIGHT_BYTES:
        raise CheckpointError("model.safetensors is missing or larger than 2 GB.")
    try:
        tensors = {k: v.float() for k, v in load_file(weights).items()}
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        detail = " ".join(str(error).splitlines()[-1].split())[:200]
        raise CheckpointError(
            f"model.safetensors does not hold the weights config.json speaks of: {detail}"
        ) from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise CheckpointError("model.safetensors holds values that are not finite numbers.")
    if not (network.task_head.score_deviation > 0).all():
        raise CheckpointError("model.safetensors has a score deviation that is not positive.")
    card = config.get("card")
    return Checkpoint(
        network=network.to(device),
        concepts=concepts,
        classes=classes,
        profiles=profiles,
        atlas=_read_atlas(folder, shape, network.config.grid),
        card=card if isinstance(card, dict) else {},
        metrics=read_part(folder, "metrics.json") if (folder / "metrics.json").is_file() else {},
        readme=_read_card(folder),
        calibration=calibration,
        baselines=_read_baselines(folder, network),
        answers=answers,
        model_hash=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )


def read_part(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the JSON files of a checkpoint folder.

    Raises:
        CheckpointError: naming the file, if it is no bounded JSON object.
    """
    try:
        value = read_json(folder / name, MAX_JSON_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} can't be read: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name} must hold a JSON object.")
    return value


def _is_ours(folder: Path) -> bool:
    try:
        config = read_json(folder / "config.json", MAX_JSON_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT and "network" in config


def round_weights(network: CSRNetwork) -> None:
    """Round the weights, in place, to what a checkpoint keeps, so that figures hold for it."""
    network.load_state_dict({k: v.float() for k, v in _compact(network.state_dict()).items()})


def _compact(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half precision for matrices and kernels; norms and the task head need single precision."""
    return {
        name: (value.half() if value.ndim >= 2 and not name.startswith("task_head") else value)
        .detach()
        .cpu()
        .contiguous()
        for name, value in tensors.items()
    }


def _names(config: dict[str, Any], key: str) -> tuple[str, ...]:
    names = config.get(key)
    if (
        not isinstance(names, list)
        or not 1 <= len(names) <= 1000
        or not all(isinstance(name, str) and 0 < len(name) <= 128 for name in names)
        or len(set(names)) < len(names)
    ):
        raise CheckpointError(f"config.json needs {key} as a list of different names.")
    return tuple(names)


def _build(values: object, concepts: int, classes: int) -> CSRNetwork:
    try:
        if not isinstance(values, dict):
            raise TypeError("it is not an object")
        triples = {key: tuple(map(float, values[key])) for key in ("mean", "std")}
        config = NetworkConfig(**(values | triples))
        sizes = (config.prototypes, config.projection, config.image_size, config.output_stride)
        if (config.concepts, config.classes) != (concepts, classes):
            raise ValueError("its numbers of concepts and classes differ from the names")
        if not all(type(size) is int and 1 <= size <= 4096 for size in sizes):
            raise ValueError("a size is not a whole number from 1 to 4096")
        if concepts * config.prototypes * config.projection > MAX_PROTOTYPE_VALUES:
            raise ValueError("its prototypes are larger than any real model's")
        for triple in triples.values():
            if len(triple) != 3 or not all(abs(value) < 100 for value in triple):
                raise ValueError("mean and std must have three small numbers")
        if not all(value > 0.001 for value in config.std):
            raise ValueError("std must be positive")
        if not isinstance(config.backbone, str) or "/" in config.backbone or ":" in config.backbone:
            raise ValueError("the backbone must be a plain timm model name")
        if not isinstance(config.mirrored, bool):
            raise ValueError("mirrored must be true or false")
        return CSRNetwork(config)
    except (TypeError, ValueError, KeyError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f"config.json describes no network: {str(error)[:200]}.") from error


def _read_calibration(
    folder: Path, network: CSRNetwork
) -> tuple[Profiles, Calibration | None, AnswerWeights | None]:
    record, config = read_part(folder, "calibration.json"), network.config
    shape = (config.concepts, config.prototypes)
    try:
        return (
            profiles_from_json(record, shape),
            calibration_from_json(record, shape, network.concept_head.in_channels),
            answers_from_json(record, (config.classes, config.concepts)),
        )
    except ValueError as error:
        raise CheckpointError(f"calibration.json is damaged: {error}") from error


def _read_baselines(folder: Path, network: CSRNetwork) -> Baselines | None:
    try:
        return read_baselines(folder, network)
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _read_atlas(folder: Path, shape: tuple[int, int], grid: tuple[int, int]) -> Atlas:
    try:
        return atlas_from_json(
            read_part(folder / "atlas", "atlas.json"), folder / "atlas", shape, grid
        )
    except (TypeError, ValueError, KeyError, ArithmeticError) as error:
        raise CheckpointError(f"atlas.json is damaged: {str(error)[:200]}.") from error


def _read_card(folder: Path) -> str:
    path = folder / "README.md"
    if not path.is_file() or path.stat().st_size > 1_000_000:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")
