"""Reasoning from similarity scores alone, for thousands of images at once.

Rejecting and confirming a concept treat all patches of an image alike, so what they do can be
told from its scores, without its maps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from csr_core.advice import influence
from csr_core.answers import AnswerWeights, in_effect, share_in_effect
from csr_core.evidence import (
    CONFIRMED,
    REJECTED,
    UNMARKED,
    Profiles,
    Semantics,
    apply_evidence,
)
from csr_core.reasoner import Reasoner

__all__ = ["CONFIRM", "LEAVE", "REJECT", "Calls", "Ledger", "ScoreModel", "edited_scores"]

LEAVE, REJECT, CONFIRM = -1, 0, 1
"""Calls on a concept, in the code of the labels: unknown, absent, present."""

Calls = NDArray[np.int8]


def edited_scores(
    scores: NDArray[np.float32],
    calls: Calls,
    profiles: Profiles,
    semantics: Semantics,
    share: float = 1.0,
) -> NDArray[np.float32]:
    """Scores after rejecting and confirming concepts, as `Reasoner.reason` has them.

    Args:
        scores: s, (N, K, M), unedited.
        calls: (N, K), `LEAVE`, `REJECT` or `CONFIRM`.
        profiles: (K, M) each.
        semantics: "calibrated" or "paper"; in the paper's nothing can be added to evidence, so
            confirming changes nothing.
        share: how far calls move evidence, see `apply_evidence`.

    Returns:
        (N, K, M), bit for bit what the similarity maps would give.

    Raises:
        EditError: if the semantics has another name.
    """
    N, K, M = scores.shape
    # What happens to every patch alike is monotone in the similarity, so it commutes with the
    # maximum over patches: an image may stand for its best patch alone.
    marks = np.select([calls == REJECT, calls == CONFIRM], [REJECTED, CONFIRMED], UNMARKED)
    _, edited = apply_evidence(
        scores.reshape(N * K, M, 1, 1),
        marks.astype(np.int8).reshape(N * K, 1, 1),
        np.zeros((1, 1), bool),
        profiles.of(np.tile(np.arange(K), N)),
        semantics,
        share,
    )
    return edited.reshape(N, K, M)


@dataclass(frozen=True, eq=False)
class ScoreModel:
    """What follows from similarity scores: the task head and the profiles of a model.

    Attributes:
        weight: W, (classes, K, M), of plain scores.
        bias: (classes,); logits = Σ_km W_ckm s_km + bias.
        profiles: (K, M) each.
        answers: what rejecting and confirming say of the diagnosis, if the model learned that.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    profiles: Profiles
    answers: AnswerWeights | None = None

    @classmethod
    def of(cls, reasoner: Reasoner) -> "ScoreModel":
        """The part of a loaded model that comes after its scores."""
        weight, bias = reasoner.network.task_head.folded()
        return cls(weight.cpu().numpy(), bias.cpu().numpy(), reasoner.profiles, reasoner.answers)

    def ledger(self, scores: NDArray[np.float32], semantics: Semantics) -> "Ledger":
        """What each concept adds to the logits of N images, under each call on it.

        Args:
            scores: (N, K, M), unedited.
            semantics: how the calls are read.

        Raises:
            EditError: if the semantics has another name.
        """
        weights = in_effect(self.answers, semantics)
        share = share_in_effect(self.answers, semantics)
        parts = []
        for call in (LEAVE, REJECT, CONFIRM):
            calls = np.full(scores.shape[:2], call, dtype=np.int8)
            edited = edited_scores(scores, calls, self.profiles, semantics, share)
            parts.append(self._added(edited))
        left, rejected, confirmed = parts
        if weights is not None:
            rejected, confirmed = rejected + weights.rejected.T, confirmed + weights.confirmed.T
        return Ledger(self.bias, left, rejected, confirmed)

    def _added(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Σ_m W_ckm s_km, (N, K, classes)."""
        # (K, N, M) @ (K, M, classes) is several times faster than one einsum.
        added = scores.transpose(1, 0, 2) @ self.weight.transpose(1, 2, 0)
        return added.transpose(1, 0, 2)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What each concept adds to the logits of N images, under each call on it.

    Attributes:
        bias: (classes,).
        left: Σ_m W_ckm s_km with the concept left alone, (N, K, classes).
        rejected: likewise with the concept rejected.
        confirmed: likewise with the concept confirmed.
    """

    bias: NDArray[np.float64]
    left: NDArray[np.float64]
    rejected: NDArray[np.float64]
    confirmed: NDArray[np.float64]

    def logits(self, calls: Calls) -> NDArray[np.float64]:
        """Of the classes (N, classes), after calls (N, K)."""
        return self.bias + self._added(calls).sum(axis=1)

    def probabilities(self, calls: Calls) -> NDArray[np.float64]:
        """Of the classes (N, classes), after calls (N, K)."""
        return softmax(self.logits(calls), axis=1)

    def influence(self, calls: Calls) -> NDArray[np.float64]:
        """Influence of each concept (N, K), the calls (N, K) on all others being as given."""
        added = self._added(calls)
        others = self.bias + added.sum(axis=1, keepdims=True) - added  # (N, K, classes)
        return influence(
            softmax(others + self.rejected, axis=2), softmax(others + self.confirmed, axis=2)
        )

    def _added(self, calls: Calls) -> NDArray[np.float64]:
        chosen = calls[..., None]
        return np.select(
            [chosen == REJECT, chosen == CONFIRM], [self.rejected, self.confirmed], self.left
        )
