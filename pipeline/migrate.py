"""Alembic migrations, run from code: on MySQL and SQLite, and safely by several processes at once."""

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, Engine, MetaData, text

from pipeline.database import connect, translated
from pipeline.errors import Unavailable

CATALOG = Path(__file__).parent / "migrations"

SECONDS = 600
"""How long one statement may take, or another process's migration."""


def upgrade(engine: Engine, folder: Path = CATALOG) -> None:
    """Brings the engine's database to the newest revision in `folder`, over a connection of its own that waits longer.

    Raises Unavailable when it cannot be reached or another process migrates it for longer than `SECONDS`.
    """
    patient = connect(engine.url, seconds=SECONDS)
    try:
        with translated():
            connection = patient.connect()
        with connection:
            _exclude_others(connection)
            command.upgrade(_config(folder, connection), "head")
            _check_references(connection)
            connection.commit()
    finally:
        patient.dispose()  # closes the connection, which gives the lock back


def run(metadata: MetaData) -> None:
    """What a migration folder's env.py calls, with the tables its revisions lead to."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


def _config(folder: Path, connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _exclude_others(connection: Connection) -> None:
    with translated():
        if connection.dialect.name == "mysql":
            _lock_mysql(connection)
        else:
            _lock_sqlite(connection)


def _lock_sqlite(connection: Connection) -> None:
    """Takes the write lock and holds it over all revisions.

    Foreign keys are off meanwhile (https://www.sqlite.org/lang_altertable.html#otheralter): a table is changed by putting a
    copy in its place, and to delete the old one would delete all that refers to it. Inside a transaction it would be too late.
    """
    connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    connection.begin()


def _check_references(connection: Connection) -> None:
    """Raises RuntimeError, before anything is committed, if a row refers to one that is gone."""
    if connection.dialect.name == "sqlite" and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
        raise RuntimeError(f"the migration would break references: {broken[:5]}")


def _lock_mysql(connection: Connection) -> None:
    """MySQL commits with every DDL statement, so that no transaction could hold others back."""
    lock = text("SELECT GET_LOCK(CONCAT('migrate ', MD5(DATABASE())), :seconds)")
    taken = connection.scalar(lock, {"seconds": SECONDS - 10})  # less than the driver waits for the answer
    connection.commit()
    if taken != 1:
        raise Unavailable("another process migrates the database")
