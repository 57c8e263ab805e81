"""The same bytes again, from the same owner: stored once, and with the same options not worked on again."""

from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline.catalog import ArtifactRow, JobRow
from pipeline.names import free_name, stem
from pipeline.removals import doom
from pipeline.work import Artifact


def adopt(session: Session, job: JobRow, original: Artifact) -> bool:
    """Gives the job its original, and all that a finished twin made of the same bytes by the same recipe.

    True if there was a twin: then nothing is left to do. A copy of bytes that are there already is to be removed.
    """
    job.sha256 = original.sha256
    twin = _twin(session, job)
    holder = twin and _original(twin)
    session.add(artifact_row(job.id, original, blob=holder.blob if holder else original.blob))
    if holder:
        doom(session, [original.blob])
    if twin is None or twin.state != "done" or twin.recipe != job.recipe:
        return False
    job.reused, job.seconds = True, twin.seconds
    _share_results(session, twin, job, original.name)
    return True


def _twin(session: Session, job: JobRow) -> JobRow | None:
    """The best of the owner's other jobs with these bytes, locked, so that nobody deletes it meanwhile."""
    done = (JobRow.state == "done") & (JobRow.recipe == job.recipe)
    same = JobRow.owner == job.owner, JobRow.sha256 == job.sha256, JobRow.id != job.id
    found = session.scalar(select(JobRow.id).where(*same).order_by(done.desc(), JobRow.created_at).limit(1))
    return session.scalar(select(JobRow).where(JobRow.id == found).with_for_update()) if found else None


def _original(job: JobRow) -> ArtifactRow | None:
    return next((made for made in job.artifacts if made.kind == "original"), None)


def _share_results(session: Session, twin: JobRow, job: JobRow, taken: str) -> None:
    """Under the new job's title; the bytes stay where they are."""
    names = {taken}
    for made in twin.artifacts:
        if made.kind != "original":
            name = free_name(_renamed(made, job.title), names)
            names.add(name)
            session.add(artifact_row(job.id, artifact(made), name=name))


def _renamed(made: ArtifactRow, title: str) -> str:
    return made.name if made.kind == "track" else f"{stem(title)}.{made.name.rpartition('.')[2]}"


def artifact(row: ArtifactRow) -> Artifact:
    return Artifact(row.name, row.kind, row.type, row.bytes, row.sha256, row.blob, row.id)  # type: ignore[arg-type]


def artifact_row(job_id: str, made: Artifact, **other: str) -> ArtifactRow:
    """A new row for `made`, with what is `other` about it."""
    described = {name: getattr(made, name) for name in ("name", "kind", "type", "bytes", "sha256", "blob")}
    return ArtifactRow(id=uuid4().hex, job_id=job_id, **described | other)
