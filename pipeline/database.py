"""SQL databases: engines, transactions and times that read the same on MySQL and SQLite."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Insert,
    TypeDecorator,
    Update,
    create_engine,
    event,
    insert,
    make_url,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import (
    ArgumentError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
    TimeoutError,
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeEngine

from pipeline.errors import Unavailable

AWAY = (DisconnectionError, InterfaceError, OperationalError, TimeoutError)
"""What SQLAlchemy raises when a database cannot be reached, is locked or gives up: trying again may help.

An OperationalError may as well be about the statement, see `_is_about_statement`.
"""

_MYSQL_CLIENT = range(2000, 3000)
"""Errors of MySQL's client library: no connection, or a lost one."""

_MYSQL_SERVER = frozenset(
    {
        *(1020, 1205, 1213),  # the row has changed meanwhile; a lock that takes too long; a deadlock
        *(1021, 1023, 1024, 1026, 1030, 1114, 1180),  # disk full, or not to be read or written
        *(1037, 1038, 1041, 1135),  # no memory, no threads
        *(1040, 1203, 1226),  # too many connections, or too much use
        *(1047, 1053, 1290, 1836),  # not ready, being shut down, read only
        *(1152, 1158, 1159, 1160, 1161, 1184),  # network
        *(1317, 1927, 1969, 3024, 3169, 4031),  # query or connection ended by somebody, or by a limit of time
    }
)
"""Errors of MySQL and MariaDB that are the server's own trouble; all others are about the statement or its data."""

_SQLITE_ERROR = 1
"""SQLite's code for what is wrong with a statement, https://www.sqlite.org/rescode.html#error"""

_to_json = partial(json.dumps, allow_nan=False)
"""MySQL refuses what is not JSON. Raises ValueError for infinity and NaN."""

MYSQL_TABLE: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
"""Options of every table: text is compared as it is, so that two addresses or ids are never taken for one."""


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times to the microsecond, kept without a zone because neither MySQL nor SQLite has a type with one.

    Raises ValueError for a naive time.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name == "mysql" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


def connect(url: str | URL, *, seconds: int = 10) -> Engine:
    """An engine that connects when it is first used, and waits at most `seconds` for a connection, an answer or a lock.

    Raises ValueError unless the URL is `mysql+mysqldb://` or `sqlite:///` with a file.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("this is not a database's URL") from None  # the cause may quote the password
    if parsed.drivername == "mysql+mysqldb":
        return _mysql(parsed, seconds)
    if parsed.drivername == "sqlite" and parsed.database:
        return _sqlite(parsed, seconds)
    raise ValueError(f"no database known by the URL scheme {parsed.drivername}")


def _mysql(url: URL, seconds: int) -> Engine:
    limits = {"connect_timeout": min(seconds, 10), "read_timeout": seconds, "write_timeout": seconds}
    return create_engine(
        url,
        connect_args={"charset": "utf8mb4", **limits},
        json_serializer=_to_json,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=seconds,
    )


def _sqlite(url: URL, seconds: int) -> Engine:
    engine = create_engine(url, connect_args={"timeout": seconds}, json_serializer=_to_json, pool_timeout=seconds)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late, see _begin_immediate
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    """Takes the write lock at the start: a transaction that reads and then writes never finds its snapshot too old."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Commits at the end of the block, rolls back if it raises.

    Raises Unavailable when the database is away, locked or chose this transaction to end a deadlock.
    """
    with translated(), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def translated() -> Iterator[None]:
    """Raises Unavailable from what SQLAlchemy says when a database is away; what is about a statement passes as it is."""
    try:
        yield
    except AWAY as error:
        if _is_about_statement(error):
            raise
        raise Unavailable("the database does not answer") from error


def _is_about_statement(error: Exception) -> bool:
    """Whether trying again is in vain: the drivers put many such errors in one class with those of a server that is away."""
    if not isinstance(error, OperationalError) or error.statement is None or error.connection_invalidated:
        return False
    in_sqlite = getattr(error.orig, "sqlite_errorcode", None)
    if in_sqlite is not None:
        not_migrated = str(error.orig).startswith("no such table")  # yet, so that waiting helps
        return bool(in_sqlite == _SQLITE_ERROR) and not not_migrated
    code = error.orig.args[0] if error.orig and error.orig.args else None
    return isinstance(code, int) and code not in _MYSQL_CLIENT and code not in _MYSQL_SERVER


def changed(session: Session, statement: Update | Delete) -> int:
    """Executes it, and returns how many rows it met."""
    result = session.execute(statement)
    return result.rowcount if isinstance(result, CursorResult) else 0


def insert_missing(table: type[DeclarativeBase]) -> Insert:
    """Leaves rows whose key is there already as they are."""
    return insert(table).prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")


def ping(engine: Engine) -> None:
    """Answers if the database does. Raises Unavailable."""
    with transaction(engine) as session:
        session.execute(text("SELECT 1"))
