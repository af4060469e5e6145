"""What is measured of a checkpoint after its training, and put into its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csr_core.answers import AnswerWeights, answers_to_json
from csr_core.calibration import Calibration, calibration_to_json
from csr_core.card import model_card
from csr_core.checkpoint import CheckpointError, read_part
from csr_core.files import write_bytes_atomic, write_json_atomic

__all__ = [
    "record_answers",
    "record_calibration",
    "record_cross_validation",
    "record_evaluation",
]


def record_evaluation(folder: Path, figures: Mapping[str, Any]) -> None:
    """Add measured figures to a checkpoint's metrics and to its model card.

    Args:
        folder: of the checkpoint.
        figures: from `evaluation.evaluate`; those of the same data and split are replaced.

    Raises:
        CheckpointError: if the folder's files can't be read, or have no record of training.
    """
    evaluated = dict(read_part(folder, "metrics.json").get("evaluated", {}))
    evaluated[f"{figures['data']}/{figures['split']}"] = dict(figures)
    _record(folder, {"evaluated": evaluated})


def record_cross_validation(folder: Path, result: Mapping[str, Any]) -> None:
    """Add the figures of a cross-validation to the checkpoint that was trained in the same way.

    Args:
        folder: of the checkpoint.
        result: from `training.crossval.cross_validate`.

    Raises:
        CheckpointError: if the folder's files can't be read or have no record of training, or the
            folds were trained on other data or with other settings.
    """
    protocol = read_part(folder, "metrics.json").get("protocol")
    trained = protocol.get("recipe") if isinstance(protocol, dict) else None
    data = read_part(folder, "config.json").get("card", {}).get("data")
    if (data, trained) != (result["data"], result["protocol"]["recipe"]):
        raise CheckpointError(
            f"{folder} was trained on other data or with other settings than these folds, so their "
            "figures say nothing of it."
        )
    _record(folder, {"cross_validated": dict(result)})


def _record(folder: Path, figures: Mapping[str, Any]) -> None:
    config, metrics = read_part(folder, "config.json"), read_part(folder, "metrics.json")
    metrics |= figures
    try:
        readme = model_card(config["card"], config["concepts"], config["classes"], metrics)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} has no record of its training to add to.") from error
    write_json_atomic(folder / "metrics.json", metrics)
    write_bytes_atomic(folder / "README.md", readme.encode())


def record_answers(folder: Path, answers: AnswerWeights) -> None:
    """Put what answers about whole concepts are worth into a checkpoint, instead of what it knew.

    Args:
        folder: of the checkpoint.
        answers: learned beside this model.

    Raises:
        CheckpointError: if the folder's file can't be read.
    """
    record = read_part(folder, "calibration.json") | answers_to_json(answers)
    write_json_atomic(folder / "calibration.json", record)


def record_calibration(folder: Path, calibration: Calibration) -> None:
    """Put what is usual for a model into its checkpoint; what was measured before is replaced.

    Args:
        folder: of the checkpoint.
        calibration: of this model.

    Raises:
        CheckpointError: if the folder's file can't be read.
    """
    record = read_part(folder, "calibration.json")
    record.pop("presence", None)  # which need not be measured again
    record |= calibration_to_json(calibration)
    write_json_atomic(folder / "calibration.json", record)
