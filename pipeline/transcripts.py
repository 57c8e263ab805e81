"""The versions of a job's transcript: what the machine heard, and what its owner made of it. None is ever changed.

A version is an artifact of kind `layer`, see `pipeline.transcript`; the newest holds, and all transcripts are written from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from pipeline.catalog import ENDED, ArtifactRow, JobRow, TaskRow, UsageRow
from pipeline.database import now, transaction
from pipeline.flow import HEARING, QUIET, TELLING
from pipeline.jobs import Job, Jobs, Settled
from pipeline.messages import Message
from pipeline.names import free_name
from pipeline.options import KeptOptions, Options
from pipeline.removals import doom
from pipeline.reuse import artifact, artifact_row, recipe
from pipeline.task_rows import messages, new_task
from pipeline.transcript import About, LayerFacts
from pipeline.work import Artifact, NextTask

_WRITING = (QUIET,)
"""Tasks that a correction takes the place of; another transcription takes that of HEARING too."""
_BUSY = "This job is still being worked on; wait for its end."
_CANCELLED = "This job was cancelled before its end; run it again first."


class Stale(Exception):
    """Somebody has made a newer version meanwhile."""

    def __init__(self, current: int) -> None:
        super().__init__(current)
        self.current = current


@dataclass(frozen=True)
class Version:
    facts: LayerFacts
    layer: Artifact


@dataclass(frozen=True)
class Transcripts:
    """The transcripts in one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def versions(self, owner: str, job_id: str) -> Sequence[Version]:
        """Newest first; none if there is no such job or no transcript of it."""
        mine = select(ArtifactRow).join(JobRow).where(JobRow.owner == owner, JobRow.id == job_id)
        with transaction(self.engine) as session:
            return _versions(session.scalars(mine.where(ArtifactRow.kind == "layer")).all())

    def correct(
        self, owner: str, job_id: str, layer: Artifact, about: About, base: int | None = None
    ) -> tuple[Version, list[Message]] | None:
        """Adds a version that its owner wrote, and has all transcripts written anew from it, whatever was under way.

        Another transcription that did not work out is called off by it: the job need not end as failed for that.
        `base` is the version it was made of, if that is to be the newest still. None if the owner has no such job.
        Raises Stale, and Settled if the job does not allow it now.
        """
        with transaction(self.engine) as session:
            job = _locked(session, owner, job_id)
            if job is None:
                return None
            number = _next(_versions(job.artifacts), base)
            _check_others(job, _WRITING)
            facts = LayerFacts(
                version=number, author=owner, at=now(), language=about.language, translated=about.translated
            )
            name = free_name(f"layer-{number}.jsonl", {found.name for found in job.artifacts})
            made = replace(layer, name=name, facts=facts.model_dump(mode="json"))
            session.add(artifact_row(job.id, made))
            _call_off(job)
            return Version(facts, made), _begin(session, job, NextTask(QUIET, number), _WRITING)

    def again(self, owner: str, job_id: str, wanted: Options, mails: int = 0) -> tuple[Job, list[Message]] | None:
        """Transcribes the recording once more, with other options; what is there stays until that is done.

        `mails` is how many of those who hear of it are others than the owner. None if the owner has no such job. Raises Settled if it has not ended, or its sound is not there any more.
        """
        with transaction(self.engine) as session:
            job = _locked(session, owner, job_id)
            if job is None:
                return None
            if job.state not in ENDED:
                raise Settled(_BUSY)
            _check_others(job, (*HEARING, *_WRITING))
            if not any(found.kind == "track" for found in job.artifacts):
                raise Settled("The recording has been removed meanwhile; upload it again.")
            session.add(UsageRow(owner=owner, mails=mails))
            _change(job, wanted)
            _drop_parts(session, job)
            run = 1 + max((task.part for task in job.tasks if task.kind == "cut"), default=-1)
            sent = _begin(session, job, NextTask("cut", run), (*HEARING, *_WRITING))
        seen = Jobs(self.engine).get(owner, job_id)
        return (seen, sent) if seen else None


def _locked(session: Session, owner: str, job_id: str) -> JobRow | None:
    return session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.owner == owner).with_for_update())


def _versions(rows: Sequence[ArtifactRow]) -> Sequence[Version]:
    layers = [artifact(row) for row in rows if row.kind == "layer"]
    found = [Version(LayerFacts.model_validate(layer.facts), layer) for layer in layers]
    return sorted(found, key=lambda version: version.facts.version, reverse=True)


def _next(versions: Sequence[Version], base: int | None) -> int:
    """The number of the next version. Raises Stale, Settled."""
    if not versions:
        raise Settled("This job has no transcript to correct.")
    newest = versions[0].facts.version
    if base not in (None, newest):
        raise Stale(newest)
    return newest + 1


def _check_others(job: JobRow, replaced: Sequence[str]) -> None:
    """Raises Settled unless all tasks but the `replaced`, and those that tell of the job, have ended, and the sound files have been made."""
    others = [task for task in job.tasks if task.kind not in (*replaced, *TELLING)]
    if any(task.state not in ENDED for task in others):
        raise Settled(_BUSY)
    if job.state == "cancelled" and any(task.state == "cancelled" for task in others if task.kind not in HEARING):
        raise Settled(_CANCELLED)


def _call_off(job: JobRow) -> None:
    """A transcription that did not work out, beside a transcript that is there; `Jobs.retry` leaves it so.

    What its options ask for was never made.
    """
    for task in job.tasks:
        if task.kind in HEARING and task.state in ("failed", "cancelled"):
            task.state, job.recipe = "cancelled", None


def _begin(session: Session, job: JobRow, first: NextTask, replaced: Sequence[str]) -> list[Message]:
    """Opens the job again with one task. What an attempt at a `replaced` one still makes finds no row, and comes to nothing."""
    session.execute(delete(TaskRow).where(TaskRow.job_id == job.id, TaskRow.kind.in_(replaced)))
    task = new_task(job.id, first)
    session.add(task)
    job.state, job.reason, job.finished_at = "queued", None, None
    session.flush()
    return messages(job.trace, [task])


def _change(job: JobRow, wanted: Options) -> None:
    """The options, and by what a twin finds the job. A picture that came with it and is gone cannot be told from another."""
    before = KeptOptions.model_validate(job.options)
    covers = [None, *(found.sha256 for found in job.artifacts if found.kind == "cover")]
    job.recipe = next((recipe(wanted, cover) for cover in covers if recipe(before, cover) == job.recipe), None)
    job.options, job.reused = wanted.kept(), False


def _drop_parts(session: Session, job: JobRow) -> None:
    """What an earlier run that did not work out has left."""
    parts = [found for found in job.artifacts if found.kind in ("speech", "heard")]
    session.execute(delete(ArtifactRow).where(ArtifactRow.id.in_([found.id for found in parts])))
    doom(session, [found.blob for found in parts])
