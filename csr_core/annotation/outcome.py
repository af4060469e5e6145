"""What comes of the readings of a project: how far readers agree, files, and the next model."""

import secrets
import shutil
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr_core.annotation.names import check_reader
from csr_core.annotation.service import AnnotationService
from csr_core.models import Models
from csr_core.wire import RequestError, text_field

if TYPE_CHECKING:
    from csr_core.annotation.projects import Project

__all__ = ["EXPORTS", "MAX_EXPORT_BYTES", "OutcomeService"]

EXPORTS = ("folder", "coco", "masks", "imagefolder", "csv")
MAX_EXPORT_BYTES = 1_000_000_000
KEPT_FOR = 3600  # seconds until a file that was made to be downloaded is removed


class OutcomeService:
    """Turns readings into tables, files and the next model.

    Args:
        work: whose readings they are.
        models: to go on from.
        url: of the store, for commands.
        outbox: folder for files to be downloaded.
    """

    def __init__(self, work: AnnotationService, models: Models, url: str, outbox: Path) -> None:
        self._work = work
        self._models = models
        self._url = url
        self._outbox = outbox

    def agreement(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Measure how the readers of a project agree; see `csr_core.annotation.agreement`.

        Args:
            asked: `project`.

        Raises:
            RequestError, StoreError: if there is no such project.
        """
        from csr_core.annotation.agreement import agreement, agreement_to_json  # here, as the store

        project = self._work.project(text_field(asked.get("project"), "project"))
        done = self._work.store.annotations(project.name, done=True)
        return agreement_to_json(agreement(done, project.vocabulary))

    def export(self, asked: Mapping[str, Any]) -> Path:
        """Write the readings of a project as one file.

        Args:
            asked: `project`; `kind`, one of `EXPORTS`; `whose`: reader whose marks count where
                none was adjudicated, or None for the majority.

        Returns:
            A .zip, for "csv" a .csv, in a folder whose name nobody can guess.

        Raises:
            RequestError: if there is nothing to write, an image can't be read, it would get too
                large, or a field is not as it should be.
            StoreError: if there is no such project.
        """
        from csr_core.annotation.exports import ExportError, export  # here, as the store

        kind = asked.get("kind")
        if kind not in EXPORTS:
            raise RequestError(f"Marks are exported as one of {', '.join(EXPORTS)}.")
        project = self._work.project(text_field(asked.get("project"), "project"))
        whose = asked.get("whose")
        reader = None if whose is None else check_reader(text_field(whose, "whose"))
        self._check_room(project, str(kind))
        out = self._new_place() / f"{_file_name(project.name)}-{kind}"
        file = out.with_suffix(".csv" if kind == "csv" else ".zip")
        readings = self._work.store.annotations(project.name)
        try:
            export(project, readings, file if kind == "csv" else out, str(kind), reader)
        except ExportError as problem:
            raise RequestError(str(problem)) from problem
        if kind != "csv":
            _zip(out, file)
            shutil.rmtree(out)
        return file

    def training(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Say whether training on a project is worth it; see `TrainingStatus`.

        Args:
            asked: `project` and `model`, the one to go on from.

        Raises:
            RequestError, StoreError: if there is no such project or model, or it can't be read.
        """
        from csr_core.annotation.learning import training_status  # here, as in `Models.get`
        from csr_core.checkpoint import CheckpointError

        project = text_field(asked.get("project"), "project")
        folder = self._models.folder(text_field(asked.get("model"), "model"))
        try:
            return asdict(training_status(self._work.store, self._url, project, folder))
        except CheckpointError as problem:
            raise RequestError(str(problem)) from problem

    def _check_room(self, project: "Project", kind: str) -> None:
        """Refuse what a browser shouldn't carry."""
        if kind == "csv":
            return
        total = 0
        for case in self._work.store.cases(project.name):
            path = project.folder / case.path
            total += path.stat().st_size if path.is_file() else 0
            if total > MAX_EXPORT_BYTES:
                raise RequestError(
                    "The project is too large to be carried by a browser; export it by "
                    f"`python -m csr_core annotate export --project {project.name!r}`."
                )

    def _new_place(self) -> Path:
        """A new folder for a download; those of long ago are removed."""
        self._outbox.mkdir(parents=True, exist_ok=True)
        for old in self._outbox.iterdir():
            if old.stat().st_mtime < time.time() - KEPT_FOR:
                shutil.rmtree(old, ignore_errors=True)
        place = self._outbox / secrets.token_urlsafe(24)
        place.mkdir(mode=0o700)
        return place


def _file_name(name: str) -> str:
    """A project's name as a file's."""
    letters = (letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return "".join(letters).strip("-").lower() or "project"


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            packed = path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")
            how = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.write(path, Path(folder.name) / path.relative_to(folder), how)
