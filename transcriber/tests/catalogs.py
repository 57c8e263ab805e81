"""Catalogs in which what is sent is noted."""

from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, select

from pipeline.catalog import Base, UsageRow
from pipeline.database import transaction
from pipeline.tasks import Tasks
from pipeline.tests.makers import a_job
from pipeline.work import Task


def a_catalog(folder: Path) -> Engine:
    """Keeps no connection open, so that nobody has to close it."""
    engine = create_engine(f"sqlite:///{folder}/catalog.db", poolclass=NullPool)
    Base.metadata.create_all(engine)
    return engine


def claimed(catalog: Engine) -> Task:
    """A task that is being worked at, of a job of its own."""
    _, message = a_job(catalog)
    task = Tasks(catalog).claim(message.task_id, "worker")
    assert task is not None
    return task


def booked(catalog: Engine) -> list[float]:
    """The seconds of audio of each booking."""
    heard = select(UsageRow.speech_seconds).where(UsageRow.speech_seconds > 0).order_by(UsageRow.at)
    with transaction(catalog) as session:
        return list(session.scalars(heard))
