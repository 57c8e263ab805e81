"""What is known of files, and how fast work goes."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_UNKNOWN = {"stream": 0, "codec": "unknown", "channels": 2, "sample_rate": 44100}
"""Of the sound of tracks from before: it was the only stream of its file. The rest is what most recordings have."""


def upgrade() -> None:
    """Every step looks first whether it was made: MySQL commits each by itself, and a migration may be ended at any."""
    _column("artifacts", sa.Column("facts", sa.JSON))
    _column("tasks", sa.Column("speed", sa.Double))
    _describe_tracks()
    # What was made then lacks a waveform: it is not what the same options lead to now.
    op.execute("UPDATE jobs SET recipe = NULL WHERE state = 'done'")


def _describe_tracks() -> None:
    """Of jobs that are not done with them: in work over the upgrade, or to be run again."""
    artifacts = sa.table("artifacts", sa.column("id"), sa.column("facts", sa.JSON))
    catalog = op.get_bind()
    for track, seconds in list(_tracks_in_use(catalog)):
        facts = {**_UNKNOWN, "seconds": seconds}
        catalog.execute(sa.update(artifacts).where(artifacts.c.id == track).values(facts=facts))


def _tracks_in_use(catalog: sa.Connection) -> Iterator[tuple[str, float]]:
    """Ids and lengths, which were told to each task that follows."""
    artifacts = sa.table("artifacts", *map(sa.column, ("id", "job_id", "kind")), sa.column("facts", sa.JSON))
    tasks = sa.table("tasks", *map(sa.column, ("job_id", "kind", "state")), sa.column("args", sa.JSON))
    open_still = tasks.c.kind.in_(("encode", "transcribe")), tasks.c.state != "done"
    undescribed = artifacts.c.kind == "track", artifacts.c.facts.is_(None)
    wanted = sa.select(artifacts.c.id, tasks.c.args).join_from(artifacts, tasks, tasks.c.job_id == artifacts.c.job_id)
    for track, args in catalog.execute(wanted.where(*undescribed, *open_still)):
        if "duration" in args:
            yield track, args["duration"]


def _column(table: str, column: sa.Column[Any]) -> None:
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)
