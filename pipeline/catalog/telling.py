"""Who is told of what, and whether they were."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.catalog.base import Base
from pipeline.database import MYSQL_TABLE, now


class MailRow(Base):
    """The mail of one task, recorded before it is sent."""

    __tablename__ = "mails"
    __table_args__ = (
        UniqueConstraint("task_id"),
        Index(None, "job_id"),
        Index(None, "digest_id"),
        Index(None, "address", "state"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    task_id: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(String(320))
    """In small letters."""
    message_id: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(10), default="new")
    """new, sending, sent, refused, unwanted, or unclear: sent, but the answer was lost."""
    digest_id: Mapped[str | None] = mapped_column(String(32))
    """The row of the mail that tells of this job and of others."""
    offered_by: Mapped[str | None] = mapped_column(String(32))
    """The attempt that handed it to the mail server last, so that it knows its own record from another's."""
    deferrals: Mapped[int] = mapped_column(default=0)
    """How often the mail server did not take it to this address for now."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]


class UnsubscribedRow(Base):
    """An address that wants no more mails about this user's jobs."""

    __tablename__ = "unsubscribed"
    __table_args__ = (MYSQL_TABLE,)

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    address: Mapped[str] = mapped_column(String(320), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)


class WebhookRow(Base):
    """An address of a user's own program, which hears of what a user would hear by mail."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "owner"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    url: Mapped[str] = mapped_column(String(2000))
    secrets: Mapped[str] = mapped_column(Text)
    """That sign, as JSON sealed by `pipeline.vault`: the newest first, each with the time until which it signs too."""
    events: Mapped[list[str]]
    """Those that it hears of; all if there are none."""
    by_job: Mapped[bool] = mapped_column(default=False)
    """Jobs named it, and it hears of those that do."""
    named_at: Mapped[datetime | None]
    """When one last did."""
    state: Mapped[str] = mapped_column(String(10), default="active")
    """active or disabled."""
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it was disabled."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class DeliveryRow(Base):
    """A message to a webhook, with what came of it. Its id is the `webhook-id`, the same whenever it is sent."""

    __tablename__ = "deliveries"
    __table_args__ = (Index(None, "webhook_id", "created_at"), Index(None, "job_id"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(30))
    payload: Mapped[str] = mapped_column(Text)
    """JSON as it is signed and sent."""
    state: Mapped[str] = mapped_column(String(10), default="new")
    """new, sent, or failed."""
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[int | None]
    """That the receiver answered last."""
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it could not be delivered."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]
