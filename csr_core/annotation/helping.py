"""What a model offers the reader of a case: marks to take over, and patches like those marked."""

import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csr_core.annotation.service import MOST_CASES, AnnotationService
from csr_core.edits import Cell
from csr_core.models import Models
from csr_core.wire import RequestError, index_field, text_field

if TYPE_CHECKING:
    from csr_core.annotation.assist import EncodedCases
    from csr_core.annotation.projects import Case
    from csr_core.annotation.propagation import PatchMarks, ProjectedMaps
    from csr_core.annotation.records import Annotation

__all__ = ["HelpService"]

log = logging.getLogger("csr_studio")

LOOKED_AT = 24
"""Cases, the current one included, in which similar patches are looked for."""
MOST_CELLS = 4096
PATIENCE = 2
"""Seconds that a browser waits for an order before it is told that this takes longer."""


class HelpService:
    """Asks the models about the cases of projects.

    Args:
        work: whose cases they are.
        models: to ask.
        cache: folder for what may be worked out again.
    """

    def __init__(self, work: AnnotationService, models: Models, cache: Path | None = None) -> None:
        self._work = work
        self._models = models
        self._cache = cache or _cache_folder()
        self._lock = threading.Lock()
        self._encoded: dict[str, EncodedCases] = {}
        self._projected: dict[str, ProjectedMaps] = {}
        self._one_ranking = threading.Lock()
        self._rankings: dict[str, tuple[str, Future[None]]] = {}

    def suggest(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Suggest marks for a case.

        Args:
            asked: `case` and `model`.

        Returns:
            `concepts`: by name `presence`, `probability` and `cells` ([row, column] each), of those
            concepts that both the project and the model know.

        Raises:
            ImageError: if the image can't be used.
            RequestError, StoreError: if there is no such case or model.
        """
        from csr_core.annotation.assist import suggestions  # here, as in `Models.get`

        case = self._work.case(asked.get("case"))
        cases = self._encoded_cases(text_field(asked.get("model"), "model"))
        found = suggestions(cases.reasoner, cases.encoded(self._work.image_path(case)))
        return {
            "concepts": {
                concept: {
                    "presence": found[concept].presence,
                    "probability": found[concept].probability,
                    "cells": [list(cell) for cell in found[concept].cells],
                }
                for concept in self._work.vocabulary(case.project).concepts
                if concept in found
            }
        }

    def similar(self, reader: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Propose patches like those a reader marked, in this case and in others near it.

        Args:
            reader: whose marks to follow.
            asked: `case`, `model` and `concept`; `rejected`: by case (as text) the [row, column] of
                patches that the reader took out of proposals; `elsewhere`: whether to look into
                other cases instead of this one.

        Returns:
            `proposals`, the likest first: `case`, `image_id`, `cells`, and `added`, those of the
            cells that were not marked before.

        Raises:
            ImageError: if an image can't be used.
            RequestError, StoreError: if a field is not as it should be.
        """
        from csr_core.annotation.propagation import propose

        case = self._work.case(asked.get("case"))
        concept = text_field(asked.get("concept"), "concept")
        if concept not in self._work.vocabulary(case.project).concepts:
            raise RequestError("The project has no concept of that name.")
        maps = self._projected_maps(text_field(asked.get("model"), "model"))
        near = self._near(reader, case)
        marks = self._marks(reader, near, concept, maps.reasoner.grid, asked.get("rejected"))
        elsewhere = asked.get("elsewhere") is True
        wanted = [other for other in near if (other != case.id) == elsewhere]
        paths = {other.id: self._work.image_path(other) for other in near.values()}
        proposals = propose(lambda other: maps.of(paths[other]), marks, wanted)
        return {
            "proposals": [
                {
                    "case": proposal.case,
                    "image_id": near[proposal.case].image_id,
                    "cells": [list(cell) for cell in proposal.cells],
                    "added": [list(cell) for cell in proposal.added],
                }
                for proposal in proposals
            ]
        }

    def rank(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Have a model put the cases of a project in order; it goes on when this answers.

        Args:
            asked: `project` and `model`.

        Returns:
            `ranked`, whether the cases are in that model's order now.

        Raises:
            RequestError, StoreError: if there is no such project or model.
        """
        project = self._work.project(text_field(asked.get("project"), "project"))
        model = text_field(asked.get("model"), "model")
        self._models.folder(model)  # so that an unknown one is refused at once
        with self._lock:
            latest, ranking = self._rankings.get(project.name, ("", None))
            if ranking is None or latest != model or (ranking.done() and ranking.exception()):
                ranking = Future()
                self._rankings[project.name] = (model, ranking)
                # A daemon: the studio may be closed although many cases are left to look at.
                job = (ranking, project.name, model)
                threading.Thread(target=self._rank, args=job, daemon=True).start()
        wait([ranking], PATIENCE)
        return {"ranked": ranking.done() and ranking.exception() is None}

    def _rank(self, ranking: "Future[None]", project: str, model: str) -> None:
        from csr_core.annotation.assist import rank_cases

        try:
            cases = self._encoded_cases(model)
            if self._work.store.ranked_by(project) != cases.reasoner.model_hash:
                with self._one_ranking:
                    rank_cases(self._work.store, project, cases)
            ranking.set_result(None)
        except Exception as problem:
            log.exception("The cases of %s can't be put in order", project)
            ranking.set_exception(problem)

    def _near(self, reader: str, case: "Case") -> dict[int, "Case"]:
        """The cases around one as listed, that one included."""
        from csr_core.annotation.queue import QueueView

        start = max(0, case.position - LOOKED_AT // 2)
        page = self._work.store.queue(case.project, reader, QueueView(), start, LOOKED_AT)
        return {row.case.id: row.case for row in page.rows} | {case.id: case}

    def _marks(
        self,
        reader: str,
        cases: Mapping[int, "Case"],
        concept: str,
        grid: tuple[int, int],
        rejected: object,
    ) -> dict[int, "PatchMarks"]:
        from csr_core.annotation.propagation import patch_marks

        taken_out = rejected if isinstance(rejected, dict) else {}
        marks = {}
        for case in cases:
            said: Annotation = self._work.store.annotation(case, reader)
            cells = _cells(taken_out.get(str(case), []), grid)
            marks[case] = patch_marks(said, concept, grid, cells)
        return marks

    def _encoded_cases(self, model: str) -> "EncodedCases":
        from csr_core.annotation.assist import EncodedCases

        reasoner = self._models.get(model)
        with self._lock:
            return self._encoded.setdefault(model, EncodedCases(reasoner))

    def _projected_maps(self, model: str) -> "ProjectedMaps":
        from csr_core.annotation.propagation import ProjectedMaps

        reasoner = self._models.get(model)
        with self._lock:
            return self._projected.setdefault(model, ProjectedMaps(reasoner, self._cache))


def _cells(value: object, grid: tuple[int, int]) -> list[Cell]:
    if not isinstance(value, list) or len(value) > MOST_CELLS:
        raise RequestError(f"Patches are a list of at most {MOST_CELLS}.")
    cells = []
    for cell in value:
        if not isinstance(cell, list) or len(cell) != 2:
            raise RequestError("A patch is [row, column].")
        row, column = (index_field(side, "patch", MOST_CASES) for side in cell)
        if row < grid[0] and column < grid[1]:  # else it is of a model with a finer grid
            cells.append((row, column))
    return cells


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "csr-studio"
