"""Jobs and artifacts for tests, with only what a test does not care about filled in."""

import hashlib
from uuid import uuid4

from sqlalchemy import Engine

from pipeline.jobs import Job, Jobs, NewJob
from pipeline.messages import Message
from pipeline.options import Options
from pipeline.work import Artifact, ArtifactKind

OWNER, ADDRESS = "a" * 32, "ada@example.org"


def an_artifact(name: str = "talk.mp4", kind: ArtifactKind = "original", blob: str = "") -> Artifact:
    sha256 = hashlib.sha256(blob.encode()).hexdigest() if blob else uuid4().hex * 2
    return Artifact(name, kind, "video/mp4", 5, sha256, blob or f"blob-{name}")


def a_job(catalog: Engine, title: str = "talk.mp4", owner: str = OWNER, blob: str = "") -> tuple[Job, Message]:
    new = NewJob(owner, title, an_artifact(title, blob=blob), options=Options(notify=(ADDRESS,)))
    job, messages = Jobs(catalog).create(new)
    return job, messages[0]
