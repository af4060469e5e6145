"""Diagnoses before and after a review, and what the review was worth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csr_core.metrics import macro_f1

__all__ = ["Effect", "Revision", "pooled"]


@dataclass(frozen=True)
class Effect:
    """What a review did to the figures.

    Attributes:
        images: number of images, reviewed or not.
        macro_f1_before: of the unedited verdicts.
        macro_f1: of the verdicts after the review.
        fixed: images whose diagnosis was wrong and became right.
        broken: images whose diagnosis was right and became wrong.
        edits: mean number of edits an image, over all images.
    """

    images: int
    macro_f1_before: float
    macro_f1: float
    fixed: int
    broken: int
    edits: float

    @property
    def net(self) -> int:
        """Diagnoses that are right now, more than before."""
        return self.fixed - self.broken

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "net": self.net}


@dataclass(frozen=True, eq=False)
class Revision:
    """The diagnoses of N images before and after a review.

    Attributes:
        truth: (N,) true classes.
        before: (N,) classes of the unedited verdicts.
        after: (N,) classes after the edits.
        edits: (N,) number of edits.
        margins: (N,) between the two likeliest classes of the unedited verdict, in [0, 1].
        classes: number of classes.
    """

    truth: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    edits: NDArray[np.int64]
    margins: NDArray[np.float64]
    classes: int

    def triggered(self, threshold: float | None) -> "Revision":
        """The same review had only images with a margin below the threshold been looked at.

        Args:
            threshold: in probability, the paper's is 0.3; None looks at every image.
        """
        if threshold is None:
            return self
        reviewed = self.margins < threshold
        return replace(
            self,
            after=np.where(reviewed, self.after, self.before),
            edits=np.where(reviewed, self.edits, 0),
        )

    def effect(self) -> Effect:
        """Count what changed."""
        right_before, right_after = self.before == self.truth, self.after == self.truth
        return Effect(
            images=len(self.truth),
            macro_f1_before=macro_f1(self.truth, self.before, self.classes),
            macro_f1=macro_f1(self.truth, self.after, self.classes),
            fixed=int((~right_before & right_after).sum()),
            broken=int((right_before & ~right_after).sum()),
            edits=float(self.edits.mean()),
        )


def pooled(revisions: Sequence[Revision]) -> Revision:
    """Put the images of several reviews together, such as those of cross-validation folds.

    Args:
        revisions: at least one, all of the same classes.
    """
    fields = ("truth", "before", "after", "edits", "margins")
    whole: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in revisions]) for name in fields
    }
    return replace(revisions[0], **whole)
