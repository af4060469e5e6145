"""What a reader's answers about whole concepts say of the diagnosis, learned from labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from csr_core.answers import LARGEST, AnswerWeights
from csr_core.datasets import Dataset
from csr_core.evaluation import untrained_rows
from csr_core.inference import run_network
from csr_core.reasoner import Reasoner
from csr_core.score_model import LEAVE, Ledger, ScoreModel
from csr_core.training.heads import fit_moves, weighted_losses

__all__ = ["SHARES", "fit_answers", "learn_answers"]

RIDGE = 10.0
"""Examples that a weight must be worth; it keeps those of rare answers small."""

SHARES = tuple(np.linspace(0, 1, 11).tolist())


def fit_answers(
    ledger: Ledger,
    labels: NDArray[np.int8],
    diagnoses: NDArray[np.int64],
    rows: NDArray[np.int64],
    unseen: NDArray[np.int64],
    start: AnswerWeights | None = None,
    shares: Sequence[float] = SHARES,
) -> AnswerWeights:
    """Learn how far true answers should move evidence, and what they add: logistic regression.

    Examples weigh as in `fit_head`.

    Args:
        ledger: of N images, with answers as marks on every patch.
        labels: (N, K), the answers: 1 confirmed, 0 rejected, -1 none.
        diagnoses: (N,), -1 where unknown; those rows are left out.
        rows: to fit the weights to.
        unseen: those of them that the backbone was not fitted to. Their loss chooses the share: of
            images that it was fitted to, the model is too sure for an answer to matter.
        start: weights the ridge pulls towards, such as those of the model this one comes from.
        shares: to choose from.

    Returns:
        Weights within the bounds that a checkpoint may have.
    """
    rows, unseen = (own[diagnoses[own] >= 0] for own in (rows, unseen))
    left, marked = ledger.logits(np.full_like(labels, LEAVE)), ledger.logits(labels)
    given = np.concatenate([labels == 0, labels == 1], axis=1).astype(float)  # (N, 2K)
    origin = np.zeros((given.shape[1], left.shape[1]))
    if start is not None:
        origin = np.concatenate([start.rejected.T, start.confirmed.T])
    fits = []
    for share in shares:
        logits = left + share * (marked - left) + given @ origin
        moved = fit_moves(logits[rows], given[rows], diagnoses[rows], strength=1.0, ridge=RIDGE)
        losses, _ = weighted_losses(logits[unseen] + given[unseen] @ moved, diagnoses[unseen])
        fits.append((losses.sum(), share, origin + moved))
    _, share, table = min(fits, key=lambda fit: fit[0])
    rejected, confirmed = np.split(table.clip(-LARGEST, LARGEST).T, 2, axis=1)
    return AnswerWeights(rejected.copy(), confirmed.copy(), share)


def learn_answers(reasoner: Reasoner, dataset: Dataset, split: str) -> AnswerWeights:
    """Learn the weights of answers beside a model from images it was not trained on.

    Args:
        reasoner: the model; weights that it has are where learning starts.
        dataset: with the model's concepts and classes, and labels of both.
        split: name of the rows to learn from.

    Raises:
        ValueError: if names differ, no diagnosis is known, or the model was trained on the rows.
    """
    if (dataset.concepts, dataset.classes) != (reasoner.concepts, reasoner.classes):
        raise ValueError("The data set has other concepts or diagnoses than the model.")
    rows = untrained_rows(reasoner, dataset, split)
    rows = rows[dataset.diagnoses[rows] >= 0]
    if not len(rows):
        raise ValueError(f"No image of split {split!r} has a known diagnosis to learn from.")
    marks = replace(ScoreModel.of(reasoner), answers=None)
    ledger = marks.ledger(run_network(reasoner.network, dataset, rows).scores, "calibrated")
    labels, diagnoses, every = dataset.concept_labels, dataset.diagnoses, np.arange(len(rows))
    return fit_answers(ledger, labels[rows], diagnoses[rows], every, every, reasoner.answers)
