"""Jobs as their owners see and steer them. Every question carries the owner: a foreign id is answered like one that never was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Engine, Select, delete, select, tuple_, update
from sqlalchemy.orm import Session, selectinload

from pipeline import flow
from pipeline.catalog import ENDED, ArtifactRow, DeletionRow, JobRow, TaskRow, UploadRow, UsageRow
from pipeline.cursors import make_cursor, read_cursor
from pipeline.database import changed, now, transaction
from pipeline.errors import Busy
from pipeline.messages import Message
from pipeline.names import free_name
from pipeline.options import Options
from pipeline.removals import doom
from pipeline.reuse import adopt, artifact, artifact_row, recipe
from pipeline.stages import StageView, current, percent, stages
from pipeline.task_rows import messages, new_task, renew, settle
from pipeline.work import HIDDEN, Artifact, NextTask


class Settled(Exception):
    """The job's state does not allow what is asked; the text says why, for its owner."""


@dataclass(frozen=True)
class NewJob:
    """What is about to become a job: an upload that is safe in the blob store, or something else to begin with."""

    owner: str
    title: str
    original: Artifact | None = None
    cover: Artifact | None = None
    """A picture that came with it."""
    first: NextTask = field(default_factory=lambda: NextTask(flow.FIRST))
    """What to do first."""
    options: Options = field(default_factory=Options)
    trace: str | None = None
    mails: int = 0
    """How many of those who hear of it are others than the owner."""
    upload: str | None = None
    """The resumable upload that this is the end of."""
    connection_id: str | None = None
    """Where it was found."""
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def recipe(self) -> str:
        return recipe(self.options, self.cover.sha256 if self.cover else None)


@dataclass(frozen=True)
class Job:
    """A job as its owner sees it. `stage` is the first that has not ended; times are aware, UTC."""

    id: str
    state: str
    stage: str
    percent: int
    reason: str | None
    title: str
    created_at: datetime
    finished_at: datetime | None
    stages: Sequence[StageView]
    artifacts: Sequence[Artifact]
    options: Options
    seconds: float | None
    """Of the recording."""
    reused: bool
    """All of it was there already, made for an earlier job."""
    changed_at: datetime


@dataclass(frozen=True)
class Jobs:
    """The jobs of one `kind` in one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine
    kind: str = "recording"

    def create(self, new: NewJob) -> tuple[Job, list[Message]]:
        """Commits the job and its first task, or all that a twin made already; returns them with the messages to publish."""
        with transaction(self.engine) as session:
            job, sent = add_job(session, new, self.kind)
            session.refresh(job, ["tasks", "artifacts"])
            return _view(job), sent

    def get(self, owner: str, job_id: str) -> Job | None:
        with transaction(self.engine) as session:
            row = session.scalar(self._jobs(owner).where(JobRow.id == job_id))
            return _view(row) if row else None

    def list(self, owner: str, cursor: str | None = None, limit: int = 50) -> tuple[list[Job], str | None]:
        """Newest first, with the cursor of the next page. Raises BadCursor."""
        wanted = self._jobs(owner).order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit + 1)
        if cursor:
            wanted = wanted.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(*_position(cursor)))
        with transaction(self.engine) as session:
            rows = session.scalars(wanted).all()
            page = [_view(row) for row in rows[:limit]]
        return page, make_cursor(page[-1].created_at, page[-1].id) if len(rows) > limit else None

    def cancel(self, owner: str, job_id: str) -> Job | None:
        """Ends the job and its tasks, unless it has ended already; a worker notices within a second or two."""
        with transaction(self.engine) as session:
            row = session.scalar(self._jobs(owner).where(JobRow.id == job_id).with_for_update())
            if row:
                call_off(session, row)
                session.refresh(row, ["tasks"])
            return _view(row) if row else None

    def retry(self, owner: str, job_id: str, mails: int = 0) -> tuple[Job, Sequence[Message]] | None:
        """Runs a failed or cancelled job again, from where it ended; `mails` as of a new job. Raises Settled if there is nothing to run."""
        with transaction(self.engine) as session:
            row = session.scalar(self._jobs(owner).where(JobRow.id == job_id).with_for_update())
            if row is None:
                return None
            again = _again(row)
            session.add(UsageRow(owner=owner, mails=mails))
            row.state, row.reason, row.finished_at = "queued", None, None
            session.flush()
            session.refresh(row, ["tasks"])
            return _view(row), messages(row.trace, again)

    def delete(self, owner: str, job_id: str) -> bool:
        """Removes the job, and notes which blobs nothing names any more. False if there is no such job."""
        with transaction(self.engine) as session:
            row = session.scalar(self._jobs(owner).where(JobRow.id == job_id).with_for_update())
            if row is not None:
                erase(session, row)
            return row is not None

    def changed(
        self, owner: str, since: datetime, limit: int, known: Sequence[tuple[datetime, str]] = ()
    ) -> Sequence[Job]:
        """The first `limit` that changed at or after `since`, but for those `known` by that time and their id."""
        change = tuple_(JobRow.changed_at, JobRow.id)
        wanted = self._jobs(owner).where(JobRow.changed_at >= since, change.not_in(known))
        with transaction(self.engine) as session:
            found = session.scalars(wanted.order_by(JobRow.changed_at, JobRow.id).limit(limit))
            return [_view(row) for row in found]

    def deleted(self, owner: str, since: datetime) -> Sequence[tuple[str, datetime]]:
        """Ids of those deleted at or after `since`, and when."""
        gone = select(DeletionRow).where(DeletionRow.owner == owner, DeletionRow.at >= since)
        with transaction(self.engine) as session:
            return [(row.job_id, row.at) for row in session.scalars(gone)]

    def artifact(self, owner: str, fid: str) -> Artifact | None:
        """One file by its id, of whatever job of this owner."""
        mine = select(ArtifactRow).join(JobRow).where(JobRow.owner == owner, ArtifactRow.id == fid)
        return self._artifact(mine)

    def named_artifact(self, owner: str, job_id: str, name: str) -> Artifact | None:
        named = (
            select(ArtifactRow).join(JobRow).where(JobRow.owner == owner, JobRow.id == job_id, ArtifactRow.name == name)
        )
        return self._artifact(named)

    def linked_artifact(self, fid: str) -> Artifact | None:
        """One file for whoever holds a signed link to it."""
        return self._artifact(select(ArtifactRow).where(ArtifactRow.id == fid))

    def _jobs(self, owner: str) -> Select[JobRow]:
        loaded = selectinload(JobRow.tasks), selectinload(JobRow.artifacts)
        return select(JobRow).where(JobRow.owner == owner, JobRow.kind == self.kind).options(*loaded)

    def _artifact(self, wanted: Select[ArtifactRow]) -> Artifact | None:
        with transaction(self.engine) as session:
            row = session.scalar(wanted.where(ArtifactRow.kind.not_in(HIDDEN)))
            return artifact(row) if row else None


def add_job(session: Session, new: NewJob, kind: str = "recording") -> tuple[JobRow, list[Message]]:
    """As `Jobs.create`, in whoever's transaction it is."""
    job = JobRow(
        id=new.id,
        kind=kind,
        owner=new.owner,
        connection_id=new.connection_id,
        title=new.title,
        trace=new.trace,
        options=new.options.kept(),
        recipe=new.recipe,
        state="queued",
    )
    session.add(job)
    session.flush()
    tasks = _begin(session, job, new)
    session.flush()
    return job, messages(new.trace, tasks)


def _begin(session: Session, job: JobRow, new: NewJob) -> list[TaskRow]:
    size = sum(sent.bytes for sent in (new.original, new.cover) if sent)
    session.add(UsageRow(owner=job.owner, bytes=size, mails=new.mails))
    if new.original and _adopt(session, job, new, new.original):
        session.flush()
        return settle(session, job.id)
    first = new_task(job.id, new.first)
    session.add(first)
    return [first]


def _adopt(session: Session, job: JobRow, new: NewJob, original: Artifact) -> bool:
    """Gives the job what came with it. True if a twin has left nothing to do; then a picture is not needed."""
    if new.upload:
        _end_upload(session, new.upload, job.id)
    done = adopt(session, job, original)
    if new.cover and done:
        doom(session, [new.cover.blob])
    elif new.cover:
        session.add(artifact_row(job.id, new.cover, name=free_name(new.cover.name, {original.name})))
    return done


def _end_upload(session: Session, upload: str, job_id: str) -> None:
    """Raises Busy if another has ended it, or given it up."""
    open_still = update(UploadRow).where(UploadRow.id == upload, UploadRow.job_id.is_(None))
    if not changed(session, open_still.values(job_id=job_id)):
        raise Busy("the upload has ended")


_NEEDS = {
    "extract": "original",
    "measure": "track",
    "encode": "track",
    "join": "part",
    "draw": "audio",
    "cut": "track",
    "transcribe": "speech",
    "merge": "track",
    "render": "layer",
}
"""The kind of artifact that each kind of task is made of."""


def _again(job: JobRow) -> list[TaskRow]:
    """Queues what did not work out, and calls off what was still to be told of that."""
    open_again = _unfinished(current(job.tasks))
    if job.state not in ("failed", "cancelled") or not open_again:
        raise Settled("Only a job that failed or was cancelled can be run again.")
    there = {found.kind for found in job.artifacts}
    if any(task.kind in _NEEDS and _NEEDS[task.kind] not in there for task in open_again):
        raise Settled("The recording has been removed meanwhile; upload it again.")
    for task in job.tasks:
        if task.kind in flow.TELLING and task.state not in ENDED:
            task.state, task.finished_at = "cancelled", now()
    for task in open_again:
        renew(task)
    return open_again


def _unfinished(tasks: Sequence[TaskRow]) -> list[TaskRow]:
    """Without letters, and without a transcription that a correction has called off: another would take the place of what its owner wrote."""
    is_corrected = any(task.kind == flow.QUIET for task in tasks)
    left_out = (*flow.TELLING, *flow.HEARING) if is_corrected else flow.TELLING
    return [task for task in tasks if task.state in ("failed", "cancelled") and task.kind not in left_out]


def call_off(session: Session, job: JobRow) -> None:
    """Ends a locked job and its tasks, unless it has ended already."""
    if job.state not in ENDED:
        job.end("cancelled")
        _cancel_tasks(session, job.id)
        session.flush()


def erase(session: Session, job: JobRow) -> None:
    """Deletes a locked job, and notes that it is gone and which blobs nothing names any more."""
    blobs = [found.blob for found in job.artifacts]
    session.execute(delete(UploadRow).where(UploadRow.job_id == job.id))
    session.execute(delete(JobRow).where(JobRow.id == job.id))
    if job.kind == "recording":
        session.add(DeletionRow(job_id=job.id, owner=job.owner))
    doom(session, blobs)


def _cancel_tasks(session: Session, job_id: str) -> None:
    open_tasks = update(TaskRow).where(TaskRow.job_id == job_id, TaskRow.state.not_in(ENDED))
    session.execute(open_tasks.values(state="cancelled", finished_at=now(), lease_until=None, speed=None))


def _view(row: JobRow) -> Job:
    found = stages(row)
    return Job(
        id=row.id,
        state=row.state,
        stage=next((stage.name for stage in found if stage.state not in ENDED), "deliver"),
        percent=100 if row.state == "done" else percent(found),
        reason=row.reason,
        title=row.title,
        created_at=row.created_at,
        finished_at=row.finished_at,
        stages=found,
        artifacts=[artifact(made) for made in row.artifacts if made.kind not in HIDDEN],
        options=Options.model_validate(row.options),
        seconds=row.seconds,
        reused=row.reused,
        changed_at=row.changed_at,
    )


def _position(cursor: str) -> tuple[datetime, str]:
    moment, (job_id,) = read_cursor(cursor, 1)
    return moment, job_id
