"""What the annotate screen asks for, as functions from plain values to plain values.

As in `csr_core.service`: everything that arrives is untrusted, everything that leaves is ready for
JSON, and refusals are exceptions whose message is for the person at the screen (`REFUSALS`). Only
the reader is known already: who that is, is decided where requests arrive.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from csr_core.annotation.folders import FolderError
from csr_core.annotation.names import CONSENSUS, StoreError, folded
from csr_core.annotation.records import (
    Annotation,
    AnnotationError,
    Vocabulary,
    annotation_to_json,
    change_from_json,
)
from csr_core.annotation.roots import ProjectRoots
from csr_core.imaging import ImageError, decode_image
from csr_core.models import Models
from csr_core.wire import RequestError, data_url, index_field, text_field

if TYPE_CHECKING:
    from csr_core.annotation.projects import Case, Project
    from csr_core.annotation.queue import QueueRow, QueueView
    from csr_core.annotation.store import Store

__all__ = ["REFUSALS", "AnnotationService"]

PICTURE_SIDE = 2048
QUEUE_PAGE = 100
MOST_CASES = 2**31
LONGEST_TEXT = 4000

REFUSALS = (RequestError, ImageError, AnnotationError, StoreError, FolderError)


class AnnotationService:
    """Hands out cases and keeps what is said of them.

    Args:
        url: of the store, which is opened, and made, at its first use.
        models: that may help.
        gallery: folder of the bundled cases, the demo project.
        roots: folders from which projects may be made; none by default.
    """

    def __init__(
        self, url: str, models: Models, gallery: Path, roots: ProjectRoots | None = None
    ) -> None:
        self._url = url
        self._roots = roots or ProjectRoots()
        self._models = models
        self._gallery = gallery
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._pictures = ThreadPoolExecutor(1, "pictures")  # as in `ReviewService`

    @property
    def store(self) -> "Store":
        """The store, with at least the demo project in it.

        Raises:
            StoreError: if it can't be opened.
        """
        with self._opening:
            if self._store is None:
                from csr_core.annotation.demo import ensure_demo  # here, because it takes a while
                from csr_core.annotation.store import Store

                store = Store(self._url)
                ensure_demo(store, self._gallery, self._models.shape(self._models.names[0]))
                self._store = store
            return self._store

    def start(self) -> dict[str, Any]:
        """List what there is to read.

        Returns:
            `projects`: name, concepts, classes, instructions, number of cases, and the models that
            could help; `folders`, from which projects may be made.
        """
        return {
            "projects": [self._described(project) for project in self.store.projects()],
            "folders": self._roots.names(),
        }

    def make_project(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Make a project of a folder that was offered.

        Args:
            asked: `folder`, one of those of `start`; `name`; `concepts` and `classes`, separated
                by commas, which a data set has already; `instructions`.

        Returns:
            What `start` answers, and `problems`: what in the folder was left out, and why.

        Raises:
            FolderError, StoreError: if no project can be made of it.
            RequestError: if a field is not as it should be.
        """
        from csr_core.annotation.folders import plan_project

        folder = self._roots.folder(asked.get("folder"))
        name = text_field(asked.get("name"), "name")
        words = [_words(asked.get(field), field) for field in ("concepts", "classes")]
        told = _long_text(asked.get("instructions"), "instructions")
        project, listing = plan_project(name, folder, words[0], words[1], told)
        self.store.create_project(project, listing.cases)
        return {**self.start(), "problems": list(listing.problems)}

    def queue(self, reader: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Show a part of a worklist.

        Args:
            reader: whose it is.
            asked: `project`; `status`, `order` and `text` of the view; `offset`.

        Returns:
            `rows`, each with `case`, `image_id`, `position`, `status`, `flagged` and `others`
            ([name, status] each); `total`; and `progress`, by reader.

        Raises:
            RequestError, StoreError: if a field is not as it should be.
        """
        project = text_field(asked.get("project"), "project")
        offset = index_field(asked.get("offset", 0), "offset", MOST_CASES)
        page = self.store.queue(project, reader, _view(asked), offset, QUEUE_PAGE)
        return {
            "rows": [_row(row) for row in page.rows],
            "total": page.total,
            "progress": [vars(progress) for progress in self.store.progress(project)],
        }

    def open(self, reader: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Open a case.

        Args:
            reader: who will read it.
            asked: `case`, or `project`, the view as of `queue`, and `step` to take from `from` (a
                case, or None for the first); `consensus`, whether to open what readers agreed on.

        Returns:
            `case` (None if there is none that way), else also `image_id`, `position`, `height`,
            `width`, `split`, `annotation` as JSON, `begun` (whether the reader saved anything of
            it), and `others` as in the queue.

        Raises:
            RequestError, StoreError: if a field is not as it should be.
        """
        case = self._asked_case(reader, asked)
        if case is None:
            return {"case": None}
        writer = CONSENSUS if asked.get("consensus") is True else reader
        readings = {folded(reading.reader): reading for reading in self.store.readings(case.id)}
        mine = readings.pop(folded(writer), None)
        return {
            "case": case.id,
            "image_id": case.image_id,
            "position": case.position,
            "height": case.height,
            "width": case.width,
            "split": case.split,
            "annotation": annotation_to_json(mine.annotation if mine else Annotation()),
            "begun": mine is not None,
            "others": [[other.reader, other.annotation.status] for other in readings.values()],
        }

    def picture(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Show the image of a case, as a JPEG in `picture`.

        Raises:
            ImageError: if the image can't be used.
            RequestError, StoreError: if there is no such case.
        """
        path = self.image_path(self.case(asked.get("case")))
        return {"picture": self._pictures.submit(_picture, path).result()}

    def save(self, reader: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a change; once this answers, it lasts.

        Args:
            reader: who made it.
            asked: `case`, with its `project` and `image_id`, for the browser may have kept the
                change while the server was given another store; `change`, see `change_from_json`;
                `key`, the browser's own name of the change, under which it is kept once however
                often it is sent; `consensus`, whether it is what readers agreed on instead of the
                reader's own.

        Returns:
            `revision` and `at` (ISO 8601).

        Raises:
            AnnotationError: if the change is not as it should be.
            RequestError, StoreError: if another field isn't.
        """
        case = self.case(asked.get("case"))
        if (case.project, case.image_id) != (asked.get("project"), asked.get("image_id")):
            raise RequestError("The change is of a case that this store doesn't have.")
        change = change_from_json(asked.get("change"), self.vocabulary(case.project))
        writer, author = (CONSENSUS, reader) if asked.get("consensus") is True else (reader, None)
        key = text_field(asked.get("key"), "key")
        saved = self.store.save(case.id, writer, change, key, author)
        return {"revision": saved.revision, "at": saved.at.isoformat()}

    def readings(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Show what every reader says of a case, those who are done first.

        Returns:
            `readings`, each with `reader` and `annotation`.

        Raises:
            RequestError, StoreError: if there is no such case.
        """
        readings = self.store.readings(self.case(asked.get("case")).id)
        ordered = sorted(readings, key=lambda reading: reading.annotation.status != "done")
        return {
            "readings": [
                {"reader": reading.reader, "annotation": annotation_to_json(reading.annotation)}
                for reading in ordered
                if reading.reader != CONSENSUS
            ]
        }

    def case(self, value: object) -> "Case":
        """Find a case by the number that a browser gave.

        Raises:
            RequestError, StoreError: if there is none.
        """
        return self.store.case(index_field(value, "case", MOST_CASES))

    def vocabulary(self, project: str) -> Vocabulary:
        """The words of a project."""
        return self.store.project(project).vocabulary

    def project(self, name: str) -> "Project":
        """Find a project; the demo's images are where this studio has them now.

        Raises:
            StoreError: if there is none.
        """
        from csr_core.annotation.demo import DEMO

        project = self.store.project(name)
        return replace(project, folder=self._gallery) if project.name == DEMO else project

    def image_path(self, case: "Case") -> Path:
        """Where the image of a case is.

        Raises:
            RequestError: if that is outside the project's folder.
        """
        folder = self.project(case.project).folder.resolve()
        path = (folder / case.path).resolve()
        if not path.is_relative_to(folder):
            raise RequestError(f"The image of {case.image_id} is not in the project's folder.")
        return path

    def _asked_case(self, reader: str, asked: Mapping[str, Any]) -> "Case | None":
        if "step" not in asked:
            return self.case(asked.get("case"))
        project = text_field(asked.get("project"), "project")
        start = asked.get("from")
        before = None if start is None else self.case(start).id
        step = -1 if asked["step"] == -1 else 1
        return self.store.neighbour(project, reader, _view(asked), before, step)

    def _described(self, project: "Project") -> dict[str, Any]:
        words = project.vocabulary
        helpers = []
        for name in self._models.names:
            shape = self._models.shape(name)
            shared = [concept for concept in words.concepts if concept in shape.concepts]
            if shared:
                title = self._models.summary(name)["title"]
                helpers.append({"name": name, "title": title, "grid": list(shape.grid)})
        return {
            "name": project.name,
            "cases": self.store.queue(project.name, CONSENSUS, _view({}), 0, 1).total,
            "concepts": list(words.concepts),
            "classes": list(words.classes),
            "instructions": project.instructions,
            "models": helpers,
        }


def _long_text(value: object, field: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise RequestError(f"{field!r} is a text of at most {LONGEST_TEXT} characters.")
    return value.strip()


def _words(value: object, field: str) -> list[str]:
    return [word.strip() for word in _long_text(value, field).split(",") if word.strip()]


def _view(asked: Mapping[str, Any]) -> "QueueView":
    from csr_core.annotation.queue import Filter, Order, QueueView  # here, as the store

    status, order = asked.get("status", "all"), asked.get("order", "listed")
    text = asked.get("text", "")
    if status not in get_args(Filter) or order not in get_args(Order):
        raise RequestError("There is no such filter or order of the queue.")
    return QueueView(status, order, text_field(text, "text") if text else "")


def _row(row: "QueueRow") -> dict[str, Any]:
    return {
        "case": row.case.id,
        "image_id": row.case.image_id,
        "position": row.case.position,
        "status": row.status,
        "flagged": row.flagged,
        "others": [list(other) for other in row.others],
    }


def _picture(path: Path) -> str:
    return data_url(decode_image(path), PICTURE_SIDE)
