"""What a simulated reader's marks on patches are worth in cross-validation."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from csr_core.advice import margins_of
from csr_core.datasets import Dataset, load_image
from csr_core.evidence import Semantics
from csr_core.reasoner import Reasoner
from csr_core.review_worth import worth
from csr_core.revision import Revision
from csr_core.safety import UNDECIDED_MARGIN
from csr_core.spatial_review import Mark, known_regions, spatial_edits

__all__ = ["mark_figures", "review_marks"]

REVIEWS: Mapping[str, tuple[Mark, ...]] = {
    "focus on the lesion": ("focus",),
    "suppress outside": ("suppress",),
    "force inside": ("force",),
    "suppress outside, force inside": ("suppress", "force"),
}

PROTOCOL = (
    "A simulated reader knows the lesion and the regions of the present concepts, and marks every "
    "image where they are known: the lesion as focus, the patches outside the regions of a concept "
    f"as suppressed, those inside as forced. “margin {UNDECIDED_MARGIN:g}”: only images whose two "
    f"likeliest diagnoses are less than {UNDECIDED_MARGIN:g} apart. Marks on a concept tell that "
    "it is present, those on the lesion tell nothing of the concepts."
)


def review_marks(
    reasoner: Reasoner, dataset: Dataset, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Let the reader mark images, and see what the model says then.

    Args:
        reasoner: the model.
        dataset: with the images.
        rows: of N images.

    Returns:
        By semantics and review, as "marks/<semantics>/<review>", the diagnosis of each image after
        it and the number of edits, (N, 2); nothing of reviews that the data set has no regions for.
    """
    grid = reasoner.grid
    regions = [known_regions(dataset, row, grid) for row in rows]
    reviews = {
        name: [spatial_edits(known, marks, grid) for known in regions]
        for name, marks in REVIEWS.items()
    }
    reviews = {name: edits for name, edits in reviews.items() if any(edits)}
    if not reviews:
        return {}
    found = {
        (semantics, name): np.zeros((len(rows), 2), dtype=np.int64)
        for semantics in get_args(Semantics)
        for name in reviews
    }
    for place, row in enumerate(tqdm(rows, "marks", unit="image")):
        if dataset.diagnoses[row] < 0:
            continue
        case = reasoner.encode(load_image(dataset, row))
        for (semantics, name), seen in found.items():
            edits = reviews[name][place]
            said = reasoner.reason(case, edits, semantics).probabilities.argmax()
            seen[place] = said, len(edits)
    return {f"marks/{semantics}/{name}": seen for (semantics, name), seen in found.items()}


def mark_figures(arrays: Mapping[str, NDArray]) -> dict[str, Any]:
    """Say what the marks were worth.

    Args:
        arrays: of N images: `truth` (N,), -1 where unknown, `logits_csr` (N, classes), and what
            `review_marks` found.

    Returns:
        JSON values: by semantics and review the effect, `macro_f1_change` with its paired 95 %
        bootstrap `interval`; empty where nothing was marked.
    """
    known = arrays["truth"] >= 0
    logits = arrays["logits_csr"][known]
    figures: dict[str, Any] = {}
    for key, seen in arrays.items():
        kind, _, rest = key.partition("/")
        if kind != "marks":
            continue
        semantics, _, name = rest.partition("/")
        after, edits = seen[known].T
        revision = Revision(
            truth=arrays["truth"][known],
            before=logits.argmax(axis=1),
            after=after,
            edits=edits,
            margins=margins_of(softmax(logits, axis=1)),
            classes=logits.shape[1],
        )
        figures.setdefault(semantics, {})[name] = worth(revision)
        figures[semantics][f"{name}, margin {UNDECIDED_MARGIN:g}"] = worth(
            revision.triggered(UNDECIDED_MARGIN)
        )
    return figures | {"protocol": PROTOCOL} if figures else {}
