"""Opening the database of a store: which one is meant, that it is ours, and up to date."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Connection,
    String,
    column,
    create_engine,
    event,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from csr_core.annotation.names import StoreError, StoreFailure
from csr_core.annotation.tables import VERSION_TABLE

__all__ = ["Database", "migrate", "without_password"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_WAIT = 30  # seconds for another process that writes
_SQLITE = {
    "busy_timeout": _WAIT * 1000,
    "foreign_keys": "ON",
    "synchronous": "FULL",  # what was acknowledged outlives the power
    "fullfsync": "ON",
    "trusted_schema": "OFF",
}
# Texts and numbers that no database holds come from outside, and are refused by its driver.
_FAILURES = (SQLAlchemyError, sqlite3.Error, OverflowError, UnicodeEncodeError)
_OPENING = 0x43535253  # what processes that open the same store wait for each other at


class Database:
    """The connections to a store that was checked and is up to date.

    Args:
        address: a path, or a URL: sqlite:///… or postgresql://….

    Raises:
        StoreError: if the address or what is there is no store, or one of a newer version.
    """

    def __init__(self, address: str) -> None:
        url = _url(address)
        self._secrets = [url.password, *url.normalized_query.get("password", ())]
        self._file = url.database if url.get_backend_name() == "sqlite" else None
        self.name = self._file or f"{url.host or 'localhost'}/{url.database or ''}"
        if self._file is not None:
            self._engine = create_engine(url, hide_parameters=True)
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        else:
            self._engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
            event.listen(self._engine, "connect", _prepare_postgresql)
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the store."""
        with self._explained("read"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes all last at the end of the block, or none does."""
        engine = self._engine.execution_options(writes=True)
        with self._explained("written"), engine.begin() as connection:
            yield connection

    def _bring_up_to_date(self) -> None:
        script = ScriptDirectory(str(_MIGRATIONS))
        known = {step.revision for step in script.walk_revisions()}
        with self.reading() as connection:
            if self._version(connection, known) == script.get_current_head():
                return
        if self._file is not None:
            with self._explained("written"):
                _write_ahead(self._file)
        with self.writing() as connection:
            if self._file is None:
                connection.execute(select(func.pg_advisory_xact_lock(_OPENING)))
            if self._version(connection, known) != script.get_current_head():
                migrate(connection)

    def _version(self, connection: Connection, known: set[str]) -> str | None:
        """The version of the tables, None if there are none yet."""
        tables = inspect(connection).get_table_names()
        if not tables:
            return None
        if VERSION_TABLE not in tables:
            raise StoreError(
                f"{self.name} holds something else than annotations; name another place for them."
            )
        versions = select(column("version_num", String)).select_from(table(VERSION_TABLE))
        version = connection.scalars(versions).one_or_none()
        if version is None or version not in known:
            raise StoreError(
                f"{self.name} was written by a newer version of CSR Studio; update this one."
            )
        return version

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as problem:
            reason = str(getattr(problem, "orig", None) or problem).partition("\n")[0].rstrip(".")
            for secret in filter(None, self._secrets):
                reason = reason.replace(secret, "***")
            message = f"The annotations in {self.name} can't be {done}: {reason}."
            raise StoreFailure(message) from None


def without_password(address: str) -> str:
    """An address of a store as it may be shown to anybody."""
    if "://" not in address:
        return address
    shown = make_url(address).difference_update_query(["password"])
    return shown.render_as_string(hide_password=True)


def migrate(connection: Connection, version: str = "head") -> None:
    """Bring the tables to a version, in the connection's transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, version)


def _url(address: str) -> URL:
    if "://" not in address:
        url = URL.create("sqlite", database=address)
    else:
        try:
            url = make_url(address)
            backend = url.get_backend_name()
        except (SQLAlchemyError, ValueError):  # its message may hold the password
            backend = ""
        if backend in ("postgresql", "postgres"):
            if find_spec("psycopg") is None:
                raise StoreError(
                    "Annotations in PostgreSQL need its driver: pip install 'psycopg[binary]'."
                )
            return url.set(drivername="postgresql+psycopg")
        if backend != "sqlite":
            raise StoreError(
                "Annotations are kept in a file or at postgresql://user@host/database."
            )
        url = URL.create("sqlite", database=url.database)
    if not url.database or url.database == ":memory:":
        raise StoreError("Annotations are kept in a file: name one.")
    path = Path(url.database).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(f"The folder of {path} can't be made: {problem.strerror}.") from problem
    return url.set(database=str(path))


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says so
    for setting, value in _SQLITE.items():
        connection.execute(f"PRAGMA {setting} = {value}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail if another one wrote in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, _: object) -> None:
    connection.execute("SET synchronous_commit = on")
    connection.commit()


def _write_ahead(file: str) -> None:
    """Let readers go on while one writes; here SQLite doesn't wait for others by itself."""
    deadline = time.monotonic() + _WAIT
    with closing(sqlite3.connect(file, timeout=_WAIT, isolation_level=None)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)
