"""Rows of connections, in whoever's transaction it is: how they are read, locked and worked on. The job is locked first, as everywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pipeline import flow
from pipeline.catalog import ENDED, ConnectionRow, FolderRow, JobRow, RemoteFileRow, TaskRow
from pipeline.database import now
from pipeline.messages import Message
from pipeline.options import KeptOptions, others
from pipeline.task_rows import messages, new_task, next_start, renew
from pipeline.wishes import Wishes
from pipeline.work import NextTask

KIND = "connection"
ONGOING = ("watch", "listen", "revise")
"""What goes on as long as an account is connected, and rests while its connection is paused."""
_BOUND = ("fetch", "return")
"""What tasks of other jobs do with the account."""
_COPIED = (
    *("id", "owner", "secret", "account_id", "account_name", "account_email"),
    *("results", "results_folder", "conflict", "created_at", "checked_at"),
)


@dataclass(frozen=True)
class Folder:
    """A watched folder, as `FolderRow`."""

    id: str
    number: int
    path: str
    cursor: str | None
    round: int
    listed: bool


@dataclass(frozen=True)
class Connection:
    """A connected account; times are aware, UTC."""

    id: str
    owner: str
    state: str
    """connecting, active, paused, broken, or leaving."""
    reason: str | None
    """The last error, for its owner; None since what failed has worked."""
    secret: str | None = field(repr=False)
    """Sealed."""
    account_id: str | None
    account_name: str | None
    account_email: str | None
    options: KeptOptions
    """Of the jobs that are made of what is found."""
    results: str
    results_folder: str | None
    conflict: str
    created_at: datetime
    checked_at: datetime | None
    folders: Sequence[Folder]
    files: Mapping[str, int]
    """How many were found, by `RemoteFileRow.state`; only where its owner asks."""
    email: str | None
    """The owner's, who is told when it breaks."""

    @property
    def wishes(self) -> Wishes:
        wanted = {"folders": [folder.path for folder in self.folders], "options": self.options.kept()}
        kept = {name: getattr(self, name) for name in ("results", "results_folder", "conflict")}
        return Wishes.model_validate({**wanted, **kept})

    @property
    def mails(self) -> int:
        """How many others than its owner hear of each job, see `NewJob.mails`."""
        return others(self.options.notify, self.email)


def view(session: Session, job: JobRow, row: ConnectionRow, *, counted: bool = False) -> Connection:
    """A job that has failed has broken its connection, whoever noted it."""
    failed = job.state == "failed" and row.state in ("connecting", "active")
    return Connection(
        **{name: getattr(row, name) for name in _COPIED},
        state="broken" if failed else row.state,
        reason=job.reason or row.reason if failed else row.reason,
        options=KeptOptions.model_validate(row.options),
        folders=[_folder(found) for found in folders(session, row.id)],
        files=_count(session, row.id) if counted else {},
        email=next(iter(KeptOptions.model_validate(job.options).notify or ()), None),
    )


def folders(session: Session, connection_id: str) -> Sequence[FolderRow]:
    mine = select(FolderRow).where(FolderRow.connection_id == connection_id)
    return session.scalars(mine.order_by(FolderRow.number)).all()


def _folder(row: FolderRow) -> Folder:
    return Folder(row.id, row.number, row.path, row.cursor, row.round, row.listed)


def _count(session: Session, connection_id: str) -> dict[str, int]:
    mine = select(RemoteFileRow.state, func.count()).where(RemoteFileRow.connection_id == connection_id)
    return dict(session.execute(mine.group_by(RemoteFileRow.state)).all())


def lock(session: Session, connection_id: str, owner: str | None = None) -> tuple[JobRow, ConnectionRow] | None:
    """Until the end of the transaction nobody else changes the connection, its folders or its tasks. None if there is no such one."""
    wanted = select(JobRow).where(JobRow.id == connection_id, JobRow.kind == KIND)
    mine = (wanted.where(JobRow.owner == owner) if owner else wanted).with_for_update()
    job = session.scalar(mine, execution_options={"populate_existing": True})
    row = session.get(ConnectionRow, connection_id, populate_existing=True) if job else None
    return (job, row) if job and row else None


def lock_all(session: Session, owner: str) -> int:
    """Locks all of an owner's, which may not get in each other's way; returns how many they are."""
    mine = select(JobRow.id).where(JobRow.owner == owner, JobRow.kind == KIND).order_by(JobRow.id)
    return len(session.scalars(mine.with_for_update()).all())


def reopen(job: JobRow) -> None:
    job.state, job.reason, job.finished_at = "running", None, None


def wake(session: Session, connection_id: str, *kinds: str) -> list[Message]:
    """Has the connection's tasks of these kinds done now, `listen` for every folder; returns the messages to publish.

    One that waits is due at once, one that runs when it comes back, and one that has ended, or never was, is made anew; but
    none begins again within `APART` seconds, nor before its time if it fails: Dropbox may want to be left alone until then.
    Nothing happens unless the connection is active.
    """
    return [message for job, task in _of_active(session, connection_id, kinds) for message in _woken(job, task)]


def hurry(session: Session, connection_ids: Sequence[str], kind: str) -> list[Message]:
    """As `wake`, for tasks that wait or run, without a lock of their jobs: whoever takes in a page holds those for a while."""
    are_open = TaskRow.job_id.in_(connection_ids), TaskRow.kind == kind, TaskRow.state.not_in(ENDED)
    tasks = session.scalars(select(TaskRow).where(*are_open).order_by(TaskRow.id).with_for_update()).all()
    return [message for task in tasks for message in _woken(session.get_one(JobRow, task.job_id), task)]


def keep_open(session: Session, connection_id: str, *kinds: str) -> list[Message]:
    """As `wake`, but those that wait or run are left alone."""
    tasks = _of_active(session, connection_id, kinds)
    return [message for job, task in tasks if task.state in ENDED for message in _hurried(job, task)]


def begin(session: Session, job: JobRow, kind: str) -> list[Message]:
    """Runs a task of the connection's job anew."""
    reopen(job)
    return _hurried(job, _task(session, job.id, kind))


def go_on(session: Session, connection_id: str) -> list[Message]:
    """Has everything done that rested, and looks what is new."""
    job = session.get_one(JobRow, connection_id)
    rested = TaskRow.job_id == job.id, TaskRow.kind.in_(ONGOING), TaskRow.state == "cancelled"
    numbers = [0, *_parts(session, job.id, "listen")]
    tasks = session.scalars(select(TaskRow).where(*rested)).all()
    again = [
        message for task in tasks if task.kind != "listen" or task.part in numbers for message in _resumed(job, task)
    ]
    return [*again, *keep_open(session, job.id, "watch"), *_release(session, job.id)]


def rest(session: Session, connection_id: str, *, quietly: bool = False) -> None:
    """Calls off what its tasks do. What failed before may work when it goes on. `quietly`, nobody is told any more what had happened."""
    unfinished = TaskRow.job_id == connection_id, TaskRow.state != "done"
    work = () if quietly else (TaskRow.kind.not_in(flow.TELLING),)
    ended = {"state": "cancelled", "finished_at": now(), "lease_until": None}
    session.execute(update(TaskRow).where(*unfinished, *work).values(ended))


def call_off(session: Session, connection_id: str) -> None:
    """Cancels the jobs whose recordings are still to be fetched, and keeps results from being returned."""
    jobs = [job.id for job in _bound(session, connection_id)]
    open_tasks = TaskRow.job_id.in_(jobs), TaskRow.state.not_in(ENDED)
    fetching = session.scalars(select(TaskRow.job_id).where(*open_tasks, TaskRow.kind == "fetch")).all()
    ended = {"state": "cancelled", "finished_at": now()}
    session.execute(update(JobRow).where(JobRow.id.in_(fetching)).values(ended))
    session.execute(update(TaskRow).where(*open_tasks, TaskRow.kind.in_(_BOUND)).values({**ended, "lease_until": None}))


def _of_active(session: Session, connection_id: str, kinds: Sequence[str]) -> list[tuple[JobRow, TaskRow]]:
    found = lock(session, connection_id)
    if found is None or found[1].state != "active":
        return []
    job, _ = found
    if job.state in ENDED:
        reopen(job)
    return [(job, _task(session, job.id, kind, part)) for kind in kinds for part in _parts(session, job.id, kind)]


def _parts(session: Session, connection_id: str, kind: str) -> Sequence[int]:
    return [folder.number for folder in folders(session, connection_id)] if kind == "listen" else [0]


def _task(session: Session, job_id: str, kind: str, part: int = 0) -> TaskRow:
    """That task of the job; if it never was, it is made as one that was called off."""
    row = session.scalar(select(TaskRow).where(TaskRow.job_id == job_id, TaskRow.kind == kind, TaskRow.part == part))
    if row is None:
        row = new_task(job_id, NextTask(kind, part))
        row.state = "cancelled"
        session.add(row)
        session.flush()
    return row


def _woken(job: JobRow, row: TaskRow) -> list[Message]:
    """As `_hurried`, in the measure that `wake` keeps to."""
    if row.state == "queued" and row.failures:
        return []
    if row.state == "queued" and (start := next_start(row)) > now():
        row.due_at = min(row.due_at, start)
        return []
    return _hurried(job, row)


def _hurried(job: JobRow, row: TaskRow) -> list[Message]:
    """Makes the task due now, and says what is to be published for that."""
    if row.state == "running" and row.started_at:  # by another clock it may have started in our future
        row.due_at = max(now(), row.started_at + timedelta(microseconds=1))
        return []
    if row.state in ENDED:
        renew(row)
    row.due_at, row.published_at = now(), None
    return messages(job.trace, [row])


def _release(session: Session, connection_id: str) -> list[Message]:
    """Has recordings fetched, and results returned, that waited for the connection to go on, or are about to."""
    jobs = {job.id: job for job in _bound(session, connection_id)}
    waiting = TaskRow.job_id.in_(jobs), TaskRow.kind.in_(_BOUND), TaskRow.state.not_in(ENDED)
    tasks = session.scalars(select(TaskRow).where(*waiting).order_by(TaskRow.created_at)).all()
    return [message for task in tasks for message in _resumed(jobs[task.job_id], task)]


def _resumed(job: JobRow, row: TaskRow) -> list[Message]:
    """As `_hurried`, but if it failed it has its time still: Dropbox may want to be left alone until then."""
    due = row.due_at
    if not row.failures or due <= now():
        return _hurried(job, row)
    if row.state in ENDED:
        renew(row)
        row.due_at = due
    return []


def _bound(session: Session, connection_id: str) -> Sequence[JobRow]:
    """Jobs that have something to do with the account yet, locked."""
    bound = JobRow.tasks.any(TaskRow.kind.in_(_BOUND) & TaskRow.state.not_in(ENDED))
    ids = session.scalars(select(JobRow.id).where(JobRow.connection_id == connection_id, bound)).all()
    return session.scalars(select(JobRow).where(JobRow.id.in_(ids)).order_by(JobRow.id).with_for_update()).all()
