"""Who is told that a job has ended: people by mail, programs by webhooks, and the place where the recording was found."""

from collections.abc import Iterator, Sequence
from itertools import count

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.catalog import JobRow, TaskRow, WebhookRow
from pipeline.options import Options
from pipeline.work import NextTask

EVENTS = {
    ("recording", "done"): "job.done",
    ("recording", "failed"): "job.failed",
    ("export", "done"): "export.ready",
    ("export", "failed"): "export.failed",
    ("connection", "failed"): "connection.broken",
}
"""By the kind of a job and the state that it ended in."""


def tell(session: Session, job: JobRow, *, quietly: bool) -> Iterator[NextTask]:
    """The tasks that tell of a job that has just ended, numbered after those of earlier runs.

    Each knows what it tells: the job may run again before it is out. `quietly`, people and programs are not told; they are not when
    nothing can be told either.
    """
    event = EVENTS.get((job.kind, job.state))
    if event and not quietly:
        outcome = {"event": event, "state": job.state, "reason": job.reason}
        options = Options.model_validate(job.options)
        yield from _numbered(session, job, "deliver", [{"address": found, **outcome} for found in options.notify or ()])
        called = _webhooks(session, job.owner, event, str(options.webhook) if options.webhook else None)
        yield from _numbered(session, job, "webhook", [{"webhook": found, **outcome} for found in called])
    if job.connection_id and job.state == "done":
        yield from _numbered(session, job, "return", [{}])


def _numbered(session: Session, job: JobRow, kind: str, args: Sequence[dict[str, str | None]]) -> Iterator[NextTask]:
    for number, given in zip(count(next_number(session, job.id, kind)), args, strict=False):
        yield NextTask(kind, number, given)


def next_number(session: Session, job_id: str, kind: str) -> int:
    """The part of the next task of `kind` of a job, which is locked."""
    last = session.scalar(select(func.max(TaskRow.part)).where(TaskRow.job_id == job_id, TaskRow.kind == kind))
    return 0 if last is None else last + 1


def _webhooks(session: Session, owner: str, event: str, named: str | None) -> Sequence[str]:
    """Ids of those that hear of this, of which the job may have named one: not beside one that its owner has at the same address.

    The one that it named is among them also while it is disabled: that it was not called is put on record.
    """
    mine = select(WebhookRow).where(WebhookRow.owner == owner)
    hearing = [
        row
        for row in session.scalars(mine.order_by(WebhookRow.created_at, WebhookRow.id))
        if (row.url == named if row.by_job else row.state == "active" and (not row.events or event in row.events))
    ]
    registered = {row.url for row in hearing if not row.by_job}
    return [row.id for row in hearing if not row.by_job or row.url not in registered]
