"""What is measured of a checkpoint after its training, and put into its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csr_core.calibration import Calibration, calibration_to_json
from csr_core.card import model_card
from csr_core.checkpoint import CheckpointError, read_part
from csr_core.files import write_bytes_atomic, write_json_atomic

__all__ = ["record_calibration", "record_evaluation"]


def record_evaluation(folder: Path, figures: Mapping[str, Any]) -> None:
    """Add measured figures to a checkpoint's metrics and to its model card.

    Args:
        folder: of the checkpoint.
        figures: from `evaluation.evaluate`; those of the same data and split are replaced.

    Raises:
        CheckpointError: if the folder's files can't be read, or have no record of training.
    """
    config, metrics = read_part(folder, "config.json"), read_part(folder, "metrics.json")
    evaluated = dict(metrics.get("evaluated", {}))
    evaluated[f"{figures['data']}/{figures['split']}"] = dict(figures)
    metrics["evaluated"] = evaluated
    try:
        readme = model_card(config["card"], config["concepts"], config["classes"], metrics)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder} has no record of its training to add to.") from error
    write_json_atomic(folder / "metrics.json", metrics)
    write_bytes_atomic(folder / "README.md", readme.encode())


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
