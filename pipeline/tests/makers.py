"""Jobs and artifacts for tests, with only what a test does not care about filled in."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, select, true, update

from pipeline.blobs import BlobStore
from pipeline.catalog import ArtifactRow, JobRow, UploadRow
from pipeline.database import now, transaction
from pipeline.jobs import Job, Jobs, NewJob
from pipeline.messages import Message
from pipeline.names import stem
from pipeline.options import Options
from pipeline.recording import Level, SoundFacts, Track
from pipeline.tasks import Tasks
from pipeline.transcript import LayerFacts
from pipeline.work import Artifact, ArtifactKind, NextTask, Passage, Result, Task

OWNER, ADDRESS = "a" * 32, "ada@example.org"
TRACK = Track(stream=0, seconds=90, codec="aac", channels=2, sample_rate=44100).model_dump(mode="json")
SOUND = SoundFacts(seconds=90, codec="mp3", bit_rate=128000, channels=2, sample_rate=44100).model_dump(mode="json")
LOUDNESS = {"loudness": Level(integrated=-16.2, range=4.5, true_peak=-1.1).model_dump(mode="json")}

SAID = [(0.0, "Rabbits eat clover."), (3.0, "Hares run faster than rabbits.")]
"""What is heard in every recording: when it begins, and the words."""


def an_artifact(name: str = "talk.mp4", kind: ArtifactKind = "original", blob: str = "") -> Artifact:
    sha256 = hashlib.sha256(blob.encode()).hexdigest() if blob else uuid4().hex * 2
    return Artifact(name, kind, "video/mp4", 5, sha256, blob or f"blob-{name}")


def a_job(catalog: Engine, title: str = "talk.mp4", owner: str = OWNER, blob: str = "") -> tuple[Job, Message]:
    new = NewJob(owner, title, an_artifact(title, blob=blob), options=Options(notify=(ADDRESS,), waveform=False))
    job, messages = Jobs(catalog).create(new)
    return job, messages[0]


def claimed(tasks: Tasks, message: Message) -> Task:
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    return task


def write(blobs: BlobStore, blob: str, content: bytes) -> str:
    with blobs.create(blob) as target:
        target.write(content)
    return hashlib.sha256(content).hexdigest()


def a_recording(
    catalog: Engine,
    blobs: BlobStore,
    content: bytes = b"a talk",
    title: str = "talk.mp4",
    owner: str = OWNER,
    options: Options | None = None,
    **asked: Any,
) -> Job:
    """A job whose original is really stored."""
    blob = f"{uuid4().hex}-original"
    original = Artifact(title, "original", "video/mp4", len(content), write(blobs, blob, content), blob)
    return Jobs(catalog).create(NewJob(owner, title, original, options=options or Options(**asked)))[0]


def work_through(catalog: Engine, blobs: BlobStore, job: Job) -> Job:
    """Does all tasks of the job that are due, and stores what they make."""
    tasks = Tasks(catalog)
    while due := [message for message in tasks.unpublished(0) if message.job_id == job.id]:
        for message in due:
            if task := tasks.claim(message.task_id, "worker"):
                tasks.finish(task, _made(task, blobs))
    found = Jobs(catalog).get(OWNER, job.id)
    assert found is not None
    return found


def work_off(catalog: Engine, blobs: BlobStore, *kinds: str) -> None:
    """Does the due task of each of these kinds, one after the other."""
    tasks = Tasks(catalog)
    for kind in kinds:
        (message,) = [message for message in tasks.unpublished(0) if message.kind == kind]
        task = tasks.claim(message.task_id, "worker")
        assert task is not None
        tasks.finish(task, _made(task, blobs))


def _made(task: Task, blobs: BlobStore) -> Result:
    name = stem(task.title)
    match task.kind:
        case "extract":
            following = ["encode", *(["cut"] if task.options.transcribe else [])]
            track = replace(_file(task, blobs, "track.mka", "track"), facts=TRACK)
            return Result([track], [NextTask(kind) for kind in following], seconds=90)
        case "encode":
            mp3 = replace(_file(task, blobs, f"{name}.mp3", "audio"), facts=SOUND)
            return Result([mp3], [NextTask("draw")] if task.options.waveform else [])
        case "draw":
            drawn = [_file(task, blobs, f"{name}.waveform.{end}", "waveform") for end in ("json", "png")]
            return Result(drawn, facts={task.only("audio").blob: LOUDNESS})
        case "cut":
            return Result(next=[NextTask("transcribe", task.part * 100_000)])
        case "transcribe":
            return Result(next=[NextTask("merge", task.part // 100_000)])
        case "merge":
            return _transcribed(task, blobs, name)
    return Result()


def _transcribed(task: Task, blobs: BlobStore, name: str) -> Result:
    version = 1 + sum(made.kind == "layer" for made in task.artifacts)
    facts = LayerFacts(version=version, at=now(), model="tiny.en", language="en").model_dump(mode="json")
    layer = replace(_file(task, blobs, f"layer-{version}.jsonl", "layer"), facts=facts)
    old = [made for made in task.artifacts if made.kind == "transcript"]
    new = [_file(task, blobs, f"{name}.{end}", "transcript") for end in task.options.formats]
    return Result([layer, *new], spent=old, passages=[Passage(start, start + 2, text) for start, text in SAID])


def _file(task: Task, blobs: BlobStore, name: str, kind: ArtifactKind) -> Artifact:
    blob, content = task.blob_id(name.rpartition(".")[2]), f"{kind} {name}".encode()
    return Artifact(name, kind, "application/octet-stream", len(content), write(blobs, blob, content), blob)


def named_blobs(catalog: Engine) -> set[str]:
    with transaction(catalog) as session:
        return set(session.scalars(select(ArtifactRow.blob)))


def stored_blobs(blobs: BlobStore) -> set[str]:
    return {blob.id for blob in blobs.list()}


def end_days_ago(catalog: Engine, days: float, *jobs: Job) -> None:
    """As if the jobs, or all there are, had ended then."""
    wanted = JobRow.id.in_([job.id for job in jobs]) if jobs else true()
    with transaction(catalog) as session:
        session.execute(update(JobRow).where(wanted).values(finished_at=now() - timedelta(days=days)))


def an_upload(catalog: Engine, blob: str, days: float = 1, job_id: str | None = None) -> None:
    """A resumable upload of that id, which expires in `days`."""
    expires = now() + timedelta(days=days)
    with transaction(catalog) as session:
        session.add(UploadRow(id=blob, owner=OWNER, blob=blob, meta="", job_id=job_id, expires_at=expires))
