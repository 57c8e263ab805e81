"""Transcripts in parts, and what is sent to a speech service on whose behalf."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Every step looks first whether it was made: MySQL commits each by itself, and a migration may be ended at any."""
    _column("tasks", sa.Column("calls", sa.Integer, nullable=False, server_default="0"))
    _column("tasks", sa.Column("calls_before", sa.Integer, nullable=False, server_default="0"))
    _column("usage", sa.Column("speech_seconds", sa.Double, nullable=False, server_default="0"))
    _column("accounts", sa.Column("day_speech_minutes", sa.Integer))
    _index("ix_tasks_kind_state_due_at", "tasks", ["kind", "state", "due_at"])
    _index("ix_tasks_kind_started_at", "tasks", ["kind", "started_at"])
    # Until now a task `transcribe` was all of a recording; it begins with cutting now. Failed ones may be run again.
    op.execute("UPDATE tasks SET kind = 'cut', published_at = NULL WHERE kind = 'transcribe' AND state <> 'done'")


def _column(table: str, column: sa.Column[Any]) -> None:
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
