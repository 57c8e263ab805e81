"""The same bytes again, from the same owner: stored once, and with the same options not worked on again."""

import hashlib
from uuid import uuid4

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from pipeline.catalog import ArtifactRow, JobRow
from pipeline.names import free_names, stem
from pipeline.options import Options
from pipeline.removals import doom
from pipeline.search import share
from pipeline.work import HIDDEN, PASSING, Artifact

_UNSHARED = {"original", *PASSING} - {"track"}
"""What a twin's results do without. Its track is not made again either: another transcript can be made of it."""


def recipe(options: Options, cover_sha256: str | None) -> str:
    """As that of the options; of the same options with another picture comes something else."""
    if cover_sha256 is None:
        return options.recipe
    return hashlib.sha256(f"{options.recipe} {cover_sha256}".encode()).hexdigest()


def adopt(session: Session, job: JobRow, original: Artifact) -> bool:
    """Gives the job its original, and all that a finished twin made of the same bytes by the same recipe.

    True if there was a twin: then nothing is left to do. A copy of bytes that are there already is to be removed.
    """
    job.sha256 = original.sha256
    twin, holder = _locked(session, _twin(session, job), _holder(session, job))
    stored = _original(holder) if holder else None
    session.add(artifact_row(job.id, original, blob=stored.blob if stored else original.blob))
    if stored and stored.blob != original.blob:
        doom(session, [original.blob])
    if twin is None:
        return False
    job.reused, job.seconds = True, twin.seconds
    _share_results(session, twin, job, original.name)
    return True


def _twin(session: Session, job: JobRow) -> str | None:
    """The owner's other job that was done with these bytes by the same recipe."""
    return session.scalar(_others(job).where(JobRow.state == "done", JobRow.recipe == job.recipe))


def _holder(session: Session, job: JobRow) -> str | None:
    """The owner's other job that still has these bytes."""
    return session.scalar(_others(job).where(JobRow.artifacts.any(ArtifactRow.kind == "original")))


def _others(job: JobRow) -> Select[str]:
    same = JobRow.owner == job.owner, JobRow.sha256 == job.sha256, JobRow.id != job.id
    return select(JobRow.id).where(*same).order_by(JobRow.created_at).limit(1)


def _locked(session: Session, *ids: str | None) -> list[JobRow | None]:
    """The jobs, so that nobody deletes them meanwhile; None for what went a moment ago."""
    wanted = select(JobRow).where(JobRow.id.in_({found for found in ids if found})).order_by(JobRow.id)
    jobs = {job.id: job for job in session.scalars(wanted.with_for_update())} if any(ids) else {}
    return [jobs.get(found or "") for found in ids]


def _original(job: JobRow) -> ArtifactRow | None:
    return next((made for made in job.artifacts if made.kind == "original"), None)


def _share_results(session: Session, twin: JobRow, job: JobRow, taken: str) -> None:
    """Under the new job's title; the bytes stay where they are. What people do not see keeps its names."""
    shared = [made for made in twin.artifacts if made.kind not in _UNSHARED]
    wanted = (made.name if made.kind in HIDDEN else _renamed(made, job.title) for made in shared)
    for name, made in zip(free_names(wanted, {taken}), shared, strict=True):
        session.add(artifact_row(job.id, artifact(made), name=name))
    share(session, twin.id, job.id)


def _renamed(made: ArtifactRow, title: str) -> str:
    """By the new title; a waveform has its kind between the title and the extension, as a transcript may be JSON too."""
    kind = ".waveform" if made.kind == "waveform" else ""
    return f"{stem(title)}{kind}.{made.name.rpartition('.')[2]}"


def artifact(row: ArtifactRow) -> Artifact:
    return Artifact(row.name, row.kind, row.type, row.bytes, row.sha256, row.blob, row.id, row.facts or {})  # type: ignore[arg-type]


def artifact_row(job_id: str, made: Artifact, **other: str) -> ArtifactRow:
    """A new row for `made`, with what is `other` about it."""
    described = {name: getattr(made, name) for name in ("name", "kind", "type", "bytes", "sha256", "blob")}
    return ArtifactRow(id=uuid4().hex, job_id=job_id, facts=dict(made.facts), **described | other)
