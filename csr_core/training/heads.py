"""Stage 3: the task head on similarity scores, and the heads it is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from csr_core.baselines import Layer
from csr_core.evidence import Profiles
from csr_core.metrics import macro_f1
from csr_core.network import CSRNetwork
from csr_core.score_model import LEAVE, edited_scores

__all__ = [
    "LinearHead",
    "class_weights",
    "concept_dropout",
    "fit_head",
    "fit_moves",
    "mean_loss",
    "measure_profiles",
    "set_task_head",
    "task_head_of",
    "tune_head",
    "weighted_losses",
]

STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
MIN_EXAMPLES = 10


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer on standardised inputs of F features.

    Attributes:
        weight: (classes, F).
        bias: (classes,).
        mean: (F,), of the inputs it was fitted to.
        deviation: (F,), likewise.
        validation: macro-F1 on validation, of the inputs themselves.
        strength: inverse regularisation that validation chose.
        losses: what it was chosen by, the weighted loss of each validation example, see `fit_head`.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    validation: float
    strength: float
    losses: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Mean of the losses."""
        return mean_loss(self.losses)

    def logits(self, inputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map inputs (N, F) to logits (N, classes)."""
        return (inputs - self.mean) / self.deviation @ self.weight.T + self.bias

    def folded(self) -> Layer:
        """The same layer on plain inputs."""
        weight = self.weight / self.deviation
        return Layer(weight, self.bias - weight @ self.mean)


def fit_head(
    inputs: NDArray[np.floating],
    diagnoses: NDArray[np.int64],
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    classes: int,
    others: Sequence[NDArray[np.floating]] = (),
    teacher: NDArray[np.floating] | None = None,
) -> LinearHead:
    """Fit a logistic head, its strength and temperature chosen on validation.

    Examples weigh by the inverse square root of how frequent their class is, see `class_weights`.
    The strength is chosen by the loss so weighted: macro-F1 of a few images is too coarse for that.

    Args:
        inputs: (N, F), scores or features.
        diagnoses: (N,), -1 where unknown; those rows are left out.
        fit: rows to fit to.
        validation: rows to select on.
        classes: number of classes.
        others: the inputs in other states, each (N, F), that the head must cope with as well; they
            are fitted to and selected on like the inputs themselves.
        teacher: (N, classes), probabilities by another model. Half of what an example counts goes
            to what the teacher says of it (distillation, Hinton et al. 2015), which says more of
            doubtful images than their labels do.

    Returns:
        The head whose loss on validation, each at its best temperature, is least; of equals the
        most regularised.

    Raises:
        ValueError: if the rows to fit to do not show every class.
    """
    fit, validation = fit[diagnoses[fit] >= 0], validation[diagnoses[validation] >= 0]
    if len(np.unique(diagnoses[fit])) < classes:
        raise ValueError("Some class has no example to fit to; add images of it.")
    mean = inputs[fit].mean(axis=0, dtype=np.float64)
    deviation = inputs[fit].std(axis=0, dtype=np.float64).clip(min=1e-6)
    states = [(state - mean) / deviation for state in (inputs, *others)]
    examples = np.concatenate([state[fit] for state in states])
    targets = np.tile(diagnoses[fit], len(states))
    weights = class_weights(targets, classes)
    if teacher is not None:
        # An example that is each class to some degree is one example a class, weighing as much.
        shares = (np.eye(classes)[targets] + np.tile(teacher[fit], (len(states), 1))) / 2
        weights = (weights[:, None] * shares).T.ravel()
        targets = np.repeat(np.arange(classes), len(examples))
        examples = np.tile(examples, (classes, 1))
    judged = np.concatenate([state[validation] for state in states])
    truth = np.tile(diagnoses[validation], len(states))
    heads = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength / len(states), max_iter=2000)
        model.fit(examples, targets, weights)
        weight, bias = model.coef_, model.intercept_
        if classes == 2:  # scikit-learn keeps one row for two classes
            weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        losses, _ = _least_losses(judged @ weight.T + bias, truth, class_weights(truth, classes))
        heads.append(LinearHead(weight, bias, mean, deviation, 0.0, strength, losses))
    best = min(heads, key=lambda head: head.loss)
    logits = best.logits(inputs[validation])
    known = diagnoses[validation]
    _, temperature = _least_losses(logits, known, np.ones(len(known)))
    return replace(
        best,
        weight=best.weight / temperature,
        bias=best.bias / temperature,
        validation=macro_f1(known, logits.argmax(axis=1), classes),
    )


def mean_loss(losses: NDArray[np.float64]) -> float:
    """Mean of losses (V,), 0 where there are none."""
    return float(losses.sum() / max(len(losses), 1))


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Weigh examples by the inverse square root of how frequent their class is among them.

    As in stage 1: without weights a head would neglect rare classes, and full balance gives them
    to too many images.

    Args:
        targets: (n,), the class of each example.
        classes: number of classes.

    Returns:
        (n,), 1 on average.
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    weights = counts[targets] ** -0.5
    return weights / weights.mean() if len(weights) else weights


def weighted_losses(
    logits: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cross-entropy of each example, weighted as in `fit_head`, and the slope of their sum.

    Args:
        logits: (n, classes).
        targets: (n,), the class of each example.

    Returns:
        (n,), and (n, classes), by the logits.
    """
    weight = class_weights(targets, logits.shape[1])
    every = np.arange(len(targets))
    log_probabilities = log_softmax(logits, axis=1)
    slope = np.exp(log_probabilities) * weight[:, None]
    slope[every, targets] -= weight
    return -weight * log_probabilities[every, targets], slope


def fit_moves(
    logits: NDArray[np.float64],
    examples: NDArray[np.floating],
    targets: NDArray[np.int64],
    strength: float,
    ridge: float,
) -> NDArray[np.float64]:
    """Fit what examples add to logits that they have already; a ridge holds it near nothing.

    Args:
        logits: (n, classes).
        examples: (n, F).
        targets: (n,), the class of each example.
        strength: weight of the losses, see `weighted_losses`.
        ridge: weight of half the squares of what is fitted.

    Returns:
        (F, classes).
    """
    shape = examples.shape[1], logits.shape[1]

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        moved = values.reshape(shape)
        losses, slope = weighted_losses(logits + examples @ moved, targets)
        gradient = strength * examples.T @ slope + ridge * moved
        return strength * losses.sum() + ridge / 2 * (moved**2).sum(), gradient.ravel()

    start = np.zeros(shape).ravel()
    return minimize(objective, start, jac=True, method="L-BFGS-B").x.reshape(shape)


def tune_head(
    start: LinearHead,
    inputs: NDArray[np.floating],
    diagnoses: NDArray[np.int64],
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    others: Sequence[NDArray[np.floating]] = (),
) -> LinearHead:
    """Move a head only as far as new examples ask for: a ridge holds it where it was.

    How far is chosen by the loss on validation: macro-F1 of a few images is too coarse for that.

    Args:
        start: the head, of another model's training.
        inputs: (N, F), the same scores as it reads.
        diagnoses: (N,), -1 where unknown; those rows are left out.
        fit: rows to fit to.
        validation: rows to select on.
        others: the inputs in other states, as in `fit_head`.

    Returns:
        The head whose loss on validation, weighted as in `fit_head`, is least; the start if none
        is better, with strength 0.
    """
    fit, validation = fit[diagnoses[fit] >= 0], validation[diagnoses[validation] >= 0]
    states = [(state - start.mean) / start.deviation for state in (inputs, *others)]
    examples = np.concatenate([state[fit] for state in states])
    targets = np.tile(diagnoses[fit], len(states))
    judged = np.concatenate([state[validation] for state in states])
    truth = np.tile(diagnoses[validation], len(states))
    heads = [replace(start, strength=0.0)]
    for strength in STRENGTHS if len(targets) else ():
        weight, bias = _tuned(start, examples, targets, strength / len(states))
        heads.append(replace(start, weight=weight, bias=bias, strength=strength))
    heads = [
        replace(head, losses=weighted_losses(judged @ head.weight.T + head.bias, truth)[0])
        for head in heads
    ]
    best = min(heads, key=lambda head: head.loss)
    said = best.logits(inputs[validation]).argmax(axis=1)
    return replace(
        best,
        validation=macro_f1(diagnoses[validation], said, len(start.bias)),
    )


def concept_dropout(
    scores: NDArray[np.float32],
    labels: NDArray[np.int8],
    profiles: Profiles,
    copies: int,
    seed: int,
) -> list[NDArray[np.float32]]:
    """Scores as a reader who knows the concepts may leave them, for a head that expects edits.

    In every copy each image has another random share of its concepts rejected or confirmed, as
    its labels say; a head that never met such scores is led astray by correct edits.

    Args:
        scores: s, (N, K, M), unedited.
        labels: (N, K), 1, 0 or -1 for unknown, which is left alone.
        profiles: (K, M) each.
        copies: how many.
        seed: of the choice.

    Returns:
        Copies of (N, K, M), edited in the calibrated semantics.
    """
    rng = np.random.default_rng(seed)
    edited = []
    for _ in range(copies):
        asked = rng.random(labels.shape) < rng.random((len(labels), 1))
        calls = np.where(asked, labels, np.int8(LEAVE))
        edited.append(edited_scores(scores, calls, profiles, "calibrated"))
    return edited


def set_task_head(network: CSRNetwork, head: LinearHead) -> None:
    """Put a head fitted to scores (N, K·M) into the network."""
    layer = network.task_head
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight).reshape(layer.weight.shape))
        layer.bias.copy_(torch.from_numpy(head.bias))
        layer.score_mean.copy_(torch.from_numpy(head.mean).reshape(layer.score_mean.shape))
        layer.score_deviation.copy_(
            torch.from_numpy(head.deviation).reshape(layer.score_mean.shape)
        )


def task_head_of(network: CSRNetwork) -> LinearHead:
    """The task head of a network as a head on flat scores (N, K·M), not validated yet."""
    layer = network.task_head
    weight, bias, mean, deviation = (
        tensor.detach().cpu().double().numpy()
        for tensor in (layer.weight, layer.bias, layer.score_mean, layer.score_deviation)
    )
    flat = weight.reshape(len(bias), -1)
    return LinearHead(flat, bias, mean.ravel(), deviation.ravel(), 0.0, 0.0, np.empty(0))


def measure_profiles(
    scores: NDArray[np.float32],
    labels: NDArray[np.int8],
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> Profiles:
    """Median score of each prototype over images where its concept is absent or present.

    Validation images are preferred, because the backbone scores those it was fitted to too well;
    where validation has fewer than ten examples, all training images are used.

    Args:
        scores: (N, K, M).
        labels: (N, K), 1, 0 or -1 for unknown.
        fit: rows the network was fitted to.
        validation: rows it was selected on.

    Returns:
        Profiles (K, M); present is raised to absent where a prototype is that uninformative.
    """
    K = labels.shape[1]
    profiles = []
    for value in (0, 1):
        profile = np.zeros(scores.shape[1:], dtype=np.float32)
        for concept in range(K):
            rows = validation[labels[validation, concept] == value]
            if len(rows) < MIN_EXAMPLES:
                everything = np.concatenate([fit, validation])
                rows = everything[labels[everything, concept] == value]
            if len(rows):
                profile[concept] = np.median(scores[rows, concept], axis=0)
            elif value == 1:
                profile[concept] = scores[:, concept].max(axis=0)
        profiles.append(profile)
    absent, present = profiles
    return Profiles(absent, np.maximum(absent, present))


def _tuned(
    start: LinearHead,
    examples: NDArray[np.floating],
    targets: NDArray[np.int64],
    strength: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight and bias that weigh the loss of examples against the distance from the start."""
    origin = np.column_stack([start.weight, start.bias])  # (classes, F + 1)
    extended = np.column_stack([examples, np.ones(len(examples))])
    moved = fit_moves(extended @ origin.T, extended, targets, strength, ridge=1.0)
    tuned = origin + moved.T
    return tuned[:, :-1], tuned[:, -1]


def _least_losses(
    logits: NDArray[np.float64], targets: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Cross-entropy of each example at the divisor of the logits that makes it least, and that."""

    def losses(log_temperature: float) -> NDArray[np.float64]:
        said = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -weights * said[np.arange(len(targets)), targets]

    best = minimize_scalar(lambda value: losses(value).mean(), bounds=(-6, 6), method="bounded").x
    return losses(best), float(np.exp(best))
