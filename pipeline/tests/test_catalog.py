from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, column, event, insert, select, text
from sqlalchemy import table as table_of

from pipeline import migrate
from pipeline.catalog import Base, JobRow, MailRow
from pipeline.database import connect, transaction
from pipeline.recording import Track
from pipeline.tasks import Tasks


def differences(url: str) -> list[object]:
    """But for how words are found on SQLite, where FTS5 keeps its index in tables of its own."""
    engine = connect(url)
    migrate.upgrade(engine)
    others = ("passages_fts", "ix_passages_tokens") if engine.dialect.name == "sqlite" else ()
    with engine.connect() as connection:
        options = {"include_object": lambda _, name, *__: not str(name).startswith(others)}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    engine.dispose()
    return list(found)


def test_migrations_lead_to_the_tables_on_sqlite(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path}/catalog.db") == []


def test_migrations_lead_to_the_same_index_of_words_on_sqlite(tmp_path: Path) -> None:
    def made(name: str, make: Callable[[Engine], object]) -> list[tuple[object, ...]]:
        engine = connect(f"sqlite:///{tmp_path}/{name}.db")
        make(engine)
        with transaction(engine) as session:
            found = session.execute(text("SELECT name, sql FROM sqlite_master WHERE name LIKE 'passages_%'")).all()
        engine.dispose()
        return sorted(map(tuple, found))

    assert made("migrated", migrate.upgrade) == made("made", Base.metadata.create_all) != []


@pytest.mark.servers
def test_migrations_lead_to_the_tables_on_mysql(new_database: Callable[[], str]) -> None:
    assert differences(new_database()) == []


BEFORE: dict[str, dict[str, Any]] = {
    "jobs": {
        "id": "j", "owner": "o", "title": "t", "state": "done", "notify": "ada@example.org", "options": "{}",
        "created_at": "2026-01-02 03:04:05", "finished_at": "2026-01-02 03:05:05",
    },
    "tasks": {
        "id": "t", "job_id": "j", "kind": "deliver", "part": 0, "args": "{}", "state": "queued", "attempt": 0,
        "lapses": 0, "failures": 0, "percent": 0, "created_at": "2026-01-02 03:04:05", "due_at": "2026-01-02 03:04:05",
    },
    "artifacts": {
        "id": "a", "job_id": "j", "name": "t.mp4", "kind": "original", "type": "video/mp4", "bytes": 5, "sha256": "5" * 64,
        "blob": "b", "created_at": "2026-01-02 03:04:05",
    },
    "mails": {
        "id": "m", "job_id": "j", "address": "ada@example.org", "message_id": "<x@y>", "state": "new",
        "created_at": "2026-01-02 03:04:05",
    },
}  # fmt: skip
"""A row of each table of the first revision."""
IN_WORK: list[tuple[str, dict[str, Any]]] = [
    ("jobs", {"id": "w", "owner": "o", "title": "t", "state": "running", "options": "{}", "created_at": "2026-01-02"}),
    *(
        (
            "tasks",
            BEFORE["tasks"] | {"id": kind, "job_id": "w", "kind": kind, "state": state, "args": '{"duration": 12.5}'},
        )
        for kind, state in [("extract", "done"), ("encode", "queued"), ("transcribe", "queued")]
    ),
    (
        "artifacts",
        BEFORE["artifacts"]
        | {"id": "x", "job_id": "w", "name": "track.mka", "kind": "track", "type": "audio/x-matroska"},
    ),
]
"""Rows of a job whose track waits to be worked on."""


def at_first_revision(url: str) -> Engine:
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(migrate.CATALOG))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in [*BEFORE.items(), *IN_WORK]:
            connection.execute(insert(table_of(table, *[column(name) for name in row])).values(row))
        connection.commit()
    return engine


def assert_kept(engine: Engine) -> None:
    with transaction(engine) as session:
        job = session.get_one(JobRow, "j")
        assert (job.options, job.sha256, job.recipe) == ({"notify": ["ada@example.org"]}, "5" * 64, None)
        assert [made.blob for made in job.artifacts] == ["b"]
        assert [(task.kind, task.args) for task in job.tasks] == [("deliver", {"address": "ada@example.org"})]
        assert [mail.task_id for mail in session.scalars(select(MailRow))] == ["t"]
    for kind, before in [("encode", "encode"), ("cut", "transcribe")]:
        task = Tasks(engine).claim(before, "worker")
        assert task is not None
        assert (task.kind, task.failures, task.calls) == (kind, 0, 0)
        assert task.only("track").name == "track.mka"
        assert (Track.of(task).stream, Track.of(task).seconds, Track.of(task).exact) == (0, 12.5, False)


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return str(request.getfixturevalue("new_database")())


def test_nothing_is_lost_on_the_way_from_the_first_revision(url: str) -> None:
    engine = at_first_revision(url)
    migrate.upgrade(engine)
    assert_kept(engine)
    engine.dispose()


CHANGES = 94
"""Statements that the migrations behind the first revision have on MySQL."""


@contextmanager
def ended_at(step: int) -> Iterator[list[str]]:
    """Ends what is going on at that change of a table; gives the changes up to there."""
    seen = list[str]()

    def end(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith(("ALTER", "CREATE", "UPDATE", "DROP")):
            seen.append(statement)
            if len(seen) == step:
                raise InterruptedError(statement)

    event.listen(Engine, "before_cursor_execute", end)
    try:
        with suppress(InterruptedError):
            yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", end)


@pytest.mark.servers
@pytest.mark.parametrize("step", [*range(2, CHANGES, 3), CHANGES])
def test_a_migration_that_was_ended_midway_goes_on(new_database: Callable[[], str], step: int) -> None:
    """MySQL commits every change of a table by itself."""
    engine = at_first_revision(new_database())
    with ended_at(step) as seen:
        migrate.upgrade(engine)
    assert len(seen) == step
    migrate.upgrade(engine)
    assert_kept(engine)
    engine.dispose()


@pytest.mark.servers
def test_no_change_of_a_table_is_left_out_by_these_steps(new_database: Callable[[], str]) -> None:
    engine = at_first_revision(new_database())
    with ended_at(CHANGES + 1) as seen:
        migrate.upgrade(engine)
    assert len(seen) == CHANGES
    engine.dispose()
