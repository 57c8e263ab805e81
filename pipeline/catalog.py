"""The catalog: what work exists, and what came of it. Tables for SQLAlchemy; `pipeline/migrations` makes them."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from pipeline.database import MYSQL_TABLE, UtcDateTime, now

ENDED = ("done", "failed", "cancelled")
"""States that a job or task leaves only when its owner runs it again."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class JobRow(Base):
    """What a user asked for: one recording. `changed_at` moves with everything that its owner could see change."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "owner", "created_at", "id"),
        Index(None, "owner", "changed_at"),
        Index(None, "owner", "sha256"),
        Index(None, "state", "finished_at"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
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

    tasks: Mapped[list["TaskRow"]] = relationship(order_by="TaskRow.created_at", passive_deletes=True)
    artifacts: Mapped[list["ArtifactRow"]] = relationship(order_by="ArtifactRow.name", passive_deletes=True)


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


class MailRow(Base):
    """The mail of one task, recorded before it is sent."""

    __tablename__ = "mails"
    __table_args__ = (UniqueConstraint("task_id"), Index(None, "job_id"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    task_id: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(320))
    message_id: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(10), default="new")
    """new, sending, sent, refused, or unclear: sent, but the answer was lost."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


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


class UploadRow(Base):
    """A resumable upload (tus 1.0): its bytes up to `offset` are durable in `blob`."""

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "expires_at"), Index(None, "owner"), Index(None, "blob"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(200))
    length: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes it will have; empty while the client has not said."""
    offset: Mapped[int] = mapped_column(BigInteger, default=0)
    meta: Mapped[str] = mapped_column(Text)
    """`Upload-Metadata` as the client sent it."""
    concat: Mapped[str | None] = mapped_column(Text)
    """`Upload-Concat`: `partial`, or `final;` and the ids of the parts."""
    lock: Mapped[str | None] = mapped_column(String(32))
    locked_until: Mapped[datetime | None]
    job_id: Mapped[str | None] = mapped_column(String(32))
    """What became of it."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class AccountRow(Base):
    """What holds for one user instead of the installation's defaults; empty where the default holds."""

    __tablename__ = "accounts"
    __table_args__ = (MYSQL_TABLE,)

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    day_bytes: Mapped[int | None] = mapped_column(BigInteger)
    jobs: Mapped[int | None]
    month_minutes: Mapped[int | None]
    day_mails: Mapped[int | None]
    day_speech_minutes: Mapped[int | None]
    keep_original_days: Mapped[int | None]
    keep_result_days: Mapped[int | None]
    glossary: Mapped[list[str] | None]
    """Names and terms of all the user's recordings."""


class UsageRow(Base):
    """What one job, or a task of it, cost its owner; it outlives the job, because deleting gives no quota back."""

    __tablename__ = "usage"
    __table_args__ = (Index(None, "owner", "at"), Index(None, "at"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=lambda: uuid4().hex)
    owner: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    seconds: Mapped[float] = mapped_column(default=0.0)
    mails: Mapped[int] = mapped_column(default=0)
    """To others than the owner."""
    speech_seconds: Mapped[float] = mapped_column(default=0.0)
    """Of audio for a speech service."""


class ReservationRow(Base):
    """Room that an upload takes while its bytes are on their way; `until` it is over even if its gateway died."""

    __tablename__ = "reservations"
    __table_args__ = (Index(None, "owner"), Index(None, "until"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[datetime]


class DeletionRow(Base):
    """That a job was deleted, for those who mirror what is there."""

    __tablename__ = "deletions"
    __table_args__ = (Index(None, "owner", "at"), Index(None, "at"), MYSQL_TABLE)

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class RemovalRow(Base):
    """A blob that nothing names any more, until the store has removed it."""

    __tablename__ = "removals"
    __table_args__ = (MYSQL_TABLE,)

    blob: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)


_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql")


class PassageRow(Base):
    """A piece of a job's newest transcript, as search finds it. On SQLite the table `passages_fts` is its index."""

    __tablename__ = "passages"
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        Index(None, "tokens", mysql_prefix="FULLTEXT").ddl_if(dialect="mysql"),
        MYSQL_TABLE,
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    """Counts from 0 in the order of the transcript."""
    start: Mapped[float]
    """Seconds of the recording, as `end`."""
    end: Mapped[float]
    text: Mapped[str] = mapped_column(_LONG_TEXT)
    tokens: Mapped[str] = mapped_column(_LONG_TEXT)
    """What search compares, see `pipeline.analysis`."""


FTS5 = (
    "CREATE VIRTUAL TABLE passages_fts USING fts5(tokens, content='passages', content_rowid='id', tokenize='ascii')",
    "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
    "INSERT INTO passages_fts (rowid, tokens) VALUES (new.id, new.tokens); END",
    "CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN "
    "INSERT INTO passages_fts (passages_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens); END",
)
"""https://www.sqlite.org/fts5.html#external_content_tables; what a deleted job takes along fires the triggers too."""
for _statement in FTS5:
    _made = DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
    event.listen(PassageRow.__table__, "after_create", _made)
