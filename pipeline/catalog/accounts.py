"""Users: what they may use, have used, and have on its way."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.catalog.base import Base
from pipeline.database import MYSQL_TABLE, now


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
    mails: Mapped[str | None] = mapped_column(String(10))
    """Which the user wants: all, failures, none, or digest; all if empty."""


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


class RemovalRow(Base):
    """A blob that nothing names any more, until the store has removed it."""

    __tablename__ = "removals"
    __table_args__ = (MYSQL_TABLE,)

    blob: Mapped[str] = mapped_column(String(200), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
