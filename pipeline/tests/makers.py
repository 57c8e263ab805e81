"""Jobs and artifacts for tests, with only what a test does not care about filled in."""

from sqlalchemy import Engine

from pipeline.jobs import Job, Jobs, NewJob
from pipeline.messages import Message
from pipeline.work import Artifact, ArtifactKind

OWNER = "a" * 32


def an_artifact(name: str = "talk.mp4", kind: ArtifactKind = "original", blob: str = "") -> Artifact:
    return Artifact(name, kind, "video/mp4", 5, "0" * 64, blob or f"blob-{name}")


def a_job(catalog: Engine, title: str = "talk.mp4", owner: str = OWNER, blob: str = "") -> tuple[Job, Message]:
    new = NewJob(owner, title, an_artifact(title, blob=blob), notify="ada@example.org")
    job, messages = Jobs(catalog).create(new)
    return job, messages[0]
