"""What the model offers a reader: suggested marks, and which case to look at next."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from csr_core.advice import presence
from csr_core.annotation.records import Presence
from csr_core.annotation.store import Store
from csr_core.edits import Cell
from csr_core.imaging import ImageError
from csr_core.presence import USUAL_PRESENCE
from csr_core.reasoner import EncodedCase, Reasoner

__all__ = [
    "EncodedCases",
    "Suggestion",
    "diversity_order",
    "rank_cases",
    "suggestions",
    "undecidedness",
]

SURE = 0.8
"""Probability from which a concept is suggested as present, and its complement as absent."""
REGION_LEVEL = 0.25
"""Level between a concept's profiles from which a patch belongs to its suggested region: of the
levels tried the one with the best Dice on phantom images."""
LEADING = 1000
"""Cases that are ordered by diversity exactly; those after them by what is left."""


@dataclass(frozen=True)
class Suggestion:
    """What the model thinks of one concept in one image.

    Attributes:
        presence: "yes", "no", or "unsure" where the model can't tell.
        probability: that the concept is there, in [0, 1].
        cells: patches it is seen in as (row, column), in reading order; given whenever the concept
            may be there, so none only where `presence` is "no".
    """

    presence: Presence
    probability: float
    cells: tuple[Cell, ...]


def suggestions(reasoner: Reasoner, encoded: EncodedCase) -> dict[str, Suggestion]:
    """Suggest a mark for every concept of an image.

    Args:
        reasoner: the model.
        encoded: the image, from `reasoner.encode`.

    Returns:
        One suggestion a concept of the model, in the model's order.

    Raises:
        ValueError: if another model encoded the case.
    """
    probabilities = _presence_probabilities(reasoner, encoded)
    absent, present = reasoner.profiles.absent, reasoner.profiles.present  # (K, M)
    maps = reasoner.concept_maps(encoded)  # (K, H, W)
    low, high = absent.max(axis=1), present.max(axis=1)
    found = {}
    for index, concept in enumerate(reasoner.concepts):
        probability = float(probabilities[index])
        said: Presence = "unsure"
        if max(probability, 1 - probability) >= SURE:
            said = "yes" if probability > 0.5 else "no"
        level = low[index] + REGION_LEVEL * (high[index] - low[index])
        inside = maps[index] >= min(level, maps[index].max())
        cells = () if said == "no" else tuple((int(r), int(c)) for r, c in np.argwhere(inside))
        found[concept] = Suggestion(said, probability, cells)
    return found


def undecidedness(reasoner: Reasoner, encoded: EncodedCase) -> float:
    """How little the model knows of an image: the more, the more its marks would teach.

    Args:
        reasoner: the model.
        encoded: the image, from `reasoner.encode`.

    Returns:
        The mean entropy of its concepts and of its diagnosis, each in units of the largest
        possible; 0 where all is certain, 1 where nothing is known.

    Raises:
        ValueError: if another model encoded the case.
    """
    present = _presence_probabilities(reasoner, encoded)
    concepts = (entr(present) + entr(1 - present)) / np.log(2)
    probabilities = reasoner.reason(encoded).probabilities
    diagnosis = entr(probabilities).sum() / np.log(max(len(probabilities), 2))
    return float(np.append(concepts, diagnosis).mean())


def diversity_order(pooled: NDArray[np.floating]) -> NDArray[np.int64]:
    """Order cases so that each is as unlike those before it as can be (k-centre, greedy).

    The first is the one nearest to the mean; ties go to the case listed first.

    Args:
        pooled: pooled features of N cases, (N, C).

    Returns:
        (N,), the rank of each case, 0 for the one to read first.
    """
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True).clip(min=1e-12)
    unit = unit.astype(np.float32)
    ranks = np.empty(len(unit), dtype=np.int64)
    if not len(unit):
        return ranks
    left = np.ones(len(unit), dtype=bool)
    distance = np.full(len(unit), np.inf, dtype=np.float32)
    chosen = int((unit @ unit.mean(axis=0)).argmax())
    exact = min(LEADING, len(unit))
    for rank in range(exact):
        ranks[chosen], left[chosen] = rank, False
        distance = np.minimum(distance, 1 - unit @ unit[chosen])
        chosen = int(np.where(left, distance, -np.inf).argmax())
    rest = np.flatnonzero(left)
    ranks[rest[np.argsort(-distance[rest], kind="stable")]] = np.arange(exact, len(unit))
    return ranks


def rank_cases(store: Store, project: str, cases: "EncodedCases") -> int:
    """Put the cases of a project in the orders in which a model would ask for them.

    Every image is encoded once, which takes a while: not for a thread that someone waits for.

    Args:
        store: with the project.
        project: its name.
        cases: of the model.

    Returns:
        Number of cases ranked; images that can't be read are left where they are.

    Raises:
        StoreError: if there is no such project.
    """
    told = store.project(project)
    undecided: dict[int, float] = {}
    pooled = []
    for case in store.cases(told.name):
        try:
            encoded = cases.encoded(told.folder / case.path)
        except (ImageError, OSError):
            continue
        undecided[case.id] = undecidedness(cases.reasoner, encoded)
        pooled.append(encoded.pooled)
    if pooled:
        ranks = diversity_order(np.stack(pooled)).tolist()
        places = dict(zip(undecided, ranks, strict=True))
        store.rank(told.name, cases.reasoner.model_hash, undecided, places)
    return len(pooled)


class EncodedCases:
    """Encoded images of a model, the most recently used ones kept, so that cases open fast.

    May be used by several threads; two that ask for the same new image at once both encode it.

    Args:
        reasoner: the model.
        limit: bytes of similarity maps kept at most.
    """

    def __init__(self, reasoner: Reasoner, limit: int = 128_000_000) -> None:
        self.reasoner = reasoner
        self._limit = limit
        self._size = 0
        self._cases: OrderedDict[tuple[str, int, int], EncodedCase] = OrderedDict()
        self._lock = Lock()

    def encoded(self, path: Path) -> EncodedCase:
        """Return the encoded image of a file; a file that changed is encoded again.

        Raises:
            ImageError: if the image can't be used.
            OSError: if the file can't be read.
        """
        state = path.stat()
        key = (str(path), state.st_mtime_ns, state.st_size)
        with self._lock:
            if key in self._cases:
                self._cases.move_to_end(key)
                return self._cases[key]
        case = self.reasoner.encode(path)
        with self._lock:
            if key not in self._cases:
                self._cases[key] = case
                self._size += case.similarity_maps.nbytes
            while self._size > self._limit and len(self._cases) > 1:
                _, dropped = self._cases.popitem(last=False)
                self._size -= dropped.similarity_maps.nbytes
        return case


def _presence_probabilities(reasoner: Reasoner, encoded: EncodedCase) -> NDArray[np.float64]:
    """Probability of each concept, (K,)."""
    scores = reasoner.reason(encoded).scores  # checks that the case is the model's
    measured = reasoner.calibration.presence if reasoner.calibration else None
    return (measured or USUAL_PRESENCE).probabilities(presence(scores, reasoner.profiles))
