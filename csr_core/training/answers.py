"""What a reader's answers about whole concepts say of the diagnosis, learned from labels."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from csr_core.answers import LARGEST, AnswerWeights
from csr_core.datasets import Dataset
from csr_core.evaluation import untrained_rows
from csr_core.inference import run_network
from csr_core.reasoner import Reasoner
from csr_core.training.heads import class_weights

__all__ = ["fit_answers", "learn_answers"]

RIDGE = 10.0
"""Examples that a weight must be worth; it keeps those of rare answers small."""


def fit_answers(
    logits: NDArray[np.float64],
    labels: NDArray[np.int8],
    diagnoses: NDArray[np.int64],
    rows: NDArray[np.int64],
    start: AnswerWeights | None = None,
) -> AnswerWeights:
    """Learn what true answers add to logits that stay as they are: logistic regression.

    Examples weigh as in `fit_head`.

    Args:
        logits: of the task head, (N, classes).
        labels: (N, K), the answers: 1 confirmed, 0 rejected, -1 none.
        diagnoses: (N,), -1 where unknown; those rows are left out.
        rows: to fit to.
        start: weights the ridge pulls towards, such as those of the model this one comes from.

    Returns:
        Weights within the bounds that a checkpoint may have.
    """
    rows = rows[diagnoses[rows] >= 0]
    K, classes = labels.shape[1], logits.shape[1]
    origin = np.zeros((2 * K, classes))
    if start is not None:
        origin = np.concatenate([start.rejected.T, start.confirmed.T])
    given = np.concatenate([labels[rows] == 0, labels[rows] == 1], axis=1).astype(float)
    truth = np.eye(classes)[diagnoses[rows]]  # (n, classes)
    weight, unanswered = class_weights(diagnoses[rows], classes), logits[rows]

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = values.reshape(2 * K, classes)
        said = log_softmax(unanswered + given @ (origin + moved), axis=1)
        loss = -(weight * (truth * said).sum(axis=1)).sum() + RIDGE / 2 * (moved**2).sum()
        slope = given.T @ (weight[:, None] * (np.exp(said) - truth)) + RIDGE * moved
        return float(loss), slope.ravel()

    found = minimize(objective, np.zeros(origin.size), jac=True, method="L-BFGS-B")
    table = (origin + found.x.reshape(origin.shape)).clip(-LARGEST, LARGEST).T  # (classes, 2K)
    return AnswerWeights(table[:, :K].copy(), table[:, K:].copy())


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
    logits = np.zeros((len(dataset), len(dataset.classes)))
    logits[rows] = run_network(reasoner.network, dataset, rows).logits
    labels, diagnoses = dataset.concept_labels, dataset.diagnoses
    return fit_answers(logits, labels, diagnoses, rows, reasoner.answers)
