"""The engine, and transactions on it.  The same code serves SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, TimeoutError
from sqlalchemy.orm import DeclarativeBase, Session

from app.database.migrations import upgrade
from app.errors import Problem
from app.settings import Settings, SettingsError

_WAIT_S = 10  # for a lock or a connection
_READ = "shapespace_read"
# of libpq: a server that vanished without a word is noticed within half a minute, also in the middle of a statement
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}


class Base(DeclarativeBase):
    """Every table is a subclass, in a file of the room that owns it, and is made by a step in `migrations/versions`."""


class DatabaseError(Problem):
    """The database does not answer; the request can be sent again."""

    def __init__(self, detail: str) -> None:
        super().__init__(503, "storage_unavailable", detail, {"Retry-After": "10"})


class Database:
    """Transactions on the service's database.

    Calls wait for the disk or the network: on an event loop use `asyncio.to_thread`.

    Args:
        url: `sqlite:///file`, or `postgresql://user:password@host/name`.

    Raises:
        SettingsError: No such database can be used.
    """

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        wait: dict[str, Any] = {"timeout": _WAIT_S} if self.is_sqlite else {"connect_timeout": _WAIT_S, **_SILENCE}
        try:
            self._engine = create_engine(self.url, pool_pre_ping=True, pool_timeout=_WAIT_S, connect_args=wait)
        except ImportError as error:
            raise SettingsError(
                f"DATABASE_URL is {self.url.render_as_string()}, but {error.name} is not installed; "
                "pip install 'shapespace[postgres]'"
            ) from None
        if self.is_sqlite:
            _prepare_sqlite(self._engine)

    def upgrade(self) -> None:
        """Make the tables, or bring them up to this version; services that start at once take turns.

        Raises:
            DatabaseError: The database cannot be reached.
        """
        with _refusals(), self._engine.begin() as connection:
            if not self.is_sqlite:  # SQLite lets one writer in by itself
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('shapespace migrations'))"))
            upgrade(connection)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that may change records: all of it is kept, or nothing.  On SQLite one runs at a time.

        Raises:
            DatabaseError: The database cannot be reached or is full; nothing was changed.
        """
        with _refusals(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads, and never waits for one that writes.

        Raises:
            DatabaseError: The database cannot be reached.
        """
        engine = self._engine.execution_options(**{_READ: True})
        with _refusals(), Session(engine, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()


def now(session: Session) -> float:
    """Time of the database, which all its servers share, in seconds since 1970."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    clock = "(julianday('now') - 2440587.5) * 86400.0" if on_sqlite else "extract(epoch FROM clock_timestamp())"
    return float(session.execute(text(f"SELECT {clock}")).scalar_one())


def open_database(settings: Settings) -> Database:
    """The database of the settings; by default a file in the state folder, which is made.

    Raises:
        SettingsError: The folder cannot be made, or no such database can be used.
    """
    if settings.database_url:
        return Database(settings.database_url)
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"STATE_DIR is {str(folder)!r}, which cannot be made ({error.strerror}); name a folder that can be written"
        ) from None
    return Database(URL.create("sqlite", database=str(folder / "shapespace.db")).render_as_string())


def _parse(url: str) -> URL:
    allowed = "allowed: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        raise SettingsError(f"DATABASE_URL cannot be read; {allowed}") from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise SettingsError(f"DATABASE_URL is {parsed.render_as_string()}; {allowed}")
    return parsed


def _prepare_sqlite(engine: Engine) -> None:
    """Readers beside one writer, commits that survive a power cut, and transactions that begin where we say."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else the driver begins transactions by itself, and too late
        _use_wal(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # a transaction that reads first and writes later cannot wait for another writer, so it takes the lock at once
        reads = connection.get_execution_options().get(_READ)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _use_wal(connection: Any) -> None:
    """Let readers go on beside a writer; of those who open a new file at once SQLite refuses all but one at first."""
    end = monotonic() + _WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
            sleep(0.01)


@contextmanager
def _refusals() -> Iterator[None]:
    """Trouble of the database, not of a statement, as a problem."""
    try:
        yield
    except TimeoutError:
        raise DatabaseError("all connections to the database are in use; try again") from None
    except DBAPIError as error:
        kind = type(error).__name__
        if kind not in ("OperationalError", "InterfaceError") and not error.connection_invalidated:
            raise
        first = str(error.orig).strip().split("\n", 1)[0]
        raise DatabaseError(
            f"the database cannot be used now ({first:.120}); nothing was changed, try again"
        ) from error
