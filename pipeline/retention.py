"""How long what is a user's is kept: the job's own word is first, then its owner's, then the installation's."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import JSON, ColumnElement, Engine, Integer, and_, delete, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from pipeline.accounts import Limits
from pipeline.catalog import ENDED, AccountRow, ArtifactRow, JobRow, TaskRow
from pipeline.database import now, transaction
from pipeline.flow import TELLING
from pipeline.jobs import erase
from pipeline.removals import doom
from pipeline.work import PASSING

log = structlog.get_logger()
BATCH = 50
TELLING_DAYS = 3
"""For how long a job stays for those who are still to be told of it: longer than webhooks are called; results may wait for ever for a
connection that is paused."""
_RAW = "original", *PASSING
"""Kinds of artifacts that go with the uploaded file."""

Due = tuple[ColumnElement[bool], ...]


def remove_jobs(engine: Engine, defaults: Limits) -> int:
    """Removes jobs whose time is up, with all they made, and returns how many; not while somebody is still to be told of them.

    Raises `Unavailable`.
    """
    keep = _days("keep_result_days", defaults.keep_result_days)
    telling = TaskRow.kind.in_(TELLING), TaskRow.state.not_in(ENDED), TaskRow.created_at > _ago(TELLING_DAYS)
    return _remove(engine, "job", keep, erase, ~JobRow.tasks.any(and_(*telling)))


def remove_originals(engine: Engine, defaults: Limits) -> int:
    """Removes what was uploaded from jobs that have had it long enough; returns how many jobs those were. Raises `Unavailable`."""
    keep = _days("keep_original_days", defaults.keep_original_days)
    return _remove(engine, "original", keep, _strip, JobRow.artifacts.any(ArtifactRow.kind.in_(_RAW)))


def _days(name: str, default: int | None) -> ColumnElement[int | None]:
    """After how many days a job loses it; NULL for never."""
    own = type_coerce(JobRow.options, JSON)[name].as_integer()
    owners = select(getattr(AccountRow, name)).where(AccountRow.owner == JobRow.owner).scalar_subquery()
    return func.coalesce(own, owners, literal(default, Integer))


def _remove(
    engine: Engine,
    what: str,
    keep: ColumnElement[int | None],
    act: Callable[[Session, JobRow], None],
    *has: ColumnElement[bool],
) -> int:
    """A term at a time, because SQL has no common way to add days; there are few terms."""
    ended = JobRow.kind != "connection", JobRow.state.in_(ENDED), *has
    with transaction(engine) as session:
        terms = session.scalars(select(keep).where(*ended, JobRow.finished_at <= _ago(1)).distinct()).all()
    removed = 0
    for days in filter(None, terms):
        due = *ended, keep == days, JobRow.finished_at <= _ago(days)
        while ids := _some(engine, due):
            removed += sum(_removed(engine, job_id, due, act, what, days) for job_id in ids)
    return removed


def _some(engine: Engine, due: Due) -> list[str]:
    with transaction(engine) as session:
        return list(session.scalars(select(JobRow.id).where(*due).limit(BATCH)))


def _removed(
    engine: Engine, job_id: str, due: Due, act: Callable[[Session, JobRow], None], what: str, days: int
) -> bool:
    """In a transaction of its own, which waits for whoever works with this job and holds up nobody else."""
    with transaction(engine) as session:
        job = session.scalar(select(JobRow).where(JobRow.id == job_id, *due).with_for_update())
        if job is None:
            return False
        act(session, job)
    log.info("removed", what=what, job=job_id, why=f"it was to be kept for {days} days")
    return True


def _strip(session: Session, job: JobRow) -> None:
    raw = [made for made in job.artifacts if made.kind in _RAW]
    session.execute(delete(ArtifactRow).where(ArtifactRow.id.in_([made.id for made in raw])))
    job.changed_at = job.files_at = now()
    doom(session, [made.blob for made in raw])


def _ago(days: int) -> datetime:
    return now() - timedelta(days=days)
