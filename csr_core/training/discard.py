"""Throwing out prototypes that stand for the wrong thing, and refitting the task head without them.

Nothing else of the model changes: similarity maps, scores, profiles and shapes stay as they were.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from csr_core.atlas import Atlas, reliance_of_prototypes
from csr_core.checkpoint import Checkpoint
from csr_core.interventions import ScoredImages
from csr_core.score_model import ScoreModel
from csr_core.training.answers import fit_answers
from csr_core.training.heads import LinearHead, concept_dropout, fit_head, set_task_head

__all__ = ["discard_prototypes", "fit_head_without"]


def discard_prototypes(
    checkpoint: Checkpoint,
    discarded: NDArray[np.bool_],
    training: ScoredImages,
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    *,
    copies: int = 0,
    seed: int = 0,
) -> Checkpoint:
    """Refit the task head without some prototypes, which get weight 0 and are marked in the atlas.

    What answers are worth beside the new head is measured anew, if the model had learned it.

    Args:
        checkpoint: the model; it stays as it is.
        discarded: (K, M), the prototypes to throw out; all others count again, even those that
            were thrown out before.
        training: the images it was trained on, with their scores by this model.
        fit: rows of these to fit to.
        validation: rows to select on.
        copies: of `concept_dropout`, as in training.
        seed: of `concept_dropout`.

    Returns:
        The refined model, not saved yet: its hash is empty. Reliance in its atlas is measured anew.

    Raises:
        ValueError: if the shapes don't belong together, or no prototype would be left.
    """
    if not discarded.shape == checkpoint.atlas.shape == training.scores.shape[1:]:
        raise ValueError(
            f"The model has {checkpoint.atlas.shape} prototypes, but {discarded.shape} marks and "
            f"{training.scores.shape[1:]} scores were given."
        )
    profiles = checkpoint.profiles
    edited = concept_dropout(training.scores, training.labels, profiles, copies, seed)
    head = fit_head_without(discarded, [training.scores, *edited], training.diagnoses, fit,
                            validation, len(checkpoint.classes))  # fmt: skip
    network = deepcopy(checkpoint.network)
    set_task_head(network, head)
    weight, bias = (tensor.detach().cpu().numpy() for tensor in network.task_head.folded())
    reliance = reliance_of_prototypes(training.scores[validation], profiles.absent, weight, bias)
    answers = checkpoint.answers and fit_answers(
        ScoreModel(weight, bias, profiles).ledger(training.scores, "calibrated"),
        training.labels,
        training.diagnoses,
        np.concatenate([fit, validation]),
        validation,
    )
    K, M = discarded.shape
    entries = [
        [
            replace(
                checkpoint.atlas[concept, prototype],
                discarded=bool(discarded[concept, prototype]),
                reliance=float(reliance[concept, prototype]),
            )
            for prototype in range(M)
        ]
        for concept in range(K)
    ]
    return replace(
        checkpoint, network=network, atlas=Atlas(entries), answers=answers, model_hash=""
    )


def fit_head_without(
    discarded: NDArray[np.bool_],
    states: list[NDArray[np.float32]],
    diagnoses: NDArray[np.int64],
    fit: NDArray[np.int64],
    validation: NDArray[np.int64],
    classes: int,
) -> LinearHead:
    """Fit a task head to the scores of the prototypes that are kept.

    Args:
        discarded: (K, M).
        states: scores (N, K, M), first unedited, then in other states, see `fit_head`.
        diagnoses: (N,), -1 where unknown.
        fit: rows to fit to.
        validation: rows to select on.
        classes: number of classes.

    Returns:
        A head on all K·M scores, with weight 0 for the discarded.

    Raises:
        ValueError: if nothing is kept, or the rows to fit to do not show every class.
    """
    kept = np.flatnonzero(~discarded)
    if not len(kept):
        raise ValueError("Every prototype would be discarded; keep at least one.")
    own, *others = (state.reshape(len(state), -1)[:, kept] for state in states)
    head = fit_head(own, diagnoses, fit, validation, classes, others)
    weight = np.zeros((classes, discarded.size))
    mean, deviation = np.zeros(discarded.size), np.ones(discarded.size)
    weight[:, kept], mean[kept], deviation[kept] = head.weight, head.mean, head.deviation
    return replace(head, weight=weight, mean=mean, deviation=deviation)
