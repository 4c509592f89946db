"""The database behind a store: connections, migrations, idempotent writes, queries, and deletion of what is old."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.outcomes.store.schema import DECISIONS, METADATA, OUTCOMES, SCORES, TABLES, TIMES

try:
    import alembic  # noqa: F401  # looked for here, so that its lack is found where a store is made
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.engine import Engine, make_url
    from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, StatementError
except ImportError as error:
    raise MissingExtraError("A store", "store") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import URL, Connection, Select

    from langchain_atlas.outcomes.store.rows import Row

_BUSY_S = 30
_CONNECT_S = 5
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
}
"""The database's time, in seconds since 1970."""
_MIGRATING = 4_170_020
"""Key of the lock under which PostgreSQL's tables are made."""
_WRITES = "atlas_writes"
_WRITING = threading.RLock()
"""Held while this process writes to SQLite. A connection that a forked child inherits would damage the database."""
_ENGINES: WeakSet[Engine] = WeakSet()
"""The engines of SQLite, whose idle connections are closed before a fork."""


def _before_fork() -> None:
    _WRITING.acquire()
    for engine in list(_ENGINES):
        engine.dispose()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_WRITING.release, after_in_child=_WRITING.release)


def is_refused(error: Exception) -> bool:
    """Return whether an error is about the rows, so that the same rows would fail again; some are a driver's own."""
    about_rows = isinstance(error, DataError | IntegrityError | UnicodeError | OverflowError)
    return about_rows or (isinstance(error, StatementError) and not isinstance(error, DBAPIError))


def checked_url(url: str) -> URL:
    """Return the address of a database, with the driver that is used for it.

    Raises:
        SettingError: it is not the address of a database that can be a store.
        MissingExtraError: the driver is not installed.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingError(f"A store is given as an address; {_GIVEN}. The one given can't be read.") from None
    name = parsed.get_backend_name()
    if name == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise SettingError(f"The store {url!r} names no file, so nothing would be kept; {_GIVEN}.")
        return parsed.set(drivername="sqlite+pysqlite")
    if name in ("postgresql", "postgres"):
        if find_spec("psycopg") is None:
            raise MissingExtraError("A store in PostgreSQL", "postgres")
        return parsed.set(drivername="postgresql+psycopg")
    raise SettingError(f"The store's address begins with {name!r}; {_GIVEN}.")


_GIVEN = "give 'sqlite:///atlas.db' or 'postgresql://USER@HOST/DATABASE'"


class Database:
    """A store's database; nothing is opened before the first use.

    Args:
        url: its address, as from `checked_url`.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self._now: sa.ColumnElement[float] = sa.literal_column(_NOW[url.get_backend_name()])
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._opening = threading.Lock()

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction; those that are there already change nothing, except a newer score."""
        with self._connected(writes=True) as connection:
            for name, table in TABLES.items():
                own = [row for there, row in rows if there == name]
                if own:
                    connection.execute(self._insert(table), own)

    def read(self, query: Select[Any]) -> list[Any]:
        """Return the rows of a query."""
        with self._connected() as connection:
            return list(connection.execute(query))

    @contextmanager
    def changing(self) -> Iterator[tuple[Connection, Any, sa.ColumnElement[float]]]:
        """Open a transaction that writes; give its connection, the dialect's `insert`, and the database's time."""
        with self._connected(writes=True) as connection:
            yield connection, sqlite.insert if self._is_sqlite else postgresql.insert, self._now

    def now(self) -> float:
        """Return the database's time, in seconds since 1970."""
        return float(self.read(sa.select(self._now))[0][0])

    def prune(self, before: float) -> int:
        """Delete what was recorded before a time, in seconds since 1970; return the number of rows."""
        count = 0
        for name, column in TIMES.items():
            with self._connected(writes=True) as connection:
                table = METADATA.tables[name]
                count += connection.execute(sa.delete(table).where(table.c[column] < before)).rowcount
        return count

    def forget(self, decision_ids: Sequence[str]) -> int:
        """Delete all of some decisions; return the number of rows."""
        count = 0
        with self._connected(writes=True) as connection:
            for column in (DECISIONS.c.id, OUTCOMES.c.decision_id, SCORES.c.decision_id):
                count += connection.execute(sa.delete(column.table).where(column.in_(decision_ids))).rowcount
        return count

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _insert(self, table: sa.Table) -> Any:
        insert = (sqlite.insert if self._is_sqlite else postgresql.insert)(table).values(
            {**{column.name: sa.bindparam(column.name) for column in table.c}, "written_at": self._now}
        )
        if table is not SCORES:
            return insert.on_conflict_do_nothing()
        new = insert.excluded
        changes = {name: new[name] for name in ("score", "confidence", "recorded_at", "written_at")}
        keys = ["decision_id", "source"]
        return insert.on_conflict_do_update(
            index_elements=keys, set_=changes, where=table.c.recorded_at < new.recorded_at
        )

    @contextmanager
    def _connected(self, *, writes: bool = False) -> Iterator[Connection]:
        alone = _WRITING if writes and self._is_sqlite else nullcontext()
        engine = self._opened()
        with alone, engine.connect().execution_options(**{_WRITES: writes}) as connection, connection.begin():
            yield connection

    def _opened(self) -> Engine:
        with _WRITING, self._opening:
            if self._engine is not None and self._is_sqlite and self._file != self._found():
                self.close()  # it was deleted, or another file is in its place
            if self._engine is None:
                engine = self._made()
                try:
                    _migrate(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine, self._file = engine, self._found()
            return self._engine

    def _found(self) -> tuple[int, int] | None:
        """Return what tells the database's file from another one at the same path; None if there is none."""
        try:
            found = Path(str(self.url.database)).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _made(self) -> Engine:
        if not self._is_sqlite:
            waits = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": 1000 * _BUSY_S, "keepalives_idle": _BUSY_S}
            return sa.create_engine(self.url, pool_size=2, pool_pre_ping=True, connect_args=waits)
        # One connection stays open: whoever closes the last one has the disk write all, and deletes the log.
        engine = sa.create_engine(
            self.url, connect_args={"timeout": _BUSY_S}, poolclass=sa.QueuePool, pool_size=1, max_overflow=-1
        )
        _ENGINES.add(engine)

        @sa.event.listens_for(engine, "connect")
        def connected(connection: Any, _: object) -> None:
            connection.isolation_level = None  # transactions are begun below, also around the making of tables
            connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing by it; a machine without power loses the last transactions, but no order.
            connection.execute("PRAGMA synchronous = NORMAL")

        @sa.event.listens_for(engine, "begin")
        def begun(connection: Connection) -> None:
            # A transaction that reads first and writes later can't wait for another writer; one that says so can.
            writes = connection.get_execution_options().get(_WRITES, False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine


def _migrate(engine: Engine) -> None:
    """Make the tables, or bring them up to date; of several processes, one does and the others wait.

    Raises:
        SettingError: a newer version of the package has changed the tables.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "langchain_atlas.outcomes.store:migrations")
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def revision(connection: Connection) -> str | None:
        context = MigrationContext.configure(connection, opts={"version_table": "atlas_version"})
        return context.get_current_revision()

    with engine.connect() as connection, connection.begin():
        current = revision(connection)
    if current == script.get_current_head():
        return
    if current is not None and current not in {each.revision for each in script.walk_revisions()}:
        raise SettingError(
            f"The store's tables have version {current!r}, which this version of langchain-atlas does not know. "
            "Upgrade it: pip install --upgrade langchain-atlas"
        )
    with engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
