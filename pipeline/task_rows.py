"""Rows of tasks, in whoever's transaction it is: how they are made and queued, and what the end of one means for its whole job."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline import flow
from pipeline.catalog import ENDED, JobRow, TaskRow
from pipeline.database import now
from pipeline.messages import Message
from pipeline.results import in_run
from pipeline.stages import current
from pipeline.telling import tell
from pipeline.work import NextTask

APART = 3.0
"""Seconds between two beginnings of a task that comes back, however often it is woken."""


def new_task(job_id: str, following: NextTask) -> TaskRow:
    return TaskRow(
        id=uuid4().hex,
        job_id=job_id,
        kind=following.kind,
        part=following.part,
        args=dict(following.args),
        state="queued",
    )


def renew(row: TaskRow) -> None:
    """Queues a task that had ended, as if nothing had been held against it."""
    queue_again(row, now())
    row.failures = row.lapses = 0
    row.calls_before = row.calls
    row.failing_since = row.reason = row.finished_at = row.started_at = None


def queue_again(row: TaskRow, due: datetime) -> None:
    row.state, row.due_at, row.published_at, row.lease_until = "queued", due, None, None
    row.percent, row.speed = 0, None


def next_start(row: TaskRow) -> datetime:
    """When a task that is woken begins again, at the earliest; by another clock it may have started in our future."""
    return min(row.started_at, now()) + timedelta(seconds=APART) if row.started_at else now()


def messages(trace: str | None, rows: Iterable[TaskRow]) -> list[Message]:
    """What to publish for queued tasks."""
    return [
        Message(task_id=row.id, job_id=row.job_id, kind=row.kind, attempt=row.attempt or 0, trace=trace) for row in rows
    ]


def settle(session: Session, job_id: str) -> list[TaskRow]:
    """Ends a job whose tasks have all ended but for letters, and makes the tasks that tell of it; of a correction nobody is told."""
    job = session.get_one(JobRow, job_id, with_for_update=True)
    work = TaskRow.job_id == job_id, TaskRow.kind.not_in(flow.TELLING)
    tasks = session.scalars(select(TaskRow).where(*work).order_by(TaskRow.finished_at)).all()
    if job.state in ENDED or any(task.state not in ENDED for task in tasks):
        return []
    job.reason = next((task.reason for task in current(tasks) if task.state == "failed"), None)
    job.end("failed" if job.reason else "done")
    is_quiet = bool(tasks) and tasks[-1].kind == flow.QUIET
    telling = [new_task(job.id, told) for told in tell(session, job, quietly=is_quiet)]
    session.add_all(telling)
    session.flush()
    return telling


def is_moot(session: Session, row: TaskRow) -> bool:
    """It is a part, and another one of the same whole has failed."""
    failed = TaskRow.job_id == row.job_id, in_run(row.kind, flow.run(row.kind, row.part)), TaskRow.state == "failed"
    return flow.is_in_parts(row.kind) and session.scalar(select(TaskRow.id).where(*failed).limit(1)) is not None


def call_off_parts(session: Session, job_id: str, kind: str) -> None:
    """One part has failed: nobody needs to begin another. Those that run may end, so that less is left for a retry."""
    if flow.is_in_parts(kind):
        waiting = TaskRow.job_id == job_id, TaskRow.kind == kind, TaskRow.state == "queued"
        session.execute(update(TaskRow).where(*waiting).values(state="cancelled", finished_at=now()))
