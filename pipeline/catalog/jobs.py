"""What users asked for, what is done for it, and what came of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipeline.catalog.base import Base
from pipeline.database import MYSQL_TABLE, now


class JobRow(Base):
    """What a user asked for: one recording, an export, a connection. `changed_at` moves with everything that its owner could see change."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "owner", "created_at", "id"),
        Index(None, "owner", "changed_at"),
        Index(None, "owner", "files_at"),
        Index(None, "owner", "sha256"),
        Index(None, "state", "finished_at"),
        Index(None, "connection_id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12), default="recording")
    """recording, export, or connection."""
    owner: Mapped[str] = mapped_column(String(64))
    connection_id: Mapped[str | None] = mapped_column(String(32))
    """Where the recording was found, and where its results go; the connection may be gone."""
    title: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(10), default="queued")
    reason: Mapped[str | None] = mapped_column(Text)
    options: Mapped[dict[str, Any]]
    recipe: Mapped[str | None] = mapped_column(String(64))
    """`Options.recipe`, and of the original bytes the SHA-256: what a twin is found by."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    reused: Mapped[bool] = mapped_column(default=False)
    seconds: Mapped[float | None]
    """Of the recording."""
    links_from: Mapped[datetime | None]
    """Links in mails that were signed before are revoked."""
    trace: Mapped[str | None] = mapped_column(String(55))
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    finished_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """When it ended for the first time; it stays while the job runs again."""
    files_at: Mapped[datetime | None]
    """When it last ended or lost files: what those who mirror its files go by."""

    tasks: Mapped[list["TaskRow"]] = relationship(order_by="TaskRow.created_at", passive_deletes=True)
    artifacts: Mapped[list["ArtifactRow"]] = relationship(order_by="ArtifactRow.name", passive_deletes=True)

    def end(self, state: str) -> None:
        self.state, self.finished_at = state, now()
        self.ended_at, self.files_at = self.ended_at or self.finished_at, self.finished_at


class TaskRow(Base):
    """One step of a job; (job, kind, part) is unique, so that a result committed twice makes its followers once."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "part"),
        Index(None, "state", "due_at"),
        Index(None, "state", "lease_until"),
        Index(None, "kind", "state", "due_at"),
        Index(None, "kind", "started_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    part: Mapped[int] = mapped_column(default=0)
    args: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(10), default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    lapses: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    calls: Mapped[int] = mapped_column(default=0)
    """To a service that takes money, whoever ran the task how often."""
    calls_before: Mapped[int] = mapped_column(default=0)
    """How many of them were made before its owner ran it again."""
    percent: Mapped[int] = mapped_column(default=0)
    speed: Mapped[float | None]
    """Seconds of the recording that the running attempt does in a second, if it knows."""
    worker: Mapped[str | None] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    due_at: Mapped[datetime] = mapped_column(default=now)
    published_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ArtifactRow(Base):
    """A file of a job. Its id is the `fid` of the HTTP interface; a blob that neither a row here nor an unfinished upload names is rubbish."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "name"), Index(None, "blob"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(20))
    type: Mapped[str] = mapped_column(String(100))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(200))
    facts: Mapped[dict[str, Any] | None]
    """As `pipeline.work.Artifact` has them; empty in rows from before there were any."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class LinkRow(Base):
    """A link that its owner made: to one file, or to a whole job if `artifact_id` is empty. Without the row it opens nothing."""

    __tablename__ = "links"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id", ondelete="CASCADE"))
    downloads: Mapped[int | None]
    """How many it is good for."""
    used: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class DeletionRow(Base):
    """That a job was deleted, for those who mirror what is there."""

    __tablename__ = "deletions"
    __table_args__ = (Index(None, "owner", "at"), Index(None, "at"), MYSQL_TABLE)

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
