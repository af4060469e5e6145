"""Who may do what: rows to fit to, rows to select on, rows kept for an honest figure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csr_core.datasets import Dataset
from csr_core.splits import stratified_split

__all__ = ["Roles", "assign_roles"]


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


def assign_roles(dataset: Dataset, holdout: float, validation: float, seed: int) -> Roles:
    """Split the rows of split "train" by role, stratified by diagnosis and rare concepts.

    Rows of other splits are never fitted to nor selected on.

    Args:
        dataset: any.
        holdout: share kept from everything, 0 for none.
        validation: share of the rest that is selected on.
        seed: of the split.
    """
    rows = dataset.rows_of("train")
    held = rows[:0]
    if holdout:
        kept, out = stratified_split(
            dataset.diagnoses[rows], dataset.concept_labels[rows], holdout, seed
        )
        rows, held = rows[kept], rows[out]
    fit, chosen = stratified_split(
        dataset.diagnoses[rows], dataset.concept_labels[rows], validation, seed + 1
    )
    return Roles(rows[fit], rows[chosen], held)
