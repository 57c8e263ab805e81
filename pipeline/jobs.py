"""Jobs as their owners see and steer them. Every question carries the owner: a foreign id is answered like one that never was."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, Select, delete, select, tuple_, update
from sqlalchemy.orm import Session, selectinload

from pipeline import flow
from pipeline.catalog import ENDED, ArtifactRow, JobRow, TaskRow
from pipeline.database import now, transaction
from pipeline.messages import Message
from pipeline.tasks import artifact, artifact_row, new_task
from pipeline.work import Artifact, NextTask


class BadCursor(ValueError):
    """The cursor was not made by `Jobs.list`."""


@dataclass(frozen=True)
class NewJob:
    """An upload that is safe in the blob store, about to become a job."""

    owner: str
    title: str
    original: Artifact
    notify: str | None = None
    trace: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class StageView:
    """One stage of a job; `seconds` is None until it has ended."""

    name: str
    state: str
    percent: int
    seconds: float | None


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


@dataclass(frozen=True)
class Jobs:
    """The jobs of one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def create(self, new: NewJob) -> tuple[Job, list[Message]]:
        """Commits the job and its first task; returns them with the message to publish."""
        job = JobRow(
            id=new.id,
            owner=new.owner,
            title=new.title,
            notify=new.notify,
            trace=new.trace,
            options=dict(new.options),
            state="queued",
        )
        first = new_task(new.id, NextTask(flow.FIRST))
        original = artifact_row(new.id, new.original)
        with transaction(self.engine) as session:
            session.add(job)
            session.flush()
            session.add_all([first, original])
            session.flush()
            session.refresh(job, ["tasks", "artifacts"])
            view = _view(job)
        return view, [Message(task_id=first.id, job_id=new.id, kind=first.kind, trace=new.trace)]

    def get(self, owner: str, job_id: str) -> Job | None:
        with transaction(self.engine) as session:
            row = session.scalar(_jobs(owner).where(JobRow.id == job_id))
            return _view(row) if row else None

    def list(self, owner: str, cursor: str | None = None, limit: int = 50) -> tuple[list[Job], str | None]:
        """Newest first, with the cursor of the next page. Raises BadCursor."""
        wanted = _jobs(owner).order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit + 1)
        if cursor:
            wanted = wanted.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(*_read_cursor(cursor)))
        with transaction(self.engine) as session:
            rows = session.scalars(wanted).all()
            page = [_view(row) for row in rows[:limit]]
        return page, _make_cursor(page[-1]) if len(rows) > limit else None

    def cancel(self, owner: str, job_id: str) -> Job | None:
        """Ends the job and its tasks, unless it has ended already; a worker notices within a second or two."""
        with transaction(self.engine) as session:
            row = session.scalar(_jobs(owner).where(JobRow.id == job_id).with_for_update())
            if row and row.state not in ENDED:
                row.state, row.finished_at = "cancelled", now()
                _cancel_tasks(session, job_id)
                session.flush()
                session.refresh(row, ["tasks"])
            return _view(row) if row else None

    def delete(self, owner: str, job_id: str) -> Sequence[str] | None:
        """Removes the job, and returns the blobs that nothing names any more. None if there is no such job."""
        with transaction(self.engine) as session:
            row = session.scalar(_jobs(owner).where(JobRow.id == job_id).with_for_update())
            if row is None:
                return None
            blobs = [found.blob for found in row.artifacts]
            session.execute(delete(JobRow).where(JobRow.id == job_id))
            named = session.scalars(select(ArtifactRow.blob).where(ArtifactRow.blob.in_(blobs))).all()
            return sorted(set(blobs) - set(named))

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

    def _artifact(self, wanted: Select[ArtifactRow]) -> Artifact | None:
        with transaction(self.engine) as session:
            row = session.scalar(wanted.where(ArtifactRow.kind != "track"))
            return artifact(row) if row else None


def _jobs(owner: str) -> Select[JobRow]:
    return (
        select(JobRow).where(JobRow.owner == owner).options(selectinload(JobRow.tasks), selectinload(JobRow.artifacts))
    )


def _cancel_tasks(session: Session, job_id: str) -> None:
    open_tasks = update(TaskRow).where(TaskRow.job_id == job_id, TaskRow.state.not_in(ENDED))
    session.execute(open_tasks.values(state="cancelled", finished_at=now(), lease_until=None))


def _view(row: JobRow) -> Job:
    stages = [_stage(row, kind) for kind in flow.STAGES]
    return Job(
        id=row.id,
        state=row.state,
        stage=next((stage.name for stage in stages if stage.state not in ENDED), flow.LAST),
        percent=100 if row.state == "done" else _percent(stages),
        reason=row.reason,
        title=row.title,
        created_at=row.created_at,
        finished_at=row.finished_at,
        stages=stages,
        artifacts=[artifact(found) for found in row.artifacts if found.kind != "track"],
    )


def _stage(row: JobRow, kind: str) -> StageView:
    tasks = [task for task in row.tasks if task.kind == kind]
    if not tasks:
        return StageView(
            kind, row.state if row.state in ("failed", "cancelled") and kind != flow.LAST else "queued", 0, None
        )
    states = {task.state for task in tasks}
    state = next(state for state in ("failed", "cancelled", "running", "queued", "done") if state in states)
    return StageView(kind, state, sum(task.percent for task in tasks) // len(tasks), _seconds(tasks))


def _seconds(tasks: Sequence[TaskRow]) -> float | None:
    """From the first start to the last end."""
    ends = [task.finished_at for task in tasks if task.finished_at]
    starts = [task.started_at for task in tasks if task.started_at]
    return round((max(ends) - min(starts)).total_seconds(), 3) if starts and len(ends) == len(tasks) else None


def _percent(stages: Sequence[StageView]) -> int:
    weights = {name: stage.weight for name, stage in flow.STAGES.items()}
    return sum(stage.percent * weights[stage.name] for stage in stages) // sum(weights.values())


def _make_cursor(job: Job) -> str:
    return base64.urlsafe_b64encode(f"{job.created_at.isoformat()} {job.id}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        created_at, job_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise BadCursor(cursor)
        return moment, job_id
    except (ValueError, binascii.Error) as error:
        raise BadCursor(cursor) from error
