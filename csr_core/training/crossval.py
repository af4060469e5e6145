"""Cross-validation inside split train: every image is judged by a model that never saw it."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from csr_core.atlas import Atlas
from csr_core.datasets import Dataset
from csr_core.evaluation import observe
from csr_core.evidence import Semantics
from csr_core.figures import Observations, observed_figures
from csr_core.files import atomic_target, read_json, write_json_atomic
from csr_core.inference import run_network
from csr_core.metrics import PointingGame
from csr_core.reasoner import Reasoner
from csr_core.splits import stratified_folds
from csr_core.training.claims import claim_folder
from csr_core.training.concept_model import MARGIN
from csr_core.training.fold_marks import mark_figures, review_marks
from csr_core.training.fold_review import review_figures
from csr_core.training.images import square_images
from csr_core.training.pipeline import TrainedModel, fit_model
from csr_core.training.recipe import Recipe
from csr_core.training.roles import Roles, selection

__all__ = ["cross_validate", "scored_folds", "summary"]

FOLD_SEED = 0
"""The folds stay the same whatever the seed of training, so that seeds can be compared."""

MODELS = {"csr": "CSR", "black_box": "black box", "concept_bottleneck": "concept bottleneck"}
MAX_JSON_BYTES = 1_000_000


def cross_validate(
    dataset: Dataset, recipe: Recipe, folds: int, seed: int, work: Path
) -> dict[str, Any]:
    """Train a model a fold and measure it on the rows that neither fitted nor selected it.

    Finished folds are kept in the work folder and not repeated, an interrupted one goes on. Beside
    what was observed, each leaves `fold<n>-scores.npz`: scores of all rows of the data set, task
    head, profiles, weights of answers and roles, from which interventions can be measured on the
    same folds.

    Args:
        dataset: checked, with rows of split "train".
        recipe: settings.
        folds: number of folds, at least 2.
        seed: of training; the folds do not depend on it.
        work: folder for all of it, new or of the same run.

    Returns:
        JSON values: `pooled`, the figures of all images together as judged out of fold;
        `reviews`, what a simulated reader's answers are worth, see `fold_review`; `marks`, what
        marks on patches are worth where regions are known, see `fold_marks`; `by_fold`, the
        figures of each fold with its training stages; and the protocol.

    Raises:
        ValueError: if there are too few rows, the split to select on can't be, or the folder is of
            a run with other settings or data.
    """
    rows = dataset.rows_of("train")
    plan = [
        _roles(dataset, rows[kept], rows[held], recipe)
        for kept, held in stratified_folds(
            dataset.diagnoses[rows], folds, FOLD_SEED, dataset.concept_labels[rows]
        )
    ]
    claim_folder(work, dataset, {"recipe": asdict(recipe), "seed": seed, "folds": folds})
    for fold, roles in enumerate(plan):
        if not _record(work, fold).exists():
            tqdm.write(f"Fold {fold + 1} of {folds}")
            _run_fold(dataset, roles, recipe, seed, work, fold)
    (work / "images.npy").unlink(missing_ok=True)
    seen = [dict(np.load(work / f"fold{fold}.npz")) for fold in range(folds)]
    pooled = {key: np.concatenate([part[key] for part in seen]) for key in seen[0]}
    names = (dataset.classes, dataset.concepts)
    return {
        "data": dataset.name,
        "pooled": observed_figures(_observations(pooled), *names),
        "reviews": review_figures(
            scored_folds(work, folds), dataset.concept_labels, dataset.diagnoses
        ),
        "marks": mark_figures(pooled),
        "by_fold": [
            observed_figures(_observations(part), *names)
            | read_json(_record(work, fold), MAX_JSON_BYTES)
            for fold, part in enumerate(seen)
        ],
        "protocol": {
            "folds": folds,
            "fold_seed": FOLD_SEED,
            "seed": seed,
            "recipe": asdict(recipe),
            "words": (
                f"{folds} folds of split train, stratified by diagnosis and rare concepts. Each "
                f"is judged by {_models(recipe)}. “pooled” puts the judgements of "
                "all folds together; its intervals tell how far other images would move it, not "
                "how far other folds or seeds would."
            ),
        },
    }


def scored_folds(work: Path, folds: int) -> list[dict[str, NDArray]]:
    """What finished folds left for `fold_review`: scores, head, profiles, answers and roles."""
    return [dict(np.load(work / f"fold{fold}-scores.npz")) for fold in range(folds)]


def summary(result: dict[str, Any]) -> list[str]:
    """Put the result of `cross_validate` in a few lines for people."""
    parts = [(f"fold {index + 1}", part) for index, part in enumerate(result["by_fold"])]
    lines = [
        f"{name}, {part['diagnosed']} images: macro-F1 "
        + ", ".join(_macro_f1(part, model) for model in MODELS)
        for name, part in [*parts, ("pooled", result["pooled"])]
    ]
    for name, difference in result["pooled"]["differences"].items():
        low, high = difference["interval"]
        other = MODELS[name.removeprefix("csr - ")]
        lines.append(
            f"CSR minus {other}: {difference['macro_f1']:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    for semantics in get_args(Semantics):
        reviews = result["reviews"][semantics] | result["marks"].get(semantics, {})
        for name, review in reviews.items():
            low, high = review["interval"]
            lines.append(
                f"reader, {semantics}, {name}: {review['macro_f1_change']:+.4f} ({low:+.4f} to "
                f"{high:+.4f}), {review['fixed']} fixed, {review['broken']} broken"
            )
    if "pointing_game" in result["pooled"]:
        painted = result["pooled"]["pointing_game"]
        for kind, game in ({"best_prototype": painted} | painted["other_maps"]).items():
            (low, high), pairs = game["interval"], game["pairs"]
            concepts = ", ".join(f"{k} {v['hits']:.1%}" for k, v in game["by_concept"].items())
            lines.append(
                f"pointing game, {kind.replace('_', ' ')}: {game['mean']:.1%} ({low:.1%} to "
                f"{high:.1%}), random point {game['random_point']:.1%}; {concepts}; of all "
                f"{pairs['count']} pairs {pairs['hits']:.1%}, random point "
                f"{pairs['random_point']:.1%}"
            )
        lines.append(painted["protocol"])
    return lines


def _roles(
    dataset: Dataset, kept: NDArray[np.int64], held: NDArray[np.int64], recipe: Recipe
) -> Roles:
    return Roles(
        *selection(dataset, kept, recipe.validation, FOLD_SEED + 1, recipe.select_on), held
    )


def _models(recipe: Recipe) -> str:
    if recipe.select_on is not None:
        return f"models fitted to all other rows and selected on split {recipe.select_on}"
    share = recipe.validation
    return f"models fitted to {1 - share:.0%} of the other rows and selected on {share:.0%} of them"


def _run_fold(
    dataset: Dataset, roles: Roles, recipe: Recipe, seed: int, work: Path, fold: int
) -> None:
    """Train and judge one fold; only what it found is left in the work folder."""
    square_images(dataset, round(recipe.image_size * MARGIN), work / "images.npy")
    place = work / f"fold{fold}"
    place.mkdir(exist_ok=True)
    link = place / "images.npy"
    if not link.exists():
        link.symlink_to(Path("..") / "images.npy")
    model = fit_model(dataset, roles, recipe, seed, place)
    outputs = run_network(model.network, dataset, roles.held)
    seen = observe(outputs, model.network, model.profiles, model.baselines, dataset, roles.held)
    marks = review_marks(_reasoner(model, dataset), dataset, roles.held)
    with atomic_target(work / f"fold{fold}.npz") as temporary:
        np.savez(temporary, **(_arrays(seen) | marks))
    weight, bias = (tensor.numpy() for tensor in model.network.task_head.folded())
    assert model.answers is not None  # `fit_model` learns them
    with atomic_target(work / f"fold{fold}-scores.npz") as temporary:
        np.savez(
            temporary,
            scores=model.scores,
            weight=weight,
            bias=bias,
            absent=model.profiles.absent,
            present=model.profiles.present,
            rejected=model.answers.rejected,
            confirmed=model.answers.confirmed,
            share=model.answers.share,
            fit=roles.fit,
            validation=roles.validation,
            held=roles.held,
        )
    write_json_atomic(_record(work, fold), {"stages": model.stages})
    shutil.rmtree(place)


def _reasoner(model: TrainedModel, dataset: Dataset) -> Reasoner:
    """The model as an app would have it, but for the atlas, which reasoning doesn't need."""
    return Reasoner(
        network=model.network,
        concepts=dataset.concepts,
        classes=dataset.classes,
        profiles=model.profiles,
        atlas=Atlas([]),
        card={},
        model_hash="",
        answers=model.answers,
    )


def _record(work: Path, fold: int) -> Path:
    """What is written last of a fold, and says that it is finished."""
    return work / f"fold{fold}.json"


def _arrays(seen: Observations) -> dict[str, Any]:
    arrays = {
        "truth": seen.truth,
        "labels": seen.labels,
        "presence": seen.presence,
        "concept_logits": seen.concept_logits,
        "outside": seen.outside,
        "area_outside": seen.area_outside,
        "judged": next(iter(seen.games.values())).judged,
        "area": next(iter(seen.games.values())).area,
    }
    arrays |= {f"hit_{kind}": game.hit for kind, game in seen.games.items()}
    return arrays | {f"logits_{name}": logits for name, logits in seen.logits.items()}


def _observations(arrays: Mapping[str, NDArray]) -> Observations:
    return Observations(
        truth=arrays["truth"],
        labels=arrays["labels"],
        logits={name: arrays[f"logits_{name}"] for name in MODELS},
        presence=arrays["presence"],
        concept_logits=arrays["concept_logits"],
        games={
            key.removeprefix("hit_"): PointingGame(arrays["judged"], hit, arrays["area"])
            for key, hit in arrays.items()
            if key.startswith("hit_")
        },
        outside=arrays["outside"],
        area_outside=arrays["area_outside"],
    )


def _macro_f1(figures: dict[str, Any], model: str) -> str:
    own = figures if model == "csr" else figures[model]
    low, high = own["macro_f1_interval"]
    return f"{MODELS[model]} {own['macro_f1']:.4f} ({low:.4f} to {high:.4f})"
