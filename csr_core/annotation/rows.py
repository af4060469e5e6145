"""Finding and making rows that everything else hangs on: projects, cases, readers."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from csr_core.annotation.names import CONSENSUS, StoreError, check_name, folded
from csr_core.annotation.tables import cases, projects, readers
from csr_core.datasets.problems import shown

__all__ = [
    "append_cases",
    "case_row",
    "insert_missing",
    "project_row",
    "reader_id",
    "reader_ids",
    "reader_name",
]

_MANY = 1000  # rows at a time
_NOBODY = 0  # ids count from 1


def project_row(connection: Connection, name: str, lock: bool = False) -> RowMapping:
    """The row of a project; locked, nobody else adds cases until the transaction ends.

    Raises:
        StoreError: if there is none of that name.
    """
    wanted = select(projects).where(projects.c.folded_name == folded(name))
    if lock:
        wanted = wanted.with_for_update()
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise StoreError(f"There is no project {shown(name)}.")
    return row


def case_row(connection: Connection, case: int) -> RowMapping:
    """The row of a case, with its `project` and the `vocabulary` of that.

    Raises:
        StoreError: if there is none of that id.
    """
    wanted = (
        select(cases, projects.c.name.label("project"), projects.c.vocabulary)
        .join(projects, projects.c.id == cases.c.project_id)
        .where(cases.c.id == case)
    )
    row = connection.execute(wanted).mappings().one_or_none()
    if row is None:
        raise StoreError(f"There is no case {case}.")
    return row


def append_cases(connection: Connection, project_id: int, rows: list[dict[str, Any]]) -> int:
    """Add checked cases whose image ids the project doesn't have; say how many."""
    here = cases.c.project_id == project_id
    known: set[str] = set()
    for start in range(0, len(rows), _MANY):
        ids = [row["image_id"] for row in rows[start : start + _MANY]]
        known |= set(
            connection.scalars(select(cases.c.image_id).where(here, cases.c.image_id.in_(ids)))
        )
    first = connection.scalar(select(func.coalesce(func.max(cases.c.position) + 1, 0)).where(here))
    added = [
        {
            **row,
            "project_id": project_id,
            "position": position,
            "undecided_place": position,
            "diverse_place": position,
        }
        for position, row in enumerate(
            (row for row in rows if row["image_id"] not in known), start=first or 0
        )
    ]
    if added:
        connection.execute(insert(cases), added)
    return len(added)


def reader_name(name: str) -> str:
    """Check the name of somebody who reads, or of those who agreed.

    Raises:
        StoreError: if it is no name.
    """
    checked = check_name(name, "reader")
    return CONSENSUS if folded(checked) == CONSENSUS else checked


def reader_id(connection: Connection, name: str) -> int:
    """The id of a reader, or one that nobody has."""
    wanted = select(readers.c.id).where(readers.c.folded_name == folded(reader_name(name)))
    return connection.scalar(wanted) or _NOBODY


def reader_ids(connection: Connection, names: Collection[str]) -> list[int]:
    """The ids of readers, in their order; those who are new are added."""
    keys = [folded(name) for name in names]
    wanted = select(readers.c.folded_name, readers.c.id).where(readers.c.folded_name.in_(keys))
    found = {row.folded_name: row.id for row in connection.execute(wanted)}
    # In one order whoever asks, or two processes could wait for each other for ever.
    for key, name in sorted(dict(zip(keys, names, strict=True)).items()):
        if key not in found:
            insert_missing(connection, readers, {"name": name, "folded_name": key})
    if len(found) < len(set(keys)):
        found = {row.folded_name: row.id for row in connection.execute(wanted)}
    return [found[key] for key in keys]


def insert_missing(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless it collides with one that is there; tell whether it was inserted."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = dialect.insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(adding.returning(*table.primary_key)).first() is not None
