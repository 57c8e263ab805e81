"""Jobs that have ended, webhooks that hear of it, and workers that call them."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import Engine, select

from notification.deliveries import Deliveries
from notification.payloads import Payloads
from notification.sender import Sender
from notification.webhooks import call
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import ArtifactRow, TaskRow
from pipeline.database import transaction
from pipeline.errors import Reject, Retry
from pipeline.guard import Guard
from pipeline.jobs import Jobs, NewJob
from pipeline.links import Links
from pipeline.options import Options
from pipeline.tasks import Tasks
from pipeline.vault import Vault
from pipeline.webhooks import Delivery, Webhooks
from pipeline.work import Artifact, Handler, NextTask, Result, Task

OWNER = "a" * 32
LINKS = Links(["k" * 32], 7 * 86400)
MADE = (
    Artifact("talk.mp4", "original", "video/mp4", 5_000_000, "0" * 64, "original"),
    Artifact("talk.flac", "track", "audio/flac", 4_000_000, "0" * 64, "track"),
    Artifact("talk.mp3", "audio", "audio/mpeg", 1_234_567, "0" * 64, "audio"),
    Artifact("talk.srt", "transcript", "application/x-subrip", 90, "0" * 64, "srt"),
    Artifact("talk.txt", "transcript", "text/plain", 70, "0" * 64, "txt"),
)
HERE = Guard((ip_network("127.0.0.1/32"),))
KEY = "W3CXBkTpT8rTLMgSTOmFZKJMV9GHvXDVVdPJi1X4ZXk="
VAULT = Vault(MultiFernet([Fernet(KEY)]))


def sender(**given: Any) -> Sender:
    """That may call 127.0.0.1."""
    return Sender(**{"guard": HERE, "tls": ssl.create_default_context(), **given})


def handler(catalog: Engine, post: Sender, vault: Vault | None = VAULT) -> Handler:
    payloads = Payloads(LINKS, "https://spool.example.org/")
    return partial(call, deliveries=Deliveries(catalog), sender=post, vault=vault, payloads=payloads)


@dataclass
class Office:
    """A catalog with the webhooks of one owner, and a worker that does what is due there."""

    catalog: Engine
    folder: Path
    sender: Sender = field(default_factory=sender)
    vault: Vault | None = VAULT

    @property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.catalog, VAULT)

    @property
    def tasks(self) -> Tasks:
        return Tasks(self.catalog)

    def webhook(self, url: str, *events: str) -> tuple[str, str]:
        """Its id and its secret."""
        made, secret = self.webhooks.create(OWNER, url, events)
        return made.id, secret

    def ended(self, reason: str | None = None, **options: Any) -> str:
        """The id of a job that has just failed for `reason`, or is done and has files."""
        wanted = Options.model_validate({"notify": [], "tags": ["a", "b"], **options})
        new = NewJob(OWNER, "Über talk.mp4", options=wanted, first=NextTask("extract"))
        job, (message,) = Jobs(self.catalog).create(new)
        task = self.tasks.claim(message.task_id, "worker")
        assert task
        with transaction(self.catalog) as session:
            session.add_all(ArtifactRow(**{**vars(made), "id": uuid4().hex, "job_id": job.id}) for made in MADE)
        self.tasks.reject(task, reason) if reason else self.tasks.finish(task, Result())
        return job.id

    def claimed(self) -> Task:
        """The oldest task of a webhook, whether it is due or not."""
        waiting = select(TaskRow.id).where(TaskRow.kind == "webhook", TaskRow.state == "queued")
        with transaction(self.catalog) as session:
            task_id = session.scalar(waiting.order_by(TaskRow.created_at, TaskRow.part).limit(1))
        assert task_id, "no webhook is to be called"
        task = self.tasks.claim(task_id, "worker")
        assert task
        return task

    def run(self, task: Task) -> Result:
        blobs = DirectoryBlobs(self.folder / "blobs")
        return handler(self.catalog, self.sender, self.vault)(task, blobs, self.folder, lambda *_: None)

    def attempt(self) -> Result | Retry | Reject:
        """What a worker does with a task."""
        task = self.claimed()
        try:
            result = self.run(task)
        except Retry as later:
            self.tasks.retry(task, later.reason, later.delay)
            return later
        except Reject as refusal:
            self.tasks.reject(task, refusal.reason)
            return refusal
        self.tasks.finish(task, result)
        return result

    def delivery(self, webhook_id: str) -> Delivery:
        """The one that there is."""
        (found,) = self.deliveries(webhook_id)
        return found

    def deliveries(self, webhook_id: str) -> Sequence[Delivery]:
        found = self.webhooks.deliveries(OWNER, webhook_id)
        assert found
        return found[0]

    def states(self) -> Mapping[str, int]:
        with transaction(self.catalog) as session:
            found = list(session.scalars(select(TaskRow.state).where(TaskRow.kind == "webhook")))
        return {state: found.count(state) for state in found}
