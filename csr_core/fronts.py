"""The least that must be spent to reach several sums at once, by dynamic programming."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["combine", "merged", "nearest"]

MAX_FRONT = 32

Numbers = NDArray[np.float64]


class _Front(NamedTuple):
    """Sums reached with some number of marks, none worse than another in every respect."""

    gains: Numbers  # (n, d)
    source: NDArray[np.intp]  # (n, 3): marks on the last concept, row of the front before, option


Thin = Callable[[Numbers, Numbers], tuple[Numbers, NDArray[np.intp]]]


def combine(
    gains: Sequence[Sequence[Numbers]], deficit: Numbers, most: int, thin: Thin
) -> tuple[int, list[tuple[int, int, int]]]:
    """Combine the concepts mark by mark until the deficit is reached.

    Args:
        gains: for each concept and each number of marks from 1, (n, d).
        deficit: to reach, (d,).
        most: marks to try.
        thin: keeps a front small; returns the gains kept and the rows they had.

    Returns:
        The number of marks and the (concept, marks, option) picked; `most + 1` and none if the
        deficit can't be reached.
    """
    ways = [[thin(part, deficit) for part in parts] for parts in gains]
    nothing = np.zeros((1, len(deficit)))
    table: list[list[_Front]] = []  # [marks][concepts combined]
    for marks in range(most + 1):
        row = [_Front(nothing[marks:], np.zeros((1, 3), np.intp)[marks:])]
        for concept, fronts in enumerate(ways):
            sums, sources = [row[-1].gains], [_sources(0, len(row[-1].gains), np.zeros(1, np.intp))]
            for used, (added, options) in enumerate(fronts[:marks], 1):
                earlier = table[marks - used][concept].gains
                sums.append((earlier[:, None] + added).reshape(-1, len(deficit)))
                sources.append(_sources(used, len(earlier), options))
            kept, rows = thin(np.concatenate(sums), deficit)
            row.append(_Front(kept, np.concatenate(sources)[rows]))
        table.append(row)
        reached = np.flatnonzero((row[-1].gains >= deficit).all(axis=1))
        if len(reached):
            return marks, _picks(table, int(reached[0]))
    return most + 1, []


def _sources(used: int, rows: int, options: NDArray[np.intp]) -> NDArray[np.intp]:
    before, option = (part.ravel() for part in np.meshgrid(np.arange(rows), options, indexing="ij"))
    return np.column_stack([np.full_like(before, used), before, option])


def _picks(table: Sequence[Sequence[_Front]], row: int) -> list[tuple[int, int, int]]:
    marks, picks = len(table) - 1, []
    for concept in reversed(range(len(table[0]) - 1)):
        used, row, option = table[marks][concept + 1].source[row].tolist()
        if used:
            picks.append((concept, used, option))
        marks -= used
    return picks[::-1]


def nearest(gains: Numbers, deficit: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """The undominated sums; if they are too many, those nearest to the deficit."""
    kept = _undominated(gains)
    if len(kept) > MAX_FRONT:
        kept = np.argsort(-(gains - deficit).min(axis=1), kind="stable")[:MAX_FRONT]
    return gains[kept], kept


def merged(gains: Numbers, _deficit: Numbers) -> tuple[Numbers, NDArray[np.intp]]:
    """The undominated sums; too many become one that is at least as good as each."""
    kept = _undominated(gains)
    if len(kept) > MAX_FRONT:
        return gains.max(axis=0, keepdims=True), kept[:1]
    return gains[kept], kept


def _undominated(gains: Numbers) -> NDArray[np.intp]:
    """Rows that no other row reaches in every column, of equal rows the first; or too many."""
    left = np.argsort(-np.round(gains.sum(axis=1), 12), kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) <= MAX_FRONT:
        kept.append(int(left[0]))
        left = left[(gains[left] > gains[left[0]] + 1e-12).any(axis=1)]
    return np.array(kept, dtype=np.intp)
