"""The worklist of a reader: filtered, searched, in an order, a page or a step at a time."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, Connection, FromClause, Select, func, or_, select

from csr_core.annotation.names import StoreError
from csr_core.annotation.projects import Case, case_of_row
from csr_core.annotation.records import Status
from csr_core.annotation.tables import annotations, cases, readers

__all__ = [
    "MAX_PAGE",
    "Filter",
    "Order",
    "Progress",
    "QueuePage",
    "QueueRow",
    "QueueView",
    "find_page",
    "find_progress",
    "find_step",
]

Filter = Literal["all", "new", "open", "done", "skipped", "flagged"]
Order = Literal["listed", "undecided", "diverse"]
MAX_PAGE = 1000


@dataclass(frozen=True)
class QueueView:
    """What of a project a reader looks at, and in which order.

    Attributes:
        status: of the reader's own annotation; "new": the reader never saved anything of the case.
        order: as listed, or as a model would ask; see `Store.rank`.
        text: part of the image id or the path; case doesn't count.

    Raises:
        StoreError: if there is no such filter or order.
    """

    status: Filter = "all"
    order: Order = "listed"
    text: str = ""

    def __post_init__(self) -> None:
        for what, value, known in (("filter", self.status, Filter), ("order", self.order, Order)):
            if value not in get_args(known):
                raise StoreError(f"The {what} of a worklist is {', '.join(get_args(known))}.")


@dataclass(frozen=True)
class QueueRow:
    """A case as one reader sees it in the worklist.

    Attributes:
        case: the case.
        status: of the reader's annotation.
        flagged: by the reader.
        others: further readers that saved something of the case, and their status.
    """

    case: Case
    status: Literal["new"] | Status
    flagged: bool
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class QueuePage:
    """Some rows of a worklist, and how many there are in all."""

    rows: tuple[QueueRow, ...]
    total: int


@dataclass(frozen=True)
class Progress:
    """How far a reader is.

    Attributes:
        reader: who.
        open: annotations begun.
        done: annotations finished.
        skipped: cases left out.
        flagged: annotations to be talked about.
        cases: of the project.
    """

    reader: str
    open: int
    done: int
    skipped: int
    flagged: int
    cases: int


def find_page(
    connection: Connection,
    project: tuple[int, str],
    reader_id: int,
    view: QueueView,
    offset: int,
    limit: int,
) -> QueuePage:
    """A page of the worklist of a project, given by id and name; see `Store.queue`."""
    if offset < 0 or not 0 < limit <= MAX_PAGE:
        raise StoreError(f"A page of the worklist has 1 to {MAX_PAGE} rows.")
    ids = _wanted(project[0], reader_id, view).order_by(_order(view))
    if view.text:  # is searched once, for the page and the total
        every = connection.scalars(ids).all()
        page, total = every[offset : offset + limit], len(every)
    else:
        page = connection.scalars(ids.offset(offset).limit(limit)).all()
        total = _total(connection, project[0], reader_id, view)
    # Ids first: the rows before the offset are passed over in an index.
    wanted = select(cases).where(cases.c.id.in_(page)).order_by(_order(view))
    found = [case_of_row(row, project[1]) for row in connection.execute(wanted).mappings()]
    own, others = _statuses(connection, [case.id for case in found], reader_id)
    rows = (
        QueueRow(case, *own.get(case.id, ("new", False)), tuple(others[case.id])) for case in found
    )
    return QueuePage(tuple(rows), total)


def find_step(
    connection: Connection,
    project: tuple[int, str],
    reader_id: int,
    view: QueueView,
    case_id: int | None,
    step: int,
) -> Case | None:
    """The case some steps from another; see `Store.neighbour`."""
    if not 0 < abs(step) <= MAX_PAGE:
        raise StoreError(f"A step in the worklist is 1 to {MAX_PAGE} cases on or back.")
    place = _order(view)
    wanted = _wanted(project[0], reader_id, view)
    if case_id is not None:
        inside = (cases.c.project_id == project[0], cases.c.id == case_id)
        here = connection.scalar(select(place).where(*inside))
        if here is None:
            raise StoreError(f"There is no case {case_id} in {project[1]}.")
        wanted = wanted.where(place > here if step > 0 else place < here)
    wanted = wanted.order_by(place if step > 0 else place.desc()).offset(abs(step) - 1).limit(1)
    row = connection.execute(select(cases).where(cases.c.id.in_(wanted))).mappings().one_or_none()
    return None if row is None else case_of_row(row, project[1])


def find_progress(connection: Connection, project_id: int) -> list[Progress]:
    """How far the readers of a project are, by name."""
    count = connection.scalar(select(func.count()).where(cases.c.project_id == project_id)) or 0
    sums = (
        select(annotations.c.reader_id, annotations.c.status, annotations.c.flagged, func.count())
        .where(annotations.c.project_id == project_id)
        .group_by(annotations.c.reader_id, annotations.c.status, annotations.c.flagged)
    )
    found: dict[int, dict[str, int]] = {}
    for reader_id, status, flagged, number in connection.execute(sums):
        counts = found.setdefault(reader_id, dict.fromkeys((*get_args(Status), "flagged"), 0))
        counts[status] += number
        counts["flagged"] += number if flagged else 0
    names = _names(connection, found)
    return [
        Progress(reader=names[reader_id], cases=count, **counts)
        for reader_id, counts in sorted(found.items(), key=lambda item: names[item[0]].casefold())
    ]


def _order(view: QueueView) -> ColumnElement[int]:
    match view.order:
        case "listed":
            place = cases.c.position
        case "undecided":
            place = cases.c.undecided_place
        case "diverse":
            place = cases.c.diverse_place
    return place


def _wanted(project_id: int, reader_id: int, view: QueueView) -> Select[tuple[int]]:
    """Ids of the cases in a view, in no order yet."""
    wanted = select(cases.c.id)
    if view.status == "new":
        read = (annotations.c.case_id == cases.c.id, annotations.c.reader_id == reader_id)
        wanted = wanted.where(~select(annotations.c.case_id).where(*read).exists())
    elif view.status != "all":
        own = _own(project_id, reader_id, view)
        wanted = wanted.where(cases.c.id.in_(select(annotations.c.case_id).where(*own)))
    if not view.text:
        return wanted.where(cases.c.project_id == project_id)
    words = view.text.replace("\0", "")
    found = (text.icontains(words, autoescape=True) for text in (cases.c.image_id, cases.c.path))
    # Every text is read. The sum keeps the database from doing so in the order of an index, here
    # and there in the file: one after the other is several times faster.
    return wanted.where(or_(*found), cases.c.project_id + 0 == project_id)


def _own(project_id: int, reader_id: int, view: QueueView) -> tuple[ColumnElement[bool], ...]:
    """Which annotations are the reader's; and of a status, where the view has one."""
    own = (annotations.c.project_id == project_id, annotations.c.reader_id == reader_id)
    match view.status:
        case "all" | "new":
            return own
        case "flagged":
            return (*own, annotations.c.flagged)
        case status:
            return (*own, annotations.c.status == status)


def _total(connection: Connection, project_id: int, reader_id: int, view: QueueView) -> int:
    """How many cases are in a view without a text."""

    def count(rows: FromClause, *conditions: ColumnElement[bool]) -> int:
        counting = select(func.count()).select_from(rows).where(*conditions)
        return connection.scalar(counting) or 0

    own = 0 if view.status == "all" else count(annotations, *_own(project_id, reader_id, view))
    if view.status not in ("all", "new"):
        return own
    return count(cases, cases.c.project_id == project_id) - own


def _statuses(
    connection: Connection, case_ids: list[int], reader_id: int
) -> tuple[dict[int, tuple[Any, bool]], dict[int, list[tuple[str, str]]]]:
    """The reader's status and flag by case, and the other readers' names and status."""
    own: dict[int, tuple[Any, bool]] = {}
    others: dict[int, list[tuple[str, str]]] = defaultdict(list)
    wanted = (
        select(
            annotations.c.case_id,
            annotations.c.reader_id,
            annotations.c.status,
            annotations.c.flagged,
            readers.c.name,
        )
        .join(readers, readers.c.id == annotations.c.reader_id)
        .where(annotations.c.case_id.in_(case_ids))
        .order_by(readers.c.folded_name)
    )
    for row in connection.execute(wanted):
        if row.reader_id == reader_id:
            own[row.case_id] = (row.status, row.flagged)
        else:
            others[row.case_id].append((row.name, row.status))
    return own, others


def _names(connection: Connection, reader_ids: Iterable[int]) -> dict[int, str]:
    wanted = select(readers.c.id, readers.c.name).where(readers.c.id.in_(list(reader_ids)))
    return {row.id: row.name for row in connection.execute(wanted)}
