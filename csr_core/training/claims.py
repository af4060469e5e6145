"""A work folder belongs to one run: the one with these very settings and data."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from csr_core.datasets import Dataset
from csr_core.files import read_json, write_json_atomic

__all__ = ["claim_folder"]


def claim_folder(work: Path, dataset: Dataset, settings: dict[str, Any]) -> None:
    """Make a folder for this very run, or find the one it left.

    Args:
        work: the folder.
        dataset: what the run reads.
        settings: JSON values that fix its result together with the data.

    Raises:
        ValueError: if unfinished work in the same place has other settings or data.
    """
    labels = sha256(dataset.concept_labels.tobytes() + dataset.diagnoses.tobytes())
    labels.update("\n".join(dataset.image_ids + dataset.splits).encode())
    claim = settings | {"data": labels.hexdigest()}
    path = work / "run.json"
    if path.exists() and read_json(path, 100_000) != claim:
        raise ValueError(
            f"{work} holds an unfinished run with other settings or data; delete it, or choose "
            "another folder."
        )
    work.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, claim)
