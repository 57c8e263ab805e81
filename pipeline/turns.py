"""Whose task is next, of a kind whose owners take turns: see `pipeline.flow.Stage.shared`."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Subquery, func, select
from sqlalchemy.orm import Session

from pipeline.catalog import JobRow, TaskRow
from pipeline.database import now

RECENT = timedelta(hours=1)
"""Who was not served for so long counts as never served, so that few rows have to be looked at."""


def next_in_turn(session: Session, kind: str) -> str | None:
    """The id of the waiting task of the owner of whom the fewest run; of several, of who was served longest ago. None if none is due.

    Those whose messages are out come first: the others have theirs still to come, for which something must be left.
    """
    running = _by_owner(func.count(), TaskRow.kind == kind, TaskRow.state == "running")
    served = _by_owner(func.max(TaskRow.started_at), TaskRow.kind == kind, TaskRow.started_at > now() - RECENT)
    waiting = select(TaskRow.id).join(JobRow, JobRow.id == TaskRow.job_id)
    for found in (running, served):
        waiting = waiting.outerjoin(found, found.c.owner == JobRow.owner)
    due = waiting.where(TaskRow.kind == kind, TaskRow.state == "queued", TaskRow.due_at <= now())
    turn = func.coalesce(running.c.value, 0), served.c.value, TaskRow.created_at, TaskRow.part
    return session.scalar(due.order_by(TaskRow.published_at.is_(None), *turn).limit(1))


def _by_owner(value: Any, *of: ColumnElement[bool]) -> Subquery:
    found = select(JobRow.owner, value.label("value")).join(TaskRow, TaskRow.job_id == JobRow.id)
    return found.where(*of).group_by(JobRow.owner).subquery()
