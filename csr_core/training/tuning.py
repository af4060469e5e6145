"""From a trained model and a data set of its own to a model that knows both."""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csr_core.advice import presence
from csr_core.atlas import Atlas, reliance_of_prototypes
from csr_core.card import model_card
from csr_core.checkpoint import Checkpoint, check_target, save_checkpoint
from csr_core.datasets import Dataset
from csr_core.evaluation import present_regions
from csr_core.figures import REGION_SIZE
from csr_core.inference import run_network
from csr_core.metrics import macro_f1, pointing_games
from csr_core.network import CSRNetwork
from csr_core.training.claims import claim_folder
from csr_core.training.concept_model import mean_average_precision
from csr_core.training.export import build_checkpoint
from csr_core.training.features import cache_features, marked_vectors
from csr_core.training.heads import LinearHead, fit_head, task_head_of, tune_head
from csr_core.training.pipeline import (
    TrainedModel,
    fit_later_stages,
    fit_model,
    flattened,
    measure,
)
from csr_core.training.recipe import Recipe
from csr_core.training.regions import read_regions
from csr_core.training.roles import Roles, assign_roles

__all__ = ["LEAST_EACH", "LabelCounts", "fine_tune"]

LEAST_EACH = 5
"""Images with each concept present, with it absent, and of each diagnosis, that tuning takes."""
HOLDOUT, VALIDATION = 0.2, 0.25
"""Shares kept back to measure on and, of the rest, to select on: data sets to tune on are small."""
TUNING_EPOCHS, TUNING_RATE = 4, 3e-4
"""Of stage 1, which starts from features that are good already."""


@dataclass(frozen=True)
class LabelCounts:
    """How many images of split train show what.

    Attributes:
        present: images with each concept present, by name.
        absent: images with each concept absent.
        diagnosed: images of each diagnosis.
    """

    present: Mapping[str, int]
    absent: Mapping[str, int]
    diagnosed: Mapping[str, int]

    @classmethod
    def of(cls, dataset: Dataset) -> "LabelCounts":
        """Count the labels of a data set."""
        rows = dataset.rows_of("train")
        labels = dataset.concept_labels[rows]

        def by_name(names: Sequence[str], counts: NDArray[np.integer]) -> dict[str, int]:
            return dict(zip(names, counts.tolist(), strict=True))

        known = dataset.diagnoses[rows][dataset.diagnoses[rows] >= 0]
        return cls(
            by_name(dataset.concepts, (labels == 1).sum(axis=0)),
            by_name(dataset.concepts, (labels == 0).sum(axis=0)),
            by_name(dataset.classes, np.bincount(known, minlength=len(dataset.classes))),
        )

    @property
    def missing(self) -> str | None:
        """What is too rare to learn from, in one sentence; None if nothing is."""
        groups = (("present", self.present), ("absent", self.absent), ("", self.diagnosed))
        rare = [
            f"{name}{f' {state}' if state else ''} in {count}"
            for state, counts in groups
            for name, count in counts.items()
            if count < LEAST_EACH
        ]
        if not rare:
            return None
        return (
            f"Too few marks to learn from: it takes {LEAST_EACH} finished images of split train "
            f"for each, but there is {', '.join(rare)}."
        )


def fine_tune(
    parent: Checkpoint,
    dataset: Dataset,
    out: Path,
    *,
    stage1: bool = False,
    seed: int = 0,
    title: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Tune a model on a data set, usually a small one; the parent stays as it is.

    Stages 2 and 3 start from what the parent knows and move only as far as validation agrees:
    concept vectors are pooled where regions are marked, and the task head stays near the parent's
    if the diagnoses are the same. Stage 1, if asked for, starts from the parent's backbone and
    learns from the regions too; the other stages then start anew.

    Args:
        parent: the model to start from.
        dataset: with rows of split "train".
        out: folder of the new checkpoint. Work files lie beside it in `.<name>.work`, with stage 1
            until all is done: if it was killed it goes on where it was.
        stage1: whether backbone and concept head are trained as well.
        seed: the same seed gives the same model.
        title: of the model card; that of the parent if not given.
        card: more for the model card.

    Returns:
        The checkpoint folder. Its metrics tell under "tuned" what parent and new model are worth on
        the same images, which the new one was neither fitted to nor selected on.

    Raises:
        CheckpointError: if `out` holds other files.
        ValueError: if there are too few labels, or the parent has other concepts and stage 1 isn't
            asked for.
    """
    if not stage1 and parent.concepts != dataset.concepts:
        raise ValueError(
            f"The model to start from knows {', '.join(parent.concepts)}, the annotations are of "
            f"{', '.join(dataset.concepts)}; other concepts take stage 1 as well."
        )
    missing = LabelCounts.of(dataset).missing
    if missing is not None:
        raise ValueError(missing)
    out = out.resolve()
    check_target(out)
    work = out.with_name(f".{out.name}.work")
    recipe = _recipe(parent)
    settings = {"recipe": asdict(recipe), "seed": seed, "stage1": stage1}
    claim_folder(work, dataset, settings | {"parent": parent.model_hash})
    with ExitStack() as stack:
        if not stage1:  # which alone takes so long that one would want to go on with it
            stack.callback(shutil.rmtree, work, ignore_errors=True)
        made, pictures = _tuned(parent, dataset, recipe, seed, work, stage1, title, card or {})
    save_checkpoint(made, out, pictures)
    shutil.rmtree(work, ignore_errors=True)
    return out


def _tuned(
    parent: Checkpoint,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    work: Path,
    stage1: bool,
    title: str | None,
    card: Mapping[str, Any],
) -> tuple[Checkpoint, dict[str, bytes]]:
    """The new checkpoint, and the pictures of its atlas."""
    roles = assign_roles(dataset, HOLDOUT, recipe.validation, seed)
    if stage1:
        network = _with_backbone_of(parent, dataset, seed)
        model = fit_model(dataset, roles, recipe, seed, work, network)
    else:
        model = _later_stages(parent, dataset, roles, recipe, seed, work)
    if parent.answers is None:  # its readers know rejecting as a mark on every patch
        model = replace(model, answers=None)
    metrics = measure(dataset, roles, model)
    metrics["protocol"] = {
        "seed": seed,
        "holdout": HOLDOUT,
        "validation": recipe.validation,
        "fit_images": len(roles.fit),
        "refitted_on_all_of_train": False,
        "stages": [1, 2, 3] if stage1 else [2, 3],
        "recipe": asdict(recipe),
    }
    origin = {key: str(parent.card.get(key, "unknown")) for key in ("title", "data")}
    made, _ = build_checkpoint(dataset, roles, model, metrics, title or origin["title"], False)
    pictures: dict[str, bytes] = {}
    if not stage1 and not model.stages["stage2"]["epoch"]:
        made, pictures = _with_atlas_of(parent, made, model.scores[roles.validation])
    metrics["tuned"] = _before_and_after(parent, made, dataset, roles)
    told = {**made.card, "parent": origin | {"model_hash": parent.model_hash}, **card}
    readme = model_card(told, made.concepts, made.classes, metrics)
    return replace(made, card=told, metrics=metrics, readme=readme), pictures


def _recipe(parent: Checkpoint) -> Recipe:
    """The settings the parent was trained with, as far as they are of use here."""
    usual = Recipe()
    names = (
        "diagnosis_weight", "any_orientation", "concept_dropout", "batch", "half_precision",
        "shrinkage",
    )  # fmt: skip
    match parent.metrics:
        case {"protocol": {"recipe": dict(told)}}:
            known = {n: told[n] for n in names if type(told.get(n)) is type(getattr(usual, n))}
        case _:
            known = {}
    config = parent.network.config
    return Recipe(
        backbone=config.backbone,
        output_stride=config.output_stride,
        image_size=config.image_size,
        prototypes=config.prototypes,
        projection=config.projection,
        mirrored=config.mirrored,
        epochs=TUNING_EPOCHS,
        learning_rate=TUNING_RATE,
        region_weight=1.0,
        validation=VALIDATION,
        **known,
    )


def _with_backbone_of(parent: Checkpoint, dataset: Dataset, seed: int) -> CSRNetwork:
    """A network for the data set's concepts and classes that sees as the parent does."""
    torch.manual_seed(seed)
    config = replace(
        parent.network.config, concepts=len(dataset.concepts), classes=len(dataset.classes)
    )
    network = CSRNetwork(config)
    network.backbone.load_state_dict(parent.network.backbone.state_dict())
    with torch.no_grad():
        for index, concept in enumerate(dataset.concepts):
            if concept in parent.concepts:
                known = parent.network.concept_head.weight[parent.concepts.index(concept)]
                network.concept_head.weight[index] = known
    return network


def _later_stages(
    parent: Checkpoint, dataset: Dataset, roles: Roles, recipe: Recipe, seed: int, work: Path
) -> TrainedModel:
    """Stages 2 and 3 from the parent's projector, prototypes and task head."""
    started = time.monotonic()
    if parent.classes == dataset.classes:
        network = deepcopy(parent.network)
    else:
        config = replace(parent.network.config, classes=len(dataset.classes))
        network = CSRNetwork(config)
        known = parent.network.state_dict()
        network.load_state_dict(
            {name: value for name, value in known.items() if not name.startswith("task_head.")},
            strict=False,
        )
    network = network.to("cpu").requires_grad_(True)
    start = task_head_of(network)
    features = cache_features(network, dataset, work / "features.npy")
    features = marked_vectors(network, features, read_regions(dataset))

    def fit(
        scores: NDArray[np.floating],
        /,
        *,
        others: Sequence[NDArray[np.floating]] = (),
        teacher: NDArray[np.floating],
    ) -> LinearHead:
        flat, *states = flattened(scores, *others)
        given = (flat, dataset.diagnoses, roles.fit, roles.validation)
        if parent.classes == dataset.classes:
            return tune_head(start, *given, states)
        return fit_head(*given, len(dataset.classes), states, teacher)

    stages: dict[str, dict[str, Any]] = {"stage2": {"seconds": time.monotonic() - started}}
    answers = parent.answers if parent.classes == dataset.classes else None
    return fit_later_stages(network, features, dataset, roles, recipe, seed, stages, fit, answers)


def _with_atlas_of(
    parent: Checkpoint, made: Checkpoint, scores: NDArray[np.float32]
) -> tuple[Checkpoint, dict[str, bytes]]:
    """Where projector and prototypes are the parent's, so is all that was measured of them.

    It was measured on far more images; only the reliance hangs on the new task head.
    """
    weight, bias = (tensor.numpy() for tensor in made.network.task_head.folded())
    reliance = reliance_of_prototypes(scores, parent.profiles.absent, weight, bias)
    K, M = parent.atlas.shape
    entries = [
        [replace(parent.atlas[k, m], reliance=float(reliance[k, m])) for m in range(M)]
        for k in range(K)
    ]
    pictures = {
        entry.picture.name: entry.picture.read_bytes()
        for row in entries
        for entry in row
        if entry.picture is not None
    }
    kept = replace(
        made, profiles=parent.profiles, calibration=parent.calibration, atlas=Atlas(entries)
    )
    return kept, pictures


def _before_and_after(
    parent: Checkpoint, made: Checkpoint, dataset: Dataset, roles: Roles
) -> dict[str, Any]:
    """What both models are worth on every image the new one was not fitted to nor selected on."""
    used = np.concatenate([roles.fit, roles.validation])
    rows = np.setdiff1d(np.arange(len(dataset)), used)
    return {
        "images": len(rows),
        "before": _figures(parent, dataset, rows),
        "after": _figures(made, dataset, rows),
        # The parent may have learnt from the very images it is measured on.
        "parent_may_have_seen_them": dataset.name == parent.card.get("data")
        and len(roles.held) > 0,
    }


def _figures(
    model: Checkpoint, dataset: Dataset, rows: NDArray[np.int64]
) -> dict[str, float | None]:
    """Macro-F1, mean average precision of the concepts and pointing game; None if unknown."""
    outputs = run_network(model.network, dataset, rows)
    figures: dict[str, float | None] = dict.fromkeys(
        ("macro_f1", "concept_precision", "pointing_game")
    )
    diagnosed = dataset.diagnoses[rows] >= 0
    if model.classes == dataset.classes and diagnosed.any():
        said = outputs.logits[diagnosed].argmax(axis=1)
        truth = dataset.diagnoses[rows][diagnosed]
        figures["macro_f1"] = macro_f1(truth, said, len(dataset.classes))
    if model.concepts == dataset.concepts:
        levels = presence(outputs.scores, model.profiles)
        labels = dataset.concept_labels[rows]
        figures["concept_precision"] = mean_average_precision(labels, levels)
        regions = present_regions(dataset, rows, REGION_SIZE)
        game = pointing_games({"best": outputs.concept_maps}, regions)["best"]
        if game.judged.any():
            figures["pointing_game"] = float(game.hit.sum() / game.judged.sum())
    return figures
