"""Command line: projects, exports, imports, order, agreement and progress of annotations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from csr_core.annotation.imports import Imported
    from csr_core.annotation.store import Project, Store
    from csr_core.datasets import Problem

__all__ = ["annotate", "opened_store", "refusing"]

annotate = typer.Typer(
    help="Make projects to annotate, and move what readers marked in and out.",
    no_args_is_help=True,
)

Address = Annotated[
    str, typer.Option("--store", help="SQLite file or postgresql:// address of the annotations.")
]
Name = Annotated[str, typer.Option("--project", help="Name of the project.")]

_PRINTED_PROBLEMS = 20


@annotate.command()
def create(
    store: Address,
    project: Name,
    folder: Annotated[Path, typer.Option(help="Data set in our folder format, or any images.")],
    concept: Annotated[
        list[str] | None, typer.Option(help="To annotate; once a concept. Else dataset.json's.")
    ] = None,
    diagnosis: Annotated[
        list[str] | None, typer.Option("--class", help="Diagnosis to choose from; once a class.")
    ] = None,
    instructions: Annotated[
        Path | None, typer.Option(help="Text file of what readers are told.")
    ] = None,
) -> None:
    """Make a project over a folder of images; the images stay where they are."""
    from csr_core.annotation.database import without_password
    from csr_core.annotation.folders import plan_project

    with refusing():
        told = instructions.read_text(encoding="utf-8") if instructions else ""
        plan, listing = plan_project(project, folder, concept or (), diagnosis or (), told)
        with opened_store(store, new=True) as opened:
            opened.create_project(plan, listing.cases)
    _tell(listing.problems)
    typer.echo(
        f"Project {plan.name} with {len(listing.cases)} images is in {without_password(store)}."
    )


@annotate.command("export")
def export_annotations(
    store: Address,
    project: Name,
    kind: Annotated[
        str, typer.Option("--format", help="folder (to train on), coco, masks, csv or imagefolder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; for csv the file.")],
    reader: Annotated[
        str | None,
        typer.Option(help="Whose marks count where none were agreed on; else the majority's."),
    ] = None,
) -> None:
    """Write what readers have done, as agreed on where it was; an earlier export is replaced."""
    from csr_core.annotation.exports import export

    with refusing(), opened_store(store) as opened:
        named = opened.project(project)
        written = export(named, opened.annotations(named.name), out, kind, reader)
    typer.echo(f"{written} {'rows' if kind == 'csv' else 'images'} written to {out}.")


@annotate.command("import")
def import_annotations(
    store: Address,
    project: Name,
    source: Annotated[
        Path, typer.Option("--from", help="Data set in our folder format, or COCO instances.")
    ],
    reader: Annotated[
        str | None,
        typer.Option(help="Name to keep them under; left out, an export's own readers."),
    ] = None,
    partly: Annotated[bool, typer.Option(help="Import what is right if something isn't.")] = False,
    replace: Annotated[
        bool, typer.Option(help="Also where the reader has marked something already.")
    ] = False,
) -> None:
    """Read annotations from a data set or a COCO file into a project."""
    from csr_core.annotation.imports import save_imported
    from csr_core.datasets import DatasetError

    with refusing(), opened_store(store) as opened:
        named = opened.project(project)
        problems: list[Problem] = []
        for _ in _read(opened, named, source, reader, problems):
            pass
        if problems and not partly:
            typer.secho("Nothing was imported; --partly imports the rest.", err=True)
            raise DatasetError(problems)
        saved, left = save_imported(opened, _read(opened, named, source, reader, []), replace)
    _tell([str(problem) for problem in problems])
    typer.echo(f"{saved} annotations imported.")
    if left:
        typer.echo(f"{left} were left as their readers marked them; --replace replaces them.")


@annotate.command()
def agreement(
    store: Address,
    project: Name,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the figures to this file.")
    ] = None,
) -> None:
    """Measure how readers agree: kappas on what is there, Dice on where, with intervals."""
    from csr_core.annotation.agreement import agreement as measure
    from csr_core.annotation.agreement import agreement_lines, agreement_to_json
    from csr_core.files import write_json_atomic

    with refusing(), opened_store(store) as opened:
        named = opened.project(project)
        found = measure(opened.annotations(named.name, done=True), named.vocabulary)
        if json_file is not None:
            write_json_atomic(json_file, agreement_to_json(found))
    typer.echo("\n".join(agreement_lines(found)))


@annotate.command()
def rank(
    store: Address,
    project: Name,
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder of the model to ask.")],
) -> None:
    """Let a model put the cases in order: where it is undecided, and where they differ most."""
    from csr_core import load
    from csr_core.annotation.assist import EncodedCases, rank_cases

    with refusing(), opened_store(store) as opened:
        ranked = rank_cases(opened, project, EncodedCases(load(checkpoint)))
    typer.echo(f"{ranked} cases of {project} are in order.")


@annotate.command()
def progress(store: Address, project: Name) -> None:
    """Say how far each reader is."""
    with refusing(), opened_store(store) as opened:
        found = opened.progress(project)
    if not found:
        typer.echo("Nobody has begun yet.")
    for each in found:
        typer.echo(
            f"{each.reader}: {each.done} of {each.cases} done, {each.open} open, "
            f"{each.skipped} skipped, {each.flagged} flagged"
        )


def _read(
    store: "Store", project: "Project", source: Path, reader: str | None, problems: "list[Problem]"
) -> Iterator["Imported"]:
    from csr_core.annotation.imports import read_coco, read_folder, read_readings
    from csr_core.annotation.store import check_reader

    cases = {case.image_id: case for case in store.cases(project.name)}
    ours = (source / "labels.csv").is_file()
    if reader is None:
        if not ours:
            raise ValueError("Name a reader to keep the annotations under, by --reader.")
        return read_readings(source, cases, project.vocabulary, problems)
    name = check_reader(reader)
    read = read_folder if ours else read_coco
    return read(source, cases, project.vocabulary, name, problems)


@contextmanager
def opened_store(address: str, new: bool = False) -> Iterator["Store"]:
    """Open the annotations at an address, and close them again; only new ones are made.

    Raises:
        ValueError: if there are none, or something else is there.
    """
    from csr_core.annotation.store import Store

    if not new and "://" not in address and not Path(address).exists():
        raise ValueError(f"There are no annotations at {address}; make a project first.")
    store = Store(address)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def refusing() -> Iterator[None]:
    """End the command with status 2 and a sentence where files or values are not as they should."""
    try:
        yield
    except (OSError, ValueError) as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(2) from error


def _tell(problems: "tuple[str, ...] | list[str]") -> None:
    for problem in problems[:_PRINTED_PROBLEMS]:
        typer.secho(problem, err=True)
    if len(problems) > _PRINTED_PROBLEMS:
        typer.secho(f"… and {len(problems) - _PRINTED_PROBLEMS} more", err=True)
