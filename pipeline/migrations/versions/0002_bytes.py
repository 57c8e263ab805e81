"""Resumable uploads, links, quotas, retention, and jobs that share what they are made of."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from pipeline.database import MYSQL_TABLE, UtcDateTime
from pipeline.options import Options

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Every step looks first whether it was made: MySQL commits each by itself, and a migration may be ended at any."""
    _jobs()
    _mails()
    _links()
    _uploads()
    _accounts()
    _reservations()
    _removals()


def _jobs() -> None:
    _column("jobs", sa.Column("recipe", sa.String(64)))
    _column("jobs", sa.Column("sha256", sa.String(64)))
    _column("jobs", sa.Column("reused", sa.Boolean, nullable=False, server_default=sa.false()))
    _column("jobs", sa.Column("seconds", sa.Double))
    _column("jobs", sa.Column("links_from", UtcDateTime))
    _column("jobs", sa.Column("changed_at", UtcDateTime))
    op.execute("UPDATE jobs SET changed_at = COALESCE(finished_at, created_at) WHERE changed_at IS NULL")
    op.execute(
        "UPDATE jobs SET sha256 = "
        "(SELECT MIN(sha256) FROM artifacts WHERE artifacts.job_id = jobs.id AND artifacts.kind = 'original')"
    )
    op.execute(sa.text("UPDATE jobs SET recipe = :recipe").bindparams(recipe=Options().recipe))
    if _has_column("jobs", "notify"):
        _keep_addresses()
        _finish_jobs()
    _index("ix_jobs_owner_changed_at", "jobs", ["owner", "changed_at"])
    _index("ix_jobs_owner_sha256", "jobs", ["owner", "sha256"])
    _index("ix_jobs_state_finished_at", "jobs", ["state", "finished_at"])


def _finish_jobs() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("changed_at", existing_type=UtcDateTime(), nullable=False)
        jobs.alter_column("reused", existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
        jobs.drop_column("notify")  # the last step: what is left of it says that the others were made


def _keep_addresses() -> None:
    """Who hears of a job is one of its options now; a mail that is due already names its address itself."""
    jobs = sa.table("jobs", sa.column("id"), sa.column("notify"), sa.column("options", sa.JSON))
    tasks = sa.table("tasks", sa.column("job_id"), sa.column("kind"), sa.column("args", sa.JSON))
    catalog = op.get_bind()
    for row in catalog.execute(sa.select(jobs).where(jobs.c.notify.is_not(None))).all():
        options = {**(row.options or {}), "notify": [row.notify]}
        catalog.execute(sa.update(jobs).where(jobs.c.id == row.id).values(options=options))
        mails = sa.update(tasks).where(tasks.c.job_id == row.id, tasks.c.kind == "deliver")
        catalog.execute(mails.values(args={"address": row.notify}))


def _mails() -> None:
    """One a task. Of mails from before, the job's one `deliver` task is theirs."""
    _column("mails", sa.Column("task_id", sa.String(32)))
    op.execute(
        "UPDATE mails SET task_id = COALESCE("
        "(SELECT tasks.id FROM tasks WHERE tasks.job_id = mails.job_id AND tasks.kind = 'deliver'), mails.id) "
        "WHERE task_id IS NULL"
    )
    # MySQL needs an index for the foreign key before it lets go of the one that served it.
    _index("ix_mails_job_id", "mails", ["job_id"])
    unique = {found["name"] for found in sa.inspect(op.get_bind()).get_unique_constraints("mails")}
    with op.batch_alter_table("mails") as mails:
        mails.alter_column("task_id", existing_type=sa.String(32), nullable=False)
        if "uq_mails_job_id_address" in unique:
            mails.drop_constraint("uq_mails_job_id_address", type_="unique")
        if "uq_mails_task_id" not in unique:
            mails.create_unique_constraint("uq_mails_task_id", ["task_id"])


def _links() -> None:
    _table(
        "links",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("artifact_id", sa.String(32)),
        sa.Column("downloads", sa.Integer),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_links_job_id_jobs", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name="fk_links_artifact_id_artifacts", ondelete="CASCADE"
        ),
        **MYSQL_TABLE,
    )


def _uploads() -> None:
    _table(
        "uploads",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("blob", sa.String(200), nullable=False),
        sa.Column("length", sa.BigInteger),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("concat", sa.Text),
        sa.Column("lock", sa.String(32)),
        sa.Column("locked_until", UtcDateTime),
        sa.Column("job_id", sa.String(32)),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )
    for column in ("expires_at", "owner", "blob"):
        _index(f"ix_uploads_{column}", "uploads", [column])


def _accounts() -> None:
    _table(
        "accounts",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("stored_bytes", sa.BigInteger),
        sa.Column("day_bytes", sa.BigInteger),
        sa.Column("jobs", sa.Integer),
        sa.Column("month_minutes", sa.Integer),
        sa.Column("day_mails", sa.Integer),
        sa.Column("keep_original_days", sa.Integer),
        sa.Column("keep_result_days", sa.Integer),
        **MYSQL_TABLE,
    )
    _table(
        "usage",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("mails", sa.Integer, nullable=False),
        **MYSQL_TABLE,
    )
    _index("ix_usage_owner_at", "usage", ["owner", "at"])
    _index("ix_usage_at", "usage", ["at"])


def _reservations() -> None:
    _table(
        "reservations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )
    _index("ix_reservations_owner", "reservations", ["owner"])
    _index("ix_reservations_until", "reservations", ["until"])


def _removals() -> None:
    _table(
        "deletions",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )
    _index("ix_deletions_owner_at", "deletions", ["owner", "at"])
    _index("ix_deletions_at", "deletions", ["at"])
    _table(
        "removals",
        sa.Column("blob", sa.String(200), primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )


def _table(name: str, *columns: sa.schema.SchemaItem, **options: Any) -> None:
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *columns, **options)


def _has_column(table: str, name: str) -> bool:
    return name in {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def _column(table: str, column: sa.Column[Any]) -> None:
    if not _has_column(table, column.name):
        op.add_column(table, column)


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {found["name"] for found in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
