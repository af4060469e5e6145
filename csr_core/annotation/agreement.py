"""How far readers agree: kappas on what they say, Dice on where they show it.

Cohen's κ = (pₒ − pₑ) / (1 − pₑ) of two readers (Cohen 1960), pₒ being the share of cases of which
they say the same and pₑ the share expected of readers who say each thing as often but at random.
Fleiss' κ = (P̄ − P̄ₑ) / (1 − P̄ₑ) of any number (Fleiss 1971), P̄ being the mean share of agreeing
pairs in a case. Dice = 2 |A ∩ B| / (|A| + |B|).

What is compared, and how:

- Only annotations that are done, and not what was agreed on afterwards.
- "Unsure" is a category of its own beside yes and no: readers who differ in what they are sure of
  don't agree, and leaving those cases out would flatter them. Of what a reader didn't speak of, or
  gave no diagnosis for, nothing is compared.
- Fleiss' κ takes the cases that at least two readers spoke of; where not all did, a case counts by
  the pairs it has, which is the usual form if all did.
- Dice is the mean over the cases in which both showed a region; whether there is one is what the
  kappas are about.
- Intervals are bootstrap intervals over the cases that at least two readers have done.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csr_core.annotation.names import CONSENSUS, folded
from csr_core.annotation.records import Vocabulary
from csr_core.annotation.resolving import presence_of, region_of
from csr_core.annotation.store import Read
from csr_core.intervals import INTERVAL_PROTOCOL, bootstrap

__all__ = ["Agreement", "Figure", "Pair", "agreement", "agreement_lines", "agreement_to_json"]

PRESENCES = ("yes", "no", "unsure")
_UNSAID = -1


@dataclass(frozen=True)
class Figure:
    """A measure of agreement.

    Attributes:
        value: None where it is not defined.
        interval: lower and upper end; None where there is none.
        cases: it is taken over.
        note: why it is not defined.
    """

    value: float | None
    interval: tuple[float, float] | None
    cases: int
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """How two readers agree.

    Attributes:
        readers: their names.
        presence: Cohen's kappa by concept.
        diagnosis: Cohen's kappa.
        regions: Dice by concept.
    """

    readers: tuple[str, str]
    presence: Mapping[str, Figure]
    diagnosis: Figure
    regions: Mapping[str, Figure]


@dataclass(frozen=True)
class Agreement:
    """How the readers of a project agree.

    Attributes:
        readers: names of those with annotations that are done.
        cases: that at least two of them have done.
        presence: Fleiss' kappa by concept.
        diagnosis: Fleiss' kappa.
        pairs: of readers.
    """

    readers: tuple[str, ...]
    cases: int
    presence: Mapping[str, Figure]
    diagnosis: Figure
    pairs: tuple[Pair, ...]


Overlaps = Mapping[tuple[int, int], Sequence[tuple[int, float]]]
"""By two readers: rows of cases, and their Dice in them."""


@dataclass(frozen=True)
class _Told:
    """What N cases come to, R readers.

    Attributes:
        readers: names.
        said: by concept, and by None for the diagnosis: (N, R), number of what was said or -1.
        overlaps: by concept.
    """

    readers: tuple[str, ...]
    said: Mapping[str | None, NDArray[np.int64]]
    overlaps: Mapping[str, Overlaps]


def agreement(reads: Iterable[Read], words: Vocabulary) -> Agreement:
    """Measure how readers agree.

    Args:
        reads: of a project, those of a case side by side; read once, and little of each is kept.
        words: of the project.
    """
    told = _told(reads, words)
    pairs = list(combinations(range(len(told.readers)), 2))
    fleiss: dict[str | None, Figure] = {}
    cohen: dict[str | None, list[Figure]] = {}
    dice: dict[str, list[Figure]] = {}
    for concept in (*words.concepts, None):
        categories = len(words.classes if concept is None else PRESENCES)
        overlaps = {} if concept is None else told.overlaps.get(concept, {})
        found = _figures(told.said[concept], categories, pairs, overlaps)
        fleiss[concept] = found[0]
        cohen[concept] = found[1 : len(pairs) + 1]
        if concept is not None:
            dice[concept] = found[len(pairs) + 1 :]
    return Agreement(
        readers=told.readers,
        cases=len(told.said[None]),
        presence={name: fleiss[name] for name in words.concepts},
        diagnosis=fleiss[None],
        pairs=tuple(
            Pair(
                readers=(told.readers[one], told.readers[other]),
                presence={name: cohen[name][place] for name in words.concepts},
                diagnosis=cohen[None][place],
                regions={name: dice[name][place] for name in words.concepts},
            )
            for place, (one, other) in enumerate(pairs)
        ),
    )


def agreement_to_json(found: Agreement) -> dict[str, Any]:
    """Put an agreement as JSON, with the protocol of its intervals."""
    return asdict(found) | {"intervals": INTERVAL_PROTOCOL}


def agreement_lines(found: Agreement) -> list[str]:
    """Put an agreement in lines of text."""
    if len(found.readers) < 2 or not found.cases:
        return ["No case is done by two readers yet, so there is nothing to compare."]
    names = ", ".join(found.readers)
    lines = [f"{found.cases} cases done by two readers or more, of {names}."]
    lines += ["", "All readers, Fleiss' kappa", f"  diagnosis: {_shown(found.diagnosis)}"]
    lines += [f"  {concept}: {_shown(figure)}" for concept, figure in found.presence.items()]
    for pair in found.pairs:
        lines += ["", f"{pair.readers[0]} and {pair.readers[1]}, Cohen's kappa; Dice of regions"]
        lines.append(f"  diagnosis: {_shown(pair.diagnosis)}")
        for concept, figure in pair.presence.items():
            lines.append(f"  {concept}: {_shown(figure)}; {_shown(pair.regions[concept])}")
    return [*lines, "", INTERVAL_PROTOCOL]


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return figure.note
    ends = figure.interval
    interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
    return f"{figure.value:.3f}{interval}, {figure.cases} cases"


def _told(reads: Iterable[Read], words: Vocabulary) -> _Told:
    numbers: dict[str, int] = {}
    names: list[str] = []
    rows: list[dict[str | None, dict[int, int]]] = []
    overlaps: dict[str, dict[tuple[int, int], list[tuple[int, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for _, group in groupby(reads, key=lambda read: read.case.id):
        done = {}
        for read in group:
            name = folded(read.reader)
            if read.annotation.status == "done" and name != CONSENSUS:
                if name not in numbers:
                    numbers[name] = len(names)
                    names.append(read.reader)
                done[numbers[name]] = read
        if len(done) > 1:
            for concept in words.concepts:
                for pair, value in _overlaps(concept, done).items():
                    overlaps[concept][pair].append((len(rows), value))
            rows.append(_said(done, words))
    said = {item: np.full((len(rows), len(names)), _UNSAID) for item in (*words.concepts, None)}
    for number, row in enumerate(rows):
        for item, by_reader in row.items():
            said[item][number, list(by_reader)] = list(by_reader.values())
    return _Told(tuple(names), said, overlaps)


def _said(done: Mapping[int, Read], words: Vocabulary) -> dict[str | None, dict[int, int]]:
    """Number of what each reader said of each concept, and by None of the diagnosis."""
    said: dict[str | None, dict[int, int]] = defaultdict(dict)
    for reader, read in done.items():
        for concept in words.concepts:
            presence = presence_of(read.annotation.concepts.get(concept))
            if presence is not None:
                said[concept][reader] = PRESENCES.index(presence)
        if read.annotation.diagnosis is not None:
            said[None][reader] = words.classes.index(read.annotation.diagnosis)
    return said


def _overlaps(concept: str, done: Mapping[int, Read]) -> dict[tuple[int, int], float]:
    regions = {}
    for reader, read in sorted(done.items()):
        mark = read.annotation.concepts.get(concept)
        region = region_of(mark, read.case.height, read.case.width) if mark else None
        if region is not None:
            regions[reader] = region
    return {
        (one, other): 2 * int((regions[one] & regions[other]).sum())
        / int(regions[one].sum() + regions[other].sum())
        for one, other in combinations(regions, 2)
    }  # fmt: skip


def _figures(
    said: NDArray[np.int64],
    categories: int,
    pairs: Sequence[tuple[int, int]],
    overlaps: Overlaps,
) -> list[Figure]:
    """Fleiss' kappa, then Cohen's of each pair, then Dice of each pair.

    Args:
        said: (N, R), number of what was said or -1.
        categories: C, numbers there may be.
        pairs: P pairs of readers.
        overlaps: Dice of pairs in cases.
    """
    N, C, P = len(said), categories, len(pairs)
    votes = (said[:, :, None] == np.arange(C)).sum(axis=1)  # (N, C)
    judged = votes.sum(axis=1)  # (N,), readers who said something
    together = judged * (judged - 1)  # (N,), pairs of them, counted twice
    counted = judged > 1
    shares = (votes * (votes - 1)).sum(axis=1) / together.clip(min=1)
    fleiss = np.column_stack([shares, counted, votes * counted[:, None]])  # (N, 2 + C)
    both = np.zeros((N, P, C, C), np.int8)
    areas = np.zeros((N, P, 2))
    for place, (one, other) in enumerate(pairs):
        rows = np.flatnonzero((said[:, one] >= 0) & (said[:, other] >= 0))
        both[rows, place, said[rows, one], said[rows, other]] = 1
        for row, value in overlaps.get((one, other), ()):
            areas[row, place] = value, 1
    flat = (both.reshape(N, P * C * C), areas.reshape(N, P * 2))
    terms = np.concatenate([fleiss, *flat], axis=1)

    def figures(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        first, second = 2 + C, 2 + C + P * C * C
        tables = sums[..., first:second].reshape(*sums.shape[:-1], P, C, C)
        pairwise = sums[..., second:].reshape(*sums.shape[:-1], P, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.concatenate(
                [
                    _fleiss(sums[..., :first])[..., None],
                    _cohen(tables),
                    pairwise[..., 0] / pairwise[..., 1],
                ],
                axis=-1,
            )

    whole = figures(terms.sum(axis=0, dtype=np.float64))
    defined = np.flatnonzero(np.isfinite(whole))
    ends = np.full((2, len(whole)), np.nan)
    if N > 1 and len(defined):
        ends[:, defined] = bootstrap(terms, lambda sums: figures(sums)[..., defined])
    cases = [int(counted.sum()), *both.sum(axis=(0, 2, 3)).tolist(), *areas[:, :, 1].sum(axis=0)]
    return [
        _figure(float(value), ends[:, place], int(cases[place]))
        for place, value in enumerate(whole)
    ]


def _figure(value: float, ends: NDArray[np.float64], cases: int) -> Figure:
    if not cases:
        return Figure(None, None, 0, "no case to compare")
    if not np.isfinite(value):
        return Figure(None, None, cases, "not defined, as all said the same of every case")
    interval = (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None
    return Figure(value, interval, cases)


def _fleiss(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From sums (..., 2 + C): shares of agreeing pairs, cases, and votes for each category."""
    share = sums[..., 0] / sums[..., 1]
    frequency = sums[..., 2:] / sums[..., 2:].sum(axis=-1, keepdims=True)
    expected = (frequency**2).sum(axis=-1)
    return np.where(expected < 1, (share - expected) / (1 - expected), np.nan)


def _cohen(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """From tables (..., C, C) of what one reader said by what the other said."""
    total = tables.sum(axis=(-2, -1))
    observed = np.trace(tables, axis1=-2, axis2=-1) / total
    expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / total**2
    return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)
