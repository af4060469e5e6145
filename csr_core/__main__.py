"""Command line: python -m csr_core train, evaluate, calibrate, crossvalidate, and others."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm

from csr_core.annotation.commands import annotate, opened_store, refusing

if TYPE_CHECKING:
    from csr_core.training import Recipe

__all__ = ["app"]

app = typer.Typer(
    help="Train, measure and feed models of Concept-based Similarity Reasoning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(annotate, name="annotate")

Data = Annotated[Path, typer.Option(help="Folder with dataset.json, labels.csv and images/.")]
CheckpointFolder = Annotated[Path, typer.Option(help="Checkpoint folder.")]
Preset = Annotated[str, typer.Option(help="dermoscopy, phantom, xray, paper or quick.")]
Backbone = Annotated[str | None, typer.Option(help="timm model name.")]
OutputStride = Annotated[int | None, typer.Option(help="Pixels a patch is wide.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data in stage 1.")]
Weights = Annotated[str | None, typer.Option(help="imagenet or random.")]
RegionWeight = Annotated[
    float | None,
    typer.Option(help="Weight of masks and boxes in stage 1; 0 trains on labels alone."),
]
LesionWeight = Annotated[
    float | None,
    typer.Option(help="Weight of lesion outlines in stage 1; 0 leaves them out."),
]
SelectOn = Annotated[
    str | None,
    typer.Option(help="Split to select on, such as val; if not given, a share of split train."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same model.")]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with dataset.json, labels.csv and images/.")
    ] = None,
    preset: Preset = "dermoscopy",
    backbone: Backbone = None,
    output_stride: OutputStride = None,
    epochs: Epochs = None,
    weights: Weights = None,
    region_weight: RegionWeight = None,
    lesion_weight: LesionWeight = None,
    select_on: SelectOn = None,
    seed: Seed = 0,
    holdout: Annotated[
        float, typer.Option(help="Share of split train kept from all fitting, to measure on.")
    ] = 0.0,
    refit: Annotated[
        bool, typer.Option(help="After measuring, fit the model once more on all of train.")
    ] = False,
    pictures: Annotated[
        bool, typer.Option(help="Ship exemplar crops of training images, if their licence allows.")
    ] = False,
    title: Annotated[str | None, typer.Option(help="Title of the model card.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Annotations to tune on: a file, or postgresql://…")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Project of the store.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="With --store: checkpoint to start from.")
    ] = None,
    stage1: Annotated[
        bool,
        typer.Option("--stage1", help="With --store: train the backbone too, not 2 and 3 alone."),
    ] = False,
    reader: Annotated[
        str | None, typer.Option(help="With --store: whose annotations; else all readers'.")
    ] = None,
) -> None:
    """Train a checkpoint in three stages; run it again after a kill and it goes on.

    Given --store, --project and --checkpoint instead of --data, stages 2 and 3 of that checkpoint
    are tuned on what readers marked.
    """
    if store is not None or project is not None or checkpoint is not None:
        if data is not None or store is None or project is None or checkpoint is None:
            raise _refusal("Give either --data, or --store, --project and --checkpoint.")
        _train_from_store(store, project, checkpoint, out, stage1, reader, seed)
        return
    if data is None:
        raise _refusal("Give either --data, or --store, --project and --checkpoint.")
    from csr_core.datasets import DatasetError, load_dataset
    from csr_core.training import Processes
    from csr_core.training import train as run

    if not 0 <= holdout < 1:
        raise _refusal(f"--holdout is a share from 0 to 1, not {holdout}.")
    try:
        recipe = _recipe(
            preset,
            backbone=backbone,
            output_stride=output_stride,
            epochs=epochs,
            weights=weights,
            region_weight=region_weight,
            lesion_weight=lesion_weight,
            select_on=select_on,
        )
        processes = Processes()
        with processes.main_first():
            dataset = load_dataset(data, check_images=processes.main)
        folder = run(
            dataset,
            out,
            recipe,
            seed=seed,
            holdout=holdout,
            refit=refit,
            pictures=pictures,
            title=title,
        )
    except (DatasetError, OSError, ValueError) as error:
        raise _refusal(str(error)) from error
    if processes.main:
        typer.echo(f"Checkpoint written to {folder}.")


@app.command()
def evaluate(
    checkpoint: CheckpointFolder,
    data: Data,
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures to this file.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Also draw the curves, as PNG files in this folder.")
    ] = None,
    record: Annotated[
        bool, typer.Option(help="Add the figures to the checkpoint's metrics and model card.")
    ] = False,
) -> None:
    """Measure diagnoses, concepts, localisation and prototypes, beside the baselines."""
    from csr_core import load
    from csr_core.baselines import read_baselines
    from csr_core.datasets import load_dataset
    from csr_core.evaluation import evaluate as measure
    from csr_core.evaluation_pictures import evaluation_pictures
    from csr_core.files import write_bytes_atomic, write_json_atomic
    from csr_core.records import record_evaluation

    try:
        reasoner = load(checkpoint)
        baselines = read_baselines(checkpoint, reasoner.network)
        dataset = load_dataset(data, for_training=False)
        evaluation = measure(reasoner, dataset, split, baselines)
        typer.echo(json.dumps(evaluation.figures, indent=2))
        if json_file is not None:
            write_json_atomic(json_file, evaluation.figures)
        if pictures is not None:
            for name, picture in evaluation_pictures(evaluation).items():
                write_bytes_atomic(pictures / name, picture)
        if record:
            record_evaluation(checkpoint, evaluation.figures)
    except (OSError, ValueError) as error:
        raise _refusal(str(error)) from error


@app.command()
def calibrate(
    checkpoint: CheckpointFolder,
    data: Data,
    split: Annotated[
        str, typer.Option(help="Split to measure on, which the model was not trained on.")
    ],
) -> None:
    """Measure what images are usual for a checkpoint, so that it can warn of others."""
    from csr_core import load
    from csr_core.datasets import load_dataset
    from csr_core.evaluation import calibrate as measure
    from csr_core.records import record_calibration

    try:
        found = measure(load(checkpoint), load_dataset(data, for_training=False), split)
        record_calibration(checkpoint, found)
    except (OSError, ValueError) as error:
        raise _refusal(str(error)) from error
    limits = found.score_range.limits
    typer.echo(
        f"Measured on {found.measured_on}: limits of the scores from {limits.min():.3f} to "
        f"{limits.max():.3f}, of the distance {found.familiarity.limit:.1f}. Each of the two flags "
        f"about {found.familiarity.false_alarm_rate:.0%} of usual images by chance."
    )


@app.command()
def answers(
    checkpoint: CheckpointFolder,
    data: Data,
    split: Annotated[
        str, typer.Option(help="Split to learn from, which the model was not trained on.")
    ],
) -> None:
    """Learn from labels what rejecting and confirming a concept say of the diagnosis."""
    from csr_core import load
    from csr_core.datasets import load_dataset
    from csr_core.records import record_answers
    from csr_core.training.answers import learn_answers

    try:
        reasoner = load(checkpoint)
        dataset = load_dataset(data, for_training=False)
        learned = learn_answers(reasoner, dataset, split)
        record_answers(checkpoint, learned)
    except (OSError, ValueError) as error:
        raise _refusal(str(error)) from error
    typer.echo(f"An answer moves the evidence of its patches {learned.share:.0%} of the way.")
    for index, concept in enumerate(reasoner.concepts):
        for name, table in (("absent", learned.rejected), ("present", learned.confirmed)):
            said = zip(reasoner.classes, table[:, index], strict=True)
            typer.echo(
                f"{concept} {name}: " + ", ".join(f"{label} {value:+.2f}" for label, value in said)
            )


@app.command()
def crossvalidate(
    data: Data,
    work: Annotated[Path, typer.Option(help="Folder for the folds; run again to go on.")],
    preset: Preset = "dermoscopy",
    folds: Annotated[int, typer.Option(help="Parts that split train is cut into.")] = 5,
    backbone: Backbone = None,
    output_stride: OutputStride = None,
    epochs: Epochs = None,
    weights: Weights = None,
    region_weight: RegionWeight = None,
    lesion_weight: LesionWeight = None,
    select_on: SelectOn = None,
    seed: Seed = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw macro-F1 against a reader's edits to this PNG file.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Add the figures to this checkpoint, trained with the same settings."),
    ] = None,
) -> None:
    """Train once a fold and judge every image of split train by a model that never saw it."""
    from csr_core.curves import intervention_picture
    from csr_core.datasets import DatasetError, load_dataset
    from csr_core.files import write_bytes_atomic, write_json_atomic
    from csr_core.records import record_cross_validation
    from csr_core.training.crossval import cross_validate, scored_folds, summary
    from csr_core.training.fold_review import fold_curves

    try:
        recipe = _recipe(
            preset,
            backbone=backbone,
            output_stride=output_stride,
            epochs=epochs,
            weights=weights,
            region_weight=region_weight,
            lesion_weight=lesion_weight,
            select_on=select_on,
        )
        dataset = load_dataset(data, check_images=True)
        result = cross_validate(dataset, recipe, folds, seed, work)
        if json_file is not None:
            write_json_atomic(json_file, result)
        if record is not None:
            record_cross_validation(record, result)
        if picture is not None:
            known = (dataset.concept_labels, dataset.diagnoses)
            curves = fold_curves(scored_folds(work, folds), *known)
            write_bytes_atomic(picture, intervention_picture(curves))
    except (DatasetError, OSError, ValueError) as error:
        raise _refusal(str(error)) from error
    typer.echo("\n".join(summary(result)))


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    count: Annotated[int, typer.Option(help="Images to render.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same pixels.")] = 0,
    shortcut: Annotated[
        str | None,
        typer.Option(
            help="Tie an artefact to a diagnosis: ARTEFACT:DIAGNOSIS:RATE_IN:RATE_ELSEWHERE, "
            "such as ruler:melanoma:0.9:0.05."
        ),
    ] = None,
    val_fraction: Annotated[float, typer.Option(help="Share of images in split val.")] = 0.15,
    test_fraction: Annotated[float, typer.Option(help="Share of images in split test.")] = 0.15,
) -> None:
    """Render synthetic dermoscopy with a mask for every concept."""
    from csr_core.datasets.phantom import parse_shortcut, write_phantom

    try:
        tie = parse_shortcut(shortcut) if shortcut else None
        with tqdm(total=count, desc="rendering", unit="image") as bar:
            summary = write_phantom(
                out,
                count,
                seed,
                val_fraction=val_fraction,
                test_fraction=test_fraction,
                shortcut=tie,
                progress=lambda done, _: _advance(bar, done),
            )
    except (OSError, ValueError) as error:
        raise _refusal(str(error)) from error
    typer.echo(
        f"{count} images written to {out}. No reader of the true concepts can expect a macro-F1 "
        f"above {summary.bayes_optimal.macro_f1:.4f}; the best rule reaches "
        + ", ".join(f"{f1:.4f} on {name}" for name, f1 in summary.split_bayes_macro_f1.items())
        + "."
    )


def _train_from_store(
    address: str,
    project: str,
    checkpoint: Path,
    out: Path,
    stage1: bool,
    reader: str | None,
    seed: int,
) -> None:
    from csr_core.annotation.learning import train_from_store, training_status

    with refusing(), opened_store(address) as store:
        folder = train_from_store(
            store, project, checkpoint, out, stage1=stage1, reader=reader, seed=seed
        )
        changed = training_status(store, address, project, folder, reader).changed
    typer.echo(f"Checkpoint written to {folder}. {changed}")


def _recipe(preset: str, **chosen: str | float | None) -> "Recipe":
    """A preset with what was chosen otherwise; None leaves it as the preset has it.

    Raises:
        ValueError: if there is no such preset or setting.
    """
    from csr_core.training import PRESETS

    if preset not in PRESETS:
        raise ValueError(f"There is no preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    return replace(PRESETS[preset], **given)


def _advance(bar: tqdm, done: int) -> None:
    bar.update(done - bar.n)


def _refusal(message: str) -> typer.Exit:
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(2)


if __name__ == "__main__":
    # Training must not phone home: no telemetry of any library that may be installed.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    app()
