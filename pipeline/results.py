"""What an attempt that counts leaves in the catalog: files, what is known of them, and what is to be done next."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session

from pipeline import flow
from pipeline.catalog import ArtifactRow, JobRow, TaskRow, UsageRow
from pipeline.names import free_names
from pipeline.options import Options
from pipeline.removals import doom
from pipeline.reuse import adopt, artifact_row
from pipeline.search import index
from pipeline.work import Artifact, NextTask, Result, Task


def keep(session: Session, task: Task, result: Result) -> Sequence[NextTask]:
    """Keeps what a task made and found out; returns what is due next, which is nothing if a twin has done it.

    The job is locked and the task has ended by then: of several parts that others await, only the last finds them all done.
    """
    job = session.get_one(JobRow, task.job_id)
    if result.seconds is not None:
        job.seconds = result.seconds
        session.add(UsageRow(owner=job.owner, seconds=result.seconds))
    done = [_adopt(session, job, made) for made in result.artifacts if made.kind == "original"]
    _keep_files(session, job.id, [made for made in result.artifacts if made.kind != "original"], result.spent)
    _add_facts(session, job.id, result.facts)
    if result.passages is not None:
        index(session, job.id, result.passages)
    return () if any(done) else [following for following in result.next if _is_due(session, job.id, following)]


def _is_due(session: Session, job_id: str, following: NextTask) -> bool:
    awaited = flow.STAGES[following.kind].awaits
    if awaited is None:
        return True
    parts = TaskRow.job_id == job_id, in_run(awaited, flow.run(following.kind, following.part))
    return session.scalar(select(TaskRow.id).where(*parts, TaskRow.state != "done").limit(1)) is None


def in_run(kind: str, run: int) -> ColumnElement[bool]:
    """Tasks of `kind`, of that run of it."""
    if kind not in flow.RUNS:
        return TaskRow.kind == kind
    parts = flow.RUNS[kind]
    return and_(TaskRow.kind == kind, TaskRow.part >= run * parts, TaskRow.part < (run + 1) * parts)


def _adopt(session: Session, job: JobRow, original: Artifact) -> bool:
    """An original that a task fetched, and which gives its job a name if the owner did not."""
    session.add(UsageRow(owner=job.owner, bytes=original.bytes))
    job.title = Options.model_validate(job.options).title or original.name
    return adopt(session, job, original)


def _keep_files(session: Session, job_id: str, made: Sequence[Artifact], spent: Sequence[Artifact]) -> None:
    """What is made anew under the same name and kind takes the place of what is spent, so that links to it stay good."""
    found = select(ArtifactRow).where(ArtifactRow.job_id == job_id, ArtifactRow.id.in_([old.id for old in spent]))
    rows = {(row.name, row.kind): row for row in session.scalars(found)} if spent else {}
    doom(session, [row.blob for row in rows.values()])
    new = [file for file in made if not _replaced(rows.pop((file.name, file.kind), None), file)]
    session.execute(delete(ArtifactRow).where(ArtifactRow.id.in_([row.id for row in rows.values()])))
    _add_artifacts(session, job_id, new)


def _replaced(row: ArtifactRow | None, file: Artifact) -> bool:
    if row is None:
        return False
    for name in ("blob", "bytes", "sha256", "type"):
        setattr(row, name, getattr(file, name))
    row.facts = dict(file.facts)
    return True


def _add_artifacts(session: Session, job_id: str, made: Sequence[Artifact]) -> None:
    """Under names that are free: an MP3 of an MP3 must not bear its name."""
    taken = set(session.scalars(select(ArtifactRow.name).where(ArtifactRow.job_id == job_id)))
    for name, file in zip(free_names((file.name for file in made), taken), made, strict=True):
        session.add(artifact_row(job_id, file, name=name))


def _add_facts(session: Session, job_id: str, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Beside what is known already."""
    session.flush()
    for blob, found in facts.items():
        told = select(ArtifactRow).where(ArtifactRow.job_id == job_id, ArtifactRow.blob == blob)
        for row in session.scalars(told):
            row.facts = {**(row.facts or {}), **found}
