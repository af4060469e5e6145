"""What readers mark, kept for good: every change lasts from the moment it is acknowledged."""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike, fspath

from sqlalchemy import select

from csr_core.annotation.database import Database
from csr_core.annotation.journal import (
    Event,
    Read,
    Saved,
    read_history,
    read_one,
    read_page,
    read_readings,
    save_change,
)
from csr_core.annotation.names import CONSENSUS, StoreError, check_reader
from csr_core.annotation.places import place_cases
from csr_core.annotation.projects import (
    Case,
    NewCase,
    Project,
    case_columns,
    case_of_row,
    project_columns,
    project_of_row,
)
from csr_core.annotation.queue import (
    Progress,
    QueuePage,
    QueueRow,
    QueueView,
    find_page,
    find_progress,
    find_step,
)
from csr_core.annotation.records import Annotation, Change
from csr_core.annotation.rows import (
    append_cases,
    case_row,
    insert_missing,
    project_row,
    reader_id,
)
from csr_core.annotation.tables import cases, projects

__all__ = [
    "CONSENSUS",
    "Case",
    "Event",
    "NewCase",
    "Progress",
    "Project",
    "QueuePage",
    "QueueRow",
    "QueueView",
    "Read",
    "Saved",
    "Store",
    "StoreError",
    "check_reader",
]

_MANY = 1000  # cases read at a time


class Store:
    """Projects, their cases, and what readers said of them.

    Several threads may use one, and several processes may open the same. Names of projects and
    readers are compared without regard to case. Every method raises `StoreError` if there is no
    such project or case, and if the database fails.

    Args:
        address: a file, made if need be, or postgresql://user@host/database.

    Raises:
        StoreError: if what is there is no store, or one of a newer version.
    """

    def __init__(self, address: str | PathLike[str]) -> None:
        self._database = Database(fspath(address))

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def create_project(self, project: Project, cases: Iterable[NewCase]) -> None:
        """Add a project with its cases, in their order.

        Raises:
            StoreError: if there is one of that name, or something in it is not as it should be.
        """
        columns, rows = project_columns(project), case_columns(cases)
        with self._database.writing() as connection:
            if not insert_missing(connection, projects, columns):
                raise StoreError(
                    f"There is a project {columns['name']} already; choose another name."
                )
            append_cases(connection, project_row(connection, columns["name"])["id"], rows)

    def add_cases(self, project: str, cases: Iterable[NewCase]) -> int:
        """Append the cases whose image ids a project doesn't have yet, and say how many."""
        rows = case_columns(cases)
        with self._database.writing() as connection:
            return append_cases(connection, project_row(connection, project, lock=True)["id"], rows)

    def projects(self) -> list[Project]:
        """All projects, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(projects).order_by(projects.c.folded_name)).mappings()
            return [project_of_row(row) for row in rows]

    def project(self, name: str) -> Project:
        """The project of a name."""
        with self._database.reading() as connection:
            return project_of_row(project_row(connection, name))

    def case(self, case: int) -> Case:
        """The case of an id."""
        with self._database.reading() as connection:
            row = case_row(connection, case)
            return case_of_row(row, row["project"])

    def case_of(self, project: str, image_id: str) -> Case:
        """The case of a project with an image id."""
        with self._database.reading() as connection:
            place = project_row(connection, project)
            inside = (cases.c.project_id == place["id"], cases.c.image_id == image_id)
            row = connection.execute(select(cases).where(*inside)).mappings().one_or_none()
        if row is None:
            raise StoreError(f"There is no image {image_id} in {place['name']}.")
        return case_of_row(row, place["name"])

    def cases(self, project: str) -> Iterator[Case]:
        """All cases of a project as listed; read as they are asked for."""
        with self._database.reading() as connection:
            place = project_row(connection, project)
        last = -1
        while True:
            after = (cases.c.project_id == place["id"], cases.c.position > last)
            wanted = select(cases).where(*after).order_by(cases.c.position).limit(_MANY)
            with self._database.reading() as connection:
                rows = connection.execute(wanted).mappings().all()
            if not rows:
                return
            yield from (case_of_row(row, place["name"]) for row in rows)
            last = rows[-1]["position"]

    def save(
        self, case: int, reader: str, change: Change, key: str, author: str | None = None
    ) -> Saved:
        """Make a change last: when this returns, it is on disk, in the state and in the history.

        Args:
            case: id of the case.
            reader: whose annotation is changed; `CONSENSUS` for what was agreed on.
            change: what is changed.
            key: of this change, unique for the case and the reader: saving it again changes nothing
                and answers as the first time, so that one may always retry.
            author: who changes it, if that isn't the reader.

        Raises:
            StoreError: if the change doesn't fit the project or the case.
        """
        with self._database.writing() as connection:
            return save_change(connection, case, reader, change, key, author)

    def annotation(self, case: int, reader: str) -> Annotation:
        """What a reader says of a case; nothing, if nothing was saved."""
        with self._database.reading() as connection:
            return read_one(connection, case, reader)

    def readings(self, case: int) -> list[Read]:
        """What all readers say of a case, by name."""
        with self._database.reading() as connection:
            return read_readings(connection, case)

    def annotations(
        self, project: str, reader: str | None = None, done: bool = False
    ) -> Iterator[Read]:
        """All annotations of a project, case by case; read as they are asked for.

        Args:
            project: its name.
            reader: only this one's.
            done: only those that are done.
        """
        with self._database.reading() as connection:
            place = project_row(connection, project)
        last = (0, 0)
        while True:
            with self._database.reading() as connection:
                page, last = read_page(connection, place, last, reader, done)
            if not page:
                return
            yield from page

    def history(self, case: int, reader: str | None = None) -> list[Event]:
        """The changes of a case, oldest first, of all readers or one."""
        with self._database.reading() as connection:
            return read_history(connection, case, reader)

    def queue(
        self, project: str, reader: str, view: QueueView, offset: int = 0, limit: int = 100
    ) -> QueuePage:
        """A page of a reader's worklist."""
        with self._database.reading() as connection:
            place = project_row(connection, project)
            mine = reader_id(connection, reader)
            return find_page(connection, (place["id"], place["name"]), mine, view, offset, limit)

    def neighbour(
        self, project: str, reader: str, view: QueueView, case: int | None, step: int
    ) -> Case | None:
        """The next case of a reader's worklist, or the previous.

        Args:
            project: its name.
            reader: whose worklist.
            view: of it.
            case: id of the case to go from, which need not be in that view (any more); None: from
                before the first, or from behind the last.
            step: how many cases to go on, or back if below zero.

        Returns:
            The case, or None if the worklist ends before.
        """
        with self._database.reading() as connection:
            place = project_row(connection, project)
            mine = reader_id(connection, reader)
            return find_step(connection, (place["id"], place["name"]), mine, view, case, step)

    def progress(self, project: str) -> list[Progress]:
        """How far everyone is who saved something in a project, by name."""
        with self._database.reading() as connection:
            return find_progress(connection, project_row(connection, project)["id"])

    def rank(
        self, project: str, model: str, undecided: Mapping[int, float], diversity: Mapping[int, int]
    ) -> None:
        """Put the cases of a project in the orders a model would ask for them.

        Cases that aren't given come last, as listed; what was ranked before is forgotten.

        Args:
            project: its name.
            model: that was asked; `ranked_by` tells it.
            undecided: how undecided the model is, by case id; the highest comes first.
            diversity: place of a case when each shall differ most from those before it, by case id;
                the lowest comes first.

        Raises:
            StoreError: if a case is not the project's, or a value not finite.
        """
        with self._database.writing() as connection:
            project_id = project_row(connection, project, lock=True)["id"]
            place_cases(connection, project_id, model, undecided, diversity)

    def ranked_by(self, project: str) -> str | None:
        """The model that put the cases of a project in order, if one did."""
        with self._database.reading() as connection:
            name: str | None = project_row(connection, project)["ranked_by"]
            return name
