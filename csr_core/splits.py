"""Stratified splits: every part has its share of each diagnosis and of the rare concepts."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["stratified_folds", "stratified_split"]

Indices = NDArray[np.int64]


def stratified_split(
    labels: NDArray[np.integer],
    multilabel: NDArray[np.integer] | None,
    fraction: float,
    seed: int,
) -> tuple[Indices, Indices]:
    """Hold a fraction of the rows back.

    Args:
        labels: (N,) class of each row; −1 (unknown) counts as a class of its own.
        multilabel: (N, K) concept labels, 1 where present, or None. The rarest concepts are
            shared out first, as far as the class shares allow.
        fraction: Share to hold back, between 0 and 1.
        seed: The same seed gives the same split.

    Returns:
        ``(kept, held)``: sorted row indices that together are all rows. Each class has its share
        in both to within one row; a class of one row goes to the larger part.

    Raises:
        ValueError: Shapes disagree, the fraction is not between 0 and 1, or a part would be empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"The fraction held back is {fraction}; expected between 0 and 1.")
    part = _assign(labels, multilabel, np.array([1 - fraction, fraction]), seed)
    kept, held = np.flatnonzero(part == 0), np.flatnonzero(part == 1)
    if not len(kept) or not len(held):
        raise ValueError(f"{len(part)} rows are too few to hold back {fraction:.0%} of them.")
    return kept, held


def stratified_folds(
    labels: NDArray[np.integer],
    n: int,
    seed: int,
    multilabel: NDArray[np.integer] | None = None,
) -> tuple[tuple[Indices, Indices], ...]:
    """Cut the rows into folds for cross-validation.

    Args:
        labels: (N,) class of each row; −1 (unknown) counts as a class of its own.
        n: Number of folds, 2 to N.
        seed: The same seed gives the same folds.
        multilabel: (N, K) concept labels as in :func:`stratified_split`, or None.

    Returns:
        ``n`` pairs ``(kept, held)`` of sorted row indices; every row is held in exactly one.

    Raises:
        ValueError: Shapes disagree, or there are fewer rows than folds.
    """
    if not 2 <= n <= len(labels):
        raise ValueError(f"{len(labels)} rows cannot be cut into {n} folds; expected 2 to N folds.")
    part = _assign(labels, multilabel, np.full(n, 1 / n), seed)
    return tuple((np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(n))


def _assign(
    labels: NDArray[np.integer],
    multilabel: NDArray[np.integer] | None,
    shares: NDArray[np.float64],
    seed: int,
) -> Indices:
    """Give every row a part: iterative stratification (Sechidis et al., 2011) within classes."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"Labels have shape {labels.shape}; expected (N,).")
    present = np.zeros((len(labels), 0), bool) if multilabel is None else multilabel == 1  # (N, K)
    if present.ndim != 2 or len(present) != len(labels):
        raise ValueError(f"Concept labels have shape {present.shape}; expected (N, K).")

    rng = np.random.default_rng(seed)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    room = _quotas(counts, shares)  # (classes, parts): rows still to come
    wanted = present.sum(0)[:, None] * shares  # (K, parts): present rows still wanted
    part = np.full(len(labels), -1)

    def place(row: int, preference: NDArray[np.float64]) -> None:
        space = room[classes[row]]
        order = np.lexsort((space, np.where(space > 0, preference, -np.inf)))
        part[row] = order[-1]
        space[order[-1]] -= 1
        wanted[present[row], order[-1]] -= 1

    for concept in np.argsort(present.sum(0), kind="stable"):
        for row in rng.permutation(np.flatnonzero(present[:, concept] & (part < 0))):
            place(row, wanted[concept])
    for row in rng.permutation(np.flatnonzero(part < 0)):
        place(row, np.zeros(len(shares)))
    return part


def _quotas(counts: Indices, shares: NDArray[np.float64]) -> Indices:
    """Whole rows per class and part, (classes, parts), each within one row of its share."""
    quotas = np.zeros((len(counts), len(shares)), np.int64)
    for index, count in enumerate(counts):
        quotas[index] = np.floor(count * shares + 1e-9)
        left_over = count - quotas[index].sum()
        # Rounding falls to the parts furthest behind over all classes so far, so that whole parts
        # keep their size too; a class too small for that stays with the largest part.
        behind = counts[: index + 1].sum() * shares - quotas.sum(0)
        first = shares if not quotas[index].any() else np.zeros(len(shares))
        order = np.lexsort((behind, first))[::-1]
        quotas[index, order[:left_over]] += 1
    return quotas
