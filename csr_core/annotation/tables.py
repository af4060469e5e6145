"""The tables of a store.

The files in `migrations/versions` make them; this is what the latest of these leaves behind.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

__all__ = [
    "METADATA",
    "VERSION_TABLE",
    "UtcTime",
    "annotations",
    "cases",
    "changes",
    "projects",
    "readers",
]

VERSION_TABLE = "annotation_store_version"

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A time that knows its zone; SQLite keeps none, so UTC is what the database holds."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Drop the zone after going to UTC."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        return value and value.replace(tzinfo=UTC)


projects = Table(
    "projects",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("folded_name", String, nullable=False),
    Column("folder", Text, nullable=False),
    Column("vocabulary", Text, nullable=False),
    Column("instructions", Text, nullable=False),
    Column("data_name", Text, nullable=False),
    Column("ranked_by", String),  # the model that gave the cases their places
    UniqueConstraint("folded_name"),
)

readers = Table(
    "readers",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("folded_name", String, nullable=False),
    UniqueConstraint("folded_name"),
)

cases = Table(
    "cases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("image_id", String, nullable=False),
    Column("path", Text, nullable=False),
    Column("split", String, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("undecided_place", Integer, nullable=False, server_default=text("0")),
    Column("diverse_place", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("project_id", "position"),
    UniqueConstraint("project_id", "image_id"),
    Index(None, "project_id", "undecided_place"),
    Index(None, "project_id", "diverse_place"),
)

annotations = Table(
    "annotations",
    METADATA,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("reader_id", ForeignKey("readers.id"), primary_key=True),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("status", String, nullable=False),
    Column("flagged", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),  # last: a queue reads the columns before it only
    Index(None, "project_id", "case_id", "reader_id"),
    Index(None, "project_id", "reader_id", "status", "flagged", "case_id"),
)

changes = Table(
    "changes",
    METADATA,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("reader_id", ForeignKey("readers.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("key", String, nullable=False),
    Column("author_id", ForeignKey("readers.id"), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("case_id", "reader_id", "key"),
)
