"""A training run from a data set to a checkpoint folder, which survives being killed."""

import shutil
from dataclasses import asdict
from pathlib import Path

from csr_core.checkpoint import check_target, save_checkpoint
from csr_core.datasets import Dataset
from csr_core.training.claims import claim_folder
from csr_core.training.concept_model import train_concept_model
from csr_core.training.export import build_checkpoint
from csr_core.training.pipeline import build_network, fit_model, measure
from csr_core.training.processes import Processes
from csr_core.training.recipe import Recipe
from csr_core.training.roles import assign_roles

__all__ = ["train"]


def train(
    dataset: Dataset,
    out: Path,
    recipe: Recipe,
    *,
    seed: int = 0,
    holdout: float = 0.0,
    refit: bool = False,
    pictures: bool = False,
    title: str | None = None,
) -> Path:
    """Train a checkpoint; a run that was killed goes on where it was.

    Several processes, started by `accelerate launch`, must call this with the same arguments.

    Args:
        dataset: checked, with rows of split "train".
        out: folder of the checkpoint. Work files lie beside it in `.<name>.work` until the end.
        recipe: settings.
        seed: the same seed gives the same model.
        holdout: share of the training rows kept from all fitting to measure on.
        refit: after measuring, train once more on all training rows and ship that model.
        pictures: ship exemplar crops in the atlas; only where the data's licence allows it.
        title: of the model card; the data set's name if not given.

    Returns:
        The checkpoint folder.

    Raises:
        CheckpointError: if `out` holds other files.
        ValueError: if unfinished work in the same place has other settings or data.
    """
    processes = Processes()
    out = out.resolve()
    work = out.with_name(f".{out.name}.work")
    if processes.main:
        check_target(out)
        _claim(work, dataset, recipe, seed, holdout)
    processes.wait()
    if not processes.main:
        _assist(dataset, work, recipe, seed, holdout, refit)
        processes.wait()
        return out
    roles = assign_roles(dataset, holdout, recipe.validation, seed, recipe.select_on)
    model = fit_model(dataset, roles, recipe, seed, work / "first")
    metrics = measure(dataset, roles, model)
    metrics["protocol"] = {
        "seed": seed,
        "holdout": holdout,
        "validation": recipe.validation,
        "fit_images": len(roles.fit),
        "refitted_on_all_of_train": refit,
        "recipe": asdict(recipe),
    }
    if refit:
        roles = assign_roles(dataset, 0.0, recipe.validation, seed, recipe.select_on)
        model = fit_model(dataset, roles, recipe, seed, work / "refit")
    checkpoint, crops = build_checkpoint(
        dataset, roles, model, metrics, title or dataset.name, pictures
    )
    save_checkpoint(checkpoint, out, crops)
    processes.wait()
    shutil.rmtree(work)
    return out


def _claim(work: Path, dataset: Dataset, recipe: Recipe, seed: int, holdout: float) -> None:
    """Make a folder for this very run, or find the one it left."""
    claim_folder(work, dataset, {"recipe": asdict(recipe), "seed": seed, "holdout": holdout})
    for part in ("first", "refit"):
        (work / part).mkdir(exist_ok=True)


def _assist(
    dataset: Dataset, work: Path, recipe: Recipe, seed: int, holdout: float, refit: bool
) -> None:
    """Take part in stage 1, which is all that processes other than the main one do."""
    for part, share in [("first", holdout), ("refit", 0.0)][: 1 + refit]:
        roles = assign_roles(dataset, share, recipe.validation, seed, recipe.select_on)
        network = build_network(dataset, recipe, seed)
        train_concept_model(
            network, dataset, roles.fit, roles.validation, recipe, seed, work / part
        )
