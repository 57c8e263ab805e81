"""Which mails wait for others, so that one tells of all: of jobs that were started at once, or of a user who wants it so."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import Session

from pipeline.catalog import ENDED, JobRow
from pipeline.database import now, transaction
from pipeline.errors import Interrupted
from pipeline.mails import Choice
from pipeline.settings import Settings
from pipeline.work import Task


@dataclass(frozen=True)
class Burst:
    """Whether a job is one of many, and whether some of them are still in work."""

    is_one: bool
    is_open: bool


@dataclass(frozen=True)
class Bursts:
    """`jobs`, `seconds` and `wait` as `Settings.digest_jobs`, `digest_seconds` and `digest_wait_seconds`."""

    engine: Engine
    jobs: int = 10
    seconds: float = 60
    wait: float = 3600

    def of(self, task: Task, choice: Choice) -> Burst:
        """Of the task's job. What is not about a recording is for itself. Raises `Unavailable`, Interrupted if the job is gone."""
        if task.job_kind != "recording":
            return Burst(False, False)
        with transaction(self.engine) as session:
            job = session.get(JobRow, task.job_id)
            if job is None:
                raise Interrupted
            others = JobRow.owner == job.owner, JobRow.kind == "recording"
            if choice == "digest":
                return Burst(True, _any_open(session, *others))
            window = timedelta(seconds=self.seconds)
            near = *others, JobRow.created_at >= job.created_at - window, JobRow.created_at <= job.created_at + window
            many = (session.scalar(select(func.count()).where(*near)) or 0) > self.jobs
            return Burst(many, many and _any_open(session, *near))

    def left(self, since: datetime) -> float:
        """Seconds that a mail that was recorded then may still wait; 0 or less, it has waited long enough."""
        return self.wait - (now() - since).total_seconds()


def bursts(settings: Settings, catalog: Engine) -> Bursts:
    return Bursts(catalog, settings.digest_jobs, settings.digest_seconds, settings.digest_wait_seconds)


def _any_open(session: Session, *jobs: ColumnElement[bool]) -> bool:
    return session.scalar(select(JobRow.id).where(*jobs, JobRow.state.not_in(ENDED)).limit(1)) is not None
