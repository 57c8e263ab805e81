"""Connected accounts, exports, webhooks, and which mails people want."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from pipeline.database import MYSQL_TABLE, UtcDateTime

revision = "0006"
down_revision = "0005"

_LONG = {"path": 700, "path_lower": 700}
"""Characters of a path that are in an index: as many as MySQL has room for."""


def upgrade() -> None:
    """Every step looks first whether it was made: MySQL commits each by itself, and a migration may be ended at any."""
    _column("jobs", sa.Column("kind", sa.String(12), nullable=False, server_default="recording"))
    _column("jobs", sa.Column("connection_id", sa.String(32)))
    _index("ix_jobs_connection_id", "jobs", ["connection_id"])
    _column("jobs", sa.Column("ended_at", UtcDateTime))
    _column("jobs", sa.Column("files_at", UtcDateTime))
    _index("ix_jobs_owner_files_at", "jobs", ["owner", "files_at"])
    mirrored = "UPDATE jobs SET ended_at = finished_at, files_at = changed_at"
    op.execute(f"{mirrored} WHERE finished_at IS NOT NULL AND files_at IS NULL")
    _column("accounts", sa.Column("mails", sa.String(10)))
    _column("mails", sa.Column("digest_id", sa.String(32)))
    _column("mails", sa.Column("offered_by", sa.String(32)))
    _column("mails", sa.Column("deferrals", sa.Integer, nullable=False, server_default="0"))
    _index("ix_mails_digest_id", "mails", ["digest_id"])
    _index("ix_mails_address_state", "mails", ["address", "state"])
    _authorizations()
    _connections()
    _folders()
    _remote_files()
    _returned_files()
    _unsubscribed()
    _webhooks()
    _deliveries()


def _authorizations() -> None:
    _table(
        "authorizations",
        sa.Column("state", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("browser", sa.String(64), nullable=False),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("asked", sa.JSON, nullable=False),
        sa.Column("connection_id", sa.String(32)),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )
    _index("ix_authorizations_expires_at", "authorizations", ["expires_at"])


def _connections() -> None:
    _table(
        "connections",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("secret", sa.Text),
        sa.Column("account_id", sa.String(100)),
        sa.Column("account_name", sa.String(300)),
        sa.Column("account_email", sa.String(320)),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("results", sa.String(10), nullable=False),
        sa.Column("results_folder", sa.String(500)),
        sa.Column("conflict", sa.String(10), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("checked_at", UtcDateTime),
        _goes_with("connections", "id", "jobs"),
    )
    _index("ix_connections_owner", "connections", ["owner"])
    _index("ix_connections_account_id", "connections", ["account_id"])


def _folders() -> None:
    _table(
        "folders",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.UniqueConstraint("connection_id", "number", name="uq_folders_connection_id_number"),
        _goes_with("folders", "connection_id", "connections"),
    )


def _remote_files() -> None:
    _table(
        "remote_files",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("folder_id", sa.String(32)),
        sa.Column("remote_id", sa.String(100), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("path_lower", sa.Text, nullable=False),
        sa.Column("rev", sa.String(50), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("modified_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("due_at", UtcDateTime),
        sa.Column("reason", sa.Text),
        sa.Column("job_id", sa.String(32)),
        sa.Column("round", sa.Integer, nullable=False),
        sa.UniqueConstraint("connection_id", "remote_id", name="uq_remote_files_connection_id_remote_id"),
        _goes_with("remote_files", "connection_id", "connections"),
        _outlives("remote_files", "folder_id", "folders"),
        _outlives("remote_files", "job_id", "jobs"),
    )
    _index("ix_remote_files_connection_id_content_hash", "remote_files", ["connection_id", "content_hash"])
    _index("ix_remote_files_connection_id_path_lower", "remote_files", ["connection_id", "path_lower"], _LONG)
    _index("ix_remote_files_connection_id_state", "remote_files", ["connection_id", "state"])
    _index("ix_remote_files_connection_id_due_at", "remote_files", ["connection_id", "due_at"])
    _index("ix_remote_files_job_id", "remote_files", ["job_id"])


def _returned_files() -> None:
    unique = "job_id", "name", "content_hash"
    _table(
        "returned_files",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("connection_id", sa.String(32)),
        sa.Column("job_id", sa.String(32)),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("remote_id", sa.String(100)),
        sa.Column("rev", sa.String(50)),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.UniqueConstraint(*unique, name="uq_returned_files_job_id_name_content_hash"),
        _outlives("returned_files", "connection_id", "connections"),
        _outlives("returned_files", "job_id", "jobs"),
    )
    _index("ix_returned_files_content_hash", "returned_files", ["content_hash"])
    _index("ix_returned_files_connection_id_remote_id", "returned_files", ["connection_id", "remote_id"])
    _index("ix_returned_files_connection_id_path", "returned_files", ["connection_id", "path"], _LONG)


def _unsubscribed() -> None:
    _table(
        "unsubscribed",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("address", sa.String(320), primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
    )


def _webhooks() -> None:
    _table(
        "webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("secrets", sa.Text, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("by_job", sa.Boolean, nullable=False),
        sa.Column("named_at", UtcDateTime),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    _index("ix_webhooks_owner", "webhooks", ["owner"])


def _deliveries() -> None:
    _table(
        "deliveries",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("webhook_id", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(30), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("sent_at", UtcDateTime),
        _goes_with("deliveries", "webhook_id", "webhooks"),
        _goes_with("deliveries", "job_id", "jobs"),
    )
    _index("ix_deliveries_webhook_id_created_at", "deliveries", ["webhook_id", "created_at"])
    _index("ix_deliveries_job_id", "deliveries", ["job_id"])


def _table(name: str, *columns: Any) -> None:
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **MYSQL_TABLE)


def _goes_with(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return _bound(table, column, other, "CASCADE")


def _outlives(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return _bound(table, column, other, "SET NULL")


def _bound(table: str, column: str, other: str, ondelete: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=ondelete)


def _column(table: str, column: sa.Column[Any]) -> None:
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def _index(name: str, table: str, columns: list[str], lengths: Mapping[str, int] | None = None) -> None:
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns, mysql_length=lengths)
