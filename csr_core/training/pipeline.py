"""The three stages in a row, and what they are worth on images kept back."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from tqdm import tqdm

from csr_core.answers import AnswerWeights
from csr_core.baselines import Baselines
from csr_core.checkpoint import round_weights
from csr_core.datasets import Dataset
from csr_core.evidence import Profiles, Semantics
from csr_core.figures import differences
from csr_core.files import read_json, write_json_atomic
from csr_core.intervals import macro_f1_interval
from csr_core.interventions import ScoredImages
from csr_core.metrics import macro_f1
from csr_core.network import CSRNetwork, NetworkConfig
from csr_core.review_worth import fixed_reviews
from csr_core.score_model import ScoreModel
from csr_core.training.answers import SHARES, fit_answers
from csr_core.training.concept_model import train_concept_model
from csr_core.training.features import (
    FrozenFeatures,
    cache_features,
    present_vectors,
    sample_patches,
    score_images,
)
from csr_core.training.heads import (
    LinearHead,
    concept_dropout,
    fit_head,
    measure_profiles,
    set_task_head,
)
from csr_core.training.pretrained import imagenet_backbone, imagenet_normalisation
from csr_core.training.prototypes import initialise_prototypes, train_prototypes, whiten
from csr_core.training.recipe import Recipe
from csr_core.training.roles import Roles

__all__ = [
    "HeadFit",
    "TrainedModel",
    "build_network",
    "fit_later_stages",
    "fit_model",
    "flattened",
    "measure",
]


class HeadFit(Protocol):
    """Fits a task head to scores (N, K, M)."""

    def __call__(
        self,
        scores: NDArray[np.floating],
        /,
        *,
        others: Sequence[NDArray[np.floating]] = (),
        teacher: NDArray[np.floating],
    ) -> LinearHead:
        """Fit to the scores and to the same in other states; `teacher` as of `fit_head`."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A fitted model and what was learnt on the way.

    Attributes:
        network: with the weights as a checkpoint keeps them.
        features: of every row of the data set.
        scores: similarity scores of every row, (N, K, M).
        profiles: typical scores, (K, M) each.
        baselines: heads on the pooled features and on the predicted concept probabilities, fitted
            and selected like the task head.
        stages: figures of each stage and its seconds; of stage 1 also the loss of each epoch.
        answers: what a reader's answers about whole concepts add to the logits; None if they shall
            change scores instead.
    """

    network: CSRNetwork
    features: FrozenFeatures
    scores: NDArray[np.float32]
    profiles: Profiles
    baselines: Baselines
    stages: dict[str, dict[str, Any]]
    answers: AnswerWeights | None


def build_network(dataset: Dataset, recipe: Recipe, seed: int) -> CSRNetwork:
    """Build the network a recipe asks for, with ImageNet or random weights.

    Raises:
        OSError: if ImageNet weights can't be had.
        ValueError: if timm has no such backbone or stride.
    """
    torch.manual_seed(seed)
    mean, std = imagenet_normalisation(recipe.backbone)
    network = CSRNetwork(
        NetworkConfig(
            concepts=len(dataset.concepts),
            classes=len(dataset.classes),
            backbone=recipe.backbone,
            output_stride=recipe.output_stride,
            image_size=recipe.image_size,
            prototypes=recipe.prototypes,
            projection=recipe.projection,
            mean=mean,
            std=std,
            mirrored=recipe.mirrored,
        )
    )
    if recipe.weights == "imagenet":
        weights = imagenet_backbone(recipe.backbone, recipe.output_stride).state_dict()
        network.backbone.load_state_dict(weights)
    return network


def fit_model(
    dataset: Dataset,
    roles: Roles,
    recipe: Recipe,
    seed: int,
    work: Path,
    network: CSRNetwork | None = None,
) -> TrainedModel:
    """Run the three stages.

    Args:
        dataset: with labels.
        roles: who may do what.
        recipe: settings.
        seed: the same seed gives the same model.
        work: folder for caches and the state of stage 1.
        network: to start from, changed in place; one as the recipe has it if not given.
    """
    network = network or build_network(dataset, recipe, seed)
    started = time.monotonic()
    stages = {
        "stage1": train_concept_model(
            network, dataset, roles.fit, roles.validation, recipe, seed, work
        )
    }
    stages["stage1"]["seconds"] = _seconds_of_stage1(work, time.monotonic() - started)

    started = time.monotonic()
    features = cache_features(network, dataset, work / "features.npy")
    vectors, concepts = present_vectors(features, dataset, roles.fit)
    whiten(network, sample_patches(features, roles.fit, seed), recipe.shrinkage)
    initialise_prototypes(network, vectors, concepts, seed)
    stages["stage2"] = {"seconds": time.monotonic() - started}
    fit_task_head = partial(_fit, dataset=dataset, roles=roles)
    return fit_later_stages(network, features, dataset, roles, recipe, seed, stages, fit_task_head)


def fit_later_stages(
    network: CSRNetwork,
    features: FrozenFeatures,
    dataset: Dataset,
    roles: Roles,
    recipe: Recipe,
    seed: int,
    stages: dict[str, dict[str, Any]],
    fit_task_head: HeadFit,
    answers: AnswerWeights | None = None,
) -> TrainedModel:
    """Run stages 2 and 3 on frozen features.

    Args:
        network: with a projector and prototypes to start from; changed in place.
        features: of every row of the data set, by this network.
        dataset: with labels.
        roles: who may do what.
        recipe: settings.
        seed: the same seed gives the same model.
        stages: figures of what was done before; of stage 2 the seconds it took already.
        fit_task_head: fits the task head to scores (N, K, M), and to the same in other states.
        answers: to start from, keeping how far they move evidence.
    """
    started = time.monotonic()
    vectors, concepts = present_vectors(features, dataset, roles.fit)
    black_box = _fit(features.pooled, dataset, roles)
    teacher = softmax(black_box.logits(features.pooled), axis=1)

    def judge() -> NDArray[np.float64]:
        scores, _ = score_images(network, features)
        return fit_task_head(scores, teacher=teacher).losses

    before = stages["stage2"]["seconds"]
    stages["stage2"] = train_prototypes(network, vectors, concepts, judge, recipe, seed)
    round_weights(network)
    stages["stage2"]["seconds"] = before + time.monotonic() - started

    started = time.monotonic()
    scores, _ = score_images(network, features)
    labels = dataset.concept_labels
    profiles = measure_profiles(scores, labels, roles.fit, roles.validation)
    edited = concept_dropout(scores, labels, profiles, recipe.concept_dropout, seed)
    head = fit_task_head(scores, others=edited, teacher=teacher)
    set_task_head(network, head)
    weight, bias = (tensor.detach().numpy() for tensor in network.task_head.folded())
    answers = fit_answers(
        ScoreModel(weight, bias, profiles).ledger(scores, "calibrated"),
        labels,
        dataset.diagnoses,
        np.concatenate([roles.fit, roles.validation]),
        roles.validation,
        answers,
        SHARES if answers is None else (answers.share,),
    )
    network.requires_grad_(False)
    stages["stage3"] = {
        "validation": head.validation,
        "strength": head.strength,
        "seconds": time.monotonic() - started,
    }
    for name, figures in stages.items():
        tqdm.write(
            f"{name}: "
            + ", ".join(f"{k} {v:.4g}" for k, v in figures.items() if not isinstance(v, list))
        )
    baselines = Baselines(
        black_box=black_box.folded(),
        concept_bottleneck=_fit(expit(features.concept_logits), dataset, roles).folded(),
    )
    return TrainedModel(network, features, scores, profiles, baselines, stages, answers)


def measure(dataset: Dataset, roles: Roles, model: TrainedModel) -> dict:
    """Macro-F1 on everything that was neither fitted to nor selected on.

    Returns:
        Figures by the name of the rows ("held", or a split's name): CSR beside the baselines with
        95 % bootstrap intervals, and what a simulated reader's reviews are worth.
    """
    places = {"held": roles.held} | {
        split: dataset.rows_of(split) for split in sorted(set(dataset.splits)) if split != "train"
    }
    weight, bias = (tensor.numpy() for tensor in model.network.task_head.folded())
    said = {"csr": np.einsum("nkm,ckm->nc", model.scores, weight) + bias}
    said |= model.baselines.logits(model.features.pooled, model.features.concept_logits)
    reasoning = ScoreModel(weight, bias, model.profiles, model.answers)
    known = ScoredImages(model.scores, dataset.concept_labels, dataset.diagnoses)
    figures: dict = {"stages": model.stages}
    for name, rows in places.items():
        rows = np.setdiff1d(rows[dataset.diagnoses[rows] >= 0], roles.validation)
        if len(rows):
            images = known.of(rows)
            here = {model_name: logits[rows] for model_name, logits in said.items()}
            figures[name] = _diagnosed(images.diagnoses, here) | {
                "reviews": {
                    semantics: fixed_reviews([(reasoning, images)], semantics)
                    for semantics in get_args(Semantics)
                }
            }
    return figures


def _diagnosed(
    truth: NDArray[np.int64], logits: Mapping[str, NDArray[np.floating]]
) -> dict[str, Any]:
    """Macro-F1 of CSR and of the models beside it, and how sure each is."""
    figures: dict[str, Any] = {"images": len(truth)}
    for name, values in logits.items():
        prefix = "" if name == "csr" else f"{name}_"
        said, classes = values.argmax(axis=1), values.shape[1]
        figures[f"{prefix}macro_f1"] = macro_f1(truth, said, classes)
        figures[f"{prefix}macro_f1_interval"] = macro_f1_interval(truth, said, classes)
    return figures | {"differences": differences(truth, logits)}


def _fit(
    inputs: NDArray[np.floating],
    dataset: Dataset,
    roles: Roles,
    others: Sequence[NDArray[np.floating]] = (),
    teacher: NDArray[np.floating] | None = None,
) -> LinearHead:
    flat, *states = flattened(inputs, *others)
    rows = (roles.fit, roles.validation)
    return fit_head(flat, dataset.diagnoses, *rows, len(dataset.classes), states, teacher)


def flattened(*inputs: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """Inputs of N images as heads take them, (N, F)."""
    return [values.reshape(len(values), -1) for values in inputs]


def _seconds_of_stage1(work: Path, seconds: float) -> float:
    """Add up the time over interrupted runs."""
    path = work / "stage1_seconds.json"
    before = read_json(path, 1000)["seconds"] if path.exists() else 0.0
    write_json_atomic(path, {"seconds": before + seconds})
    return before + seconds
