"""The atlas: which training patch each prototype stands for (Eq. 11)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

__all__ = [
    "Atlas",
    "AtlasEntry",
    "atlas_from_json",
    "atlas_to_json",
    "prototype_hits",
    "reliance_of_prototypes",
]

_PICTURE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}\.jpg")


@dataclass(frozen=True)
class AtlasEntry:
    """What one prototype stands for.

    Attributes:
        concept: index of its concept.
        prototype: its number within the concept.
        image_id: training image that holds the most similar patch.
        row: of that patch in the grid.
        column: of that patch in the grid.
        similarity: cosine of prototype and patch.
        hits: training vectors of its concept that it is nearest to; 0 is a dead prototype.
        reliance: mean change of the diagnosis when it is silenced, see `reliance_of_prototypes`.
        picture: crop of the training image around the patch, if the checkpoint ships it.
        discarded: whether a reader threw it out, so that the diagnosis does not heed it.
    """

    concept: int
    prototype: int
    image_id: str
    row: int
    column: int
    similarity: float
    hits: int
    reliance: float
    picture: Path | None = None
    discarded: bool = False

    @property
    def alive(self) -> bool:
        """Whether any training vector is nearest to it and no reader threw it out.

        Others are never shown as exemplars.
        """
        return self.hits > 0 and not self.discarded


class Atlas:
    """One entry a prototype.

    Args:
        entries: K lists of M.

    Raises:
        ValueError: if an entry is not where its indices say.
    """

    def __init__(self, entries: Sequence[Sequence[AtlasEntry]]) -> None:
        for concept, row in enumerate(entries):
            for prototype, entry in enumerate(row):
                if (entry.concept, entry.prototype) != (concept, prototype):
                    raise ValueError(
                        f"Atlas entry {entry.concept}/{entry.prototype} stands at "
                        f"{concept}/{prototype}."
                    )
        self._entries = tuple(tuple(row) for row in entries)

    def __getitem__(self, index: tuple[int, int]) -> AtlasEntry:
        """Entry of a (concept, prototype)."""
        concept, prototype = index
        return self._entries[concept][prototype]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """(K, M), whether each prototype is alive."""
        return np.array([[entry.alive for entry in row] for row in self._entries])

    @property
    def hits(self) -> NDArray[np.int64]:
        """(K, M), training vectors that each prototype is nearest to."""
        return np.array([[entry.hits for entry in row] for row in self._entries])

    @property
    def discarded(self) -> NDArray[np.bool_]:
        """(K, M), whether each prototype was thrown out."""
        return np.array([[entry.discarded for entry in row] for row in self._entries])

    @property
    def shape(self) -> tuple[int, int]:
        """(K, M)."""
        return len(self._entries), len(self._entries[0])


def atlas_to_json(atlas: Atlas) -> dict[str, Any]:
    """Write an atlas as JSON values; of pictures only the file names."""
    K, M = atlas.shape
    records = []
    for concept, prototype in np.ndindex(K, M):
        entry = atlas[concept, prototype]
        records.append(
            asdict(entry)
            | {
                "similarity": round(entry.similarity, 5),
                "reliance": round(entry.reliance, 6),
                "picture": entry.picture and entry.picture.name,
            }
        )
    return {"entries": records}


def atlas_from_json(
    value: Mapping[str, Any], folder: Path, shape: tuple[int, int], grid: tuple[int, int]
) -> Atlas:
    """Read what `atlas_to_json` wrote, from a file that may come from anyone.

    Args:
        value: the JSON object.
        folder: where the pictures lie.
        shape: (K, M), the entries to expect.
        grid: rows and columns of the patch grid.

    Raises:
        ValueError, KeyError, TypeError: naming what is wrong.
    """
    K, M = shape
    records = value.get("entries")
    if not isinstance(records, list) or len(records) != K * M:
        raise ValueError(f"it needs {K * M} entries, one a prototype")
    entries = [_entry(record, folder, grid) for record in records]
    return Atlas([entries[concept * M : (concept + 1) * M] for concept in range(K)])


def _entry(record: dict[str, Any], folder: Path, grid: tuple[int, int]) -> AtlasEntry:
    picture = record["picture"]
    if picture is not None and not _PICTURE.fullmatch(picture):
        raise ValueError("a picture is not the plain name of a .jpg file")
    for key in ("concept", "prototype", "row", "column", "hits"):
        if type(record[key]) is not int or record[key] < 0:
            raise ValueError(f"{key} is not a whole number from 0")
    if record["row"] >= grid[0] or record["column"] >= grid[1]:
        raise ValueError(f"a patch is outside the grid of {grid[0]} × {grid[1]}")
    # Atlases of before prototypes could be discarded do not say.
    discarded = record.get("discarded", False)
    if type(discarded) is not bool:
        raise ValueError("discarded is neither true nor false")
    figures = np.array([record["similarity"], record["reliance"]])
    if figures.dtype.kind not in "if" or not np.isfinite(figures).all():
        raise ValueError("similarity and reliance must be numbers")
    return AtlasEntry(
        concept=record["concept"],
        prototype=record["prototype"],
        image_id=str(record["image_id"])[:200],
        row=record["row"],
        column=record["column"],
        similarity=float(record["similarity"]),
        hits=record["hits"],
        reliance=float(record["reliance"]),
        picture=None if picture is None else folder / picture,
        discarded=discarded,
    )


def prototype_hits(
    vectors: NDArray[np.float32], concepts: NDArray[np.int64], prototypes: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Count the training vectors each prototype wins within its own concept.

    Args:
        vectors: v', (N, D), unit length.
        concepts: (N,), the concept each vector was pooled for.
        prototypes: (K, M, D), unit length.

    Returns:
        (K, M); a row sums to the number of vectors of its concept.
    """
    K, M, _ = prototypes.shape
    hits = np.zeros((K, M), dtype=np.int64)
    for concept in range(K):
        nearest = (vectors[concepts == concept] @ prototypes[concept].T).argmax(axis=1)
        hits[concept] = np.bincount(nearest, minlength=M)
    return hits


def reliance_of_prototypes(
    scores: NDArray[np.float32],
    absent: NDArray[np.float32],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far the diagnosis moves when one prototype is set to its absent profile.

    Args:
        scores: (N, K, M), of images the model was not fitted to.
        absent: (K, M), the absent profile.
        weight: (classes, K, M), of the folded task head.
        bias: (classes,).

    Returns:
        (K, M): half the absolute change of the probabilities, summed over classes and averaged
        over images; 0 is no effect, 1 turns every diagnosis round.
    """
    logits = np.einsum("nkm,ckm->nc", scores, weight) + bias  # (N, classes)
    plain = softmax(logits, axis=1)
    K, M = absent.shape
    reliance = np.zeros((K, M))
    for concept in range(K):
        for prototype in range(M):
            step = scores[:, concept, prototype] - absent[concept, prototype]  # (N,)
            moved = logits - step[:, None] * weight[:, concept, prototype]
            silenced = softmax(moved, axis=1)
            reliance[concept, prototype] = np.abs(silenced - plain).sum(axis=1).mean() / 2
    return reliance
