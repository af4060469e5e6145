"""Who may do what: rows to fit to, rows to select on, rows kept for an honest figure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets import Dataset
from csr_core.splits import stratified_split

__all__ = ["Roles", "assign_roles", "selection"]


@dataclass(frozen=True, eq=False)
class Roles:
    """Which rows of a data set may do what; no row is in two.

    Attributes:
        fit: rows the weights are fitted to.
        validation: rows every stage selects on.
        held: rows kept from both, for an honest figure; possibly none.
    """

    fit: NDArray[np.int64]
    validation: NDArray[np.int64]
    held: NDArray[np.int64]


def assign_roles(
    dataset: Dataset, holdout: float, validation: float, seed: int, select_on: str | None = None
) -> Roles:
    """Split the rows of split "train" by role, stratified by diagnosis and rare concepts.

    Rows of other splits are never fitted to; one of them may be selected on.

    Args:
        dataset: any.
        holdout: share kept from everything, 0 for none.
        validation: share of the rest that is selected on.
        seed: of the split.
        select_on: split to select on instead of that share.

    Raises:
        ValueError: as `selection` does.
    """
    rows = dataset.rows_of("train")
    held = rows[:0]
    if holdout:
        kept, out = stratified_split(
            dataset.diagnoses[rows], dataset.concept_labels[rows], holdout, seed
        )
        rows, held = rows[kept], rows[out]
    return Roles(*selection(dataset, rows, validation, seed + 1, select_on), held)


def selection(
    dataset: Dataset,
    rows: NDArray[np.int64],
    validation: float,
    seed: int,
    select_on: str | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide training rows into rows to fit to and rows to select on.

    Args:
        dataset: any.
        rows: of split "train".
        validation: share of them that is selected on, stratified.
        seed: of the split.
        select_on: split to select on instead; all the rows are then fitted to.

    Raises:
        ValueError: if that split is "train" itself, or none of its images has a diagnosis.
    """
    if select_on is None:
        fit, chosen = stratified_split(
            dataset.diagnoses[rows], dataset.concept_labels[rows], validation, seed
        )
        return rows[fit], rows[chosen]
    chosen = dataset.rows_of(select_on)
    if select_on == "train" or not (dataset.diagnoses[chosen] >= 0).any():
        raise ValueError(
            f"Split {select_on!r} can't be selected on: it must be another one than 'train', with "
            "known diagnoses."
        )
    return rows, chosen
