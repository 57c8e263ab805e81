"""Accounts elsewhere that users have connected, what was found there, and what was put there."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipeline.catalog.base import Base
from pipeline.database import MYSQL_TABLE, now


class AuthorizationRow(Base):
    """A user on the way to connect an account (RFC 6749, section 4.1): good for one callback, until `expires_at`."""

    __tablename__ = "authorizations"
    __table_args__ = (Index(None, "expires_at"), MYSQL_TABLE)

    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the `state` that comes back."""
    owner: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the cookie of the browser that began."""
    verifier: Mapped[str] = mapped_column(Text)
    """Of PKCE (RFC 7636), sealed by `pipeline.vault`."""
    asked: Mapped[dict[str, Any]]
    """What the connection is to be like."""
    connection_id: Mapped[str | None] = mapped_column(String(32))
    """The one to be connected anew."""
    expires_at: Mapped[datetime]


class ConnectionRow(Base):
    """A connected account. It has the id of a job of kind `connection`, whose tasks do all that is done for it."""

    __tablename__ = "connections"
    __table_args__ = (Index(None, "owner"), Index(None, "account_id"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12), default="connecting")
    """connecting, active, paused, broken, or leaving."""
    reason: Mapped[str | None] = mapped_column(Text)
    """The last error, for its owner; empty since what failed has worked."""
    secret: Mapped[str | None] = mapped_column(Text)
    """What opens the account, as JSON sealed by `pipeline.vault`: a code, then a token, then both; see `pipeline.connections`."""
    account_id: Mapped[str | None] = mapped_column(String(100))
    account_name: Mapped[str | None] = mapped_column(String(300))
    account_email: Mapped[str | None] = mapped_column(String(320))
    options: Mapped[dict[str, Any]]
    """Of the jobs that are made of what is found, as `JobRow.options`."""
    results: Mapped[str] = mapped_column(String(10), default="beside")
    """Where results go: `beside` the recording, into a `folder`, or `none`."""
    results_folder: Mapped[str | None] = mapped_column(String(500))
    conflict: Mapped[str] = mapped_column(String(10), default="rename")
    """What happens where another file has the name of a result: `rename` the result, `overwrite` the file, or `skip`."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    checked_at: Mapped[datetime | None]
    """When it was last known what is new there."""

    folders: Mapped[list["FolderRow"]] = relationship(order_by="FolderRow.number", passive_deletes=True)


class FolderRow(Base):
    """A folder that is watched, with all below it, from `cursor` on."""

    __tablename__ = "folders"
    __table_args__ = (UniqueConstraint("connection_id", "number"), MYSQL_TABLE)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    number: Mapped[int]
    """Counts from 0; the part of its task `listen`."""
    path: Mapped[str] = mapped_column(String(500))
    """Begins with a slash; empty for the whole account."""
    cursor: Mapped[str | None] = mapped_column(Text)
    """All before it is known; empty before the first page of a list."""
    round: Mapped[int] = mapped_column(default=0)
    """How often it was listed from the beginning."""
    listed: Mapped[bool] = mapped_column(default=False)
    """The list from the beginning has come to its end, so that what it did not name is gone."""


INDEXED = 700
"""Characters of a path that are in an index: as many as MySQL has room for."""


class RemoteFileRow(Base):
    """A file in a watched folder, as last seen, and what was made of it. It stays after the file has gone: the file may come back."""

    __tablename__ = "remote_files"
    __table_args__ = (
        UniqueConstraint("connection_id", "remote_id"),
        Index(None, "connection_id", "content_hash"),
        Index(None, "connection_id", "path_lower", mysql_length={"path_lower": INDEXED}),
        Index(None, "connection_id", "state"),
        Index(None, "connection_id", "due_at"),
        Index(None, "job_id"),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("connections.id", ondelete="CASCADE"))
    folder_id: Mapped[str | None] = mapped_column(ForeignKey("folders.id", ondelete="SET NULL"))
    """Empty since the folder is not watched any more; it may be again."""
    remote_id: Mapped[str] = mapped_column(String(100))
    path: Mapped[str] = mapped_column(Text)
    path_lower: Mapped[str] = mapped_column(Text)
    rev: Mapped[str] = mapped_column(String(50))
    size: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str] = mapped_column(String(64))
    modified_at: Mapped[datetime]
    """When the other side took this content in (`server_modified`)."""
    state: Mapped[str] = mapped_column(String(10))
    """settling: it may still grow; waiting: its owner has no room for it now; taken: it has a job; ignored; result: it is ours; gone."""
    due_at: Mapped[datetime | None]
    """When a file that is settling or waiting is looked at again; empty for all others."""
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it waits or is ignored, for its owner."""
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    round: Mapped[int] = mapped_column(default=0)
    """Of its folder, when it was last named."""


class ReturnedFileRow(Base):
    """A result as it was put beside its recording, recorded before it goes out, so that it is known when it comes back.

    It outlives its job and its connection: the file is still there, and another connection may find it.
    """

    __tablename__ = "returned_files"
    __table_args__ = (
        UniqueConstraint("job_id", "name", "content_hash"),
        Index(None, "content_hash"),
        Index(None, "connection_id", "remote_id"),
        Index(None, "connection_id", "path", mysql_length={"path": INDEXED}),
        MYSQL_TABLE,
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    connection_id: Mapped[str | None] = mapped_column(ForeignKey("connections.id", ondelete="SET NULL"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(String(255))
    """The artifact's."""
    path: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(64))
    version: Mapped[int | None]
    """Of the transcript that it was written from."""
    remote_id: Mapped[str | None] = mapped_column(String(100))
    """Empty until the other side has it for certain, as is `rev`."""
    rev: Mapped[str | None] = mapped_column(String(50))
    at: Mapped[datetime] = mapped_column(default=now)
