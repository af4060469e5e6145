"""Stage 3, last part: what a reader's answers about whole concepts say of the diagnosis."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from csr_core.answers import LARGEST, AnswerWeights
from csr_core.training.heads import class_weights

__all__ = ["fit_answers"]

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
    weight = class_weights(diagnoses[rows], classes)

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = values.reshape(2 * K, classes)
        said = log_softmax(logits[rows] + given @ (origin + moved), axis=1)
        loss = -(weight * (truth * said).sum(axis=1)).sum() + RIDGE / 2 * (moved**2).sum()
        slope = given.T @ (weight[:, None] * (np.exp(said) - truth)) + RIDGE * moved
        return float(loss), slope.ravel()

    found = minimize(objective, np.zeros(origin.size), jac=True, method="L-BFGS-B")
    table = (origin + found.x.reshape(origin.shape)).clip(-LARGEST, LARGEST).T  # (classes, 2K)
    return AnswerWeights(table[:, :K].copy(), table[:, K:].copy())
