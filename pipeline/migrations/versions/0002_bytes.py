"""Resumable uploads, links, quotas, retention, and jobs that share what they are made of."""

import json

import sqlalchemy as sa
from alembic import op

from pipeline.database import MYSQL_TABLE, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _jobs()
    _mails()
    _links()
    _uploads()
    _accounts()
    _removals()


def _jobs() -> None:
    columns = (
        sa.Column("recipe", sa.String(64)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("reused", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("seconds", sa.Double),
        sa.Column("changed_at", UtcDateTime),
    )
    for column in columns:
        op.add_column("jobs", column)
    op.execute("UPDATE jobs SET changed_at = COALESCE(finished_at, created_at)")
    _keep_addresses()
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("changed_at", existing_type=UtcDateTime(), nullable=False)
        jobs.alter_column("reused", existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
        jobs.drop_column("notify")
    op.create_index("ix_jobs_owner_changed_at", "jobs", ["owner", "changed_at"])
    op.create_index("ix_jobs_owner_sha256", "jobs", ["owner", "sha256"])
    op.create_index("ix_jobs_state_finished_at", "jobs", ["state", "finished_at"])


def _keep_addresses() -> None:
    """Who hears of a job is one of its options now; a mail that is due already names its address itself."""
    jobs = sa.table("jobs", sa.column("id"), sa.column("notify"), sa.column("options", sa.JSON))
    tasks = sa.table("tasks", sa.column("job_id"), sa.column("kind"), sa.column("args", sa.JSON))
    catalog = op.get_bind()
    for row in catalog.execute(sa.select(jobs).where(jobs.c.notify.is_not(None))).all():
        options = json.loads(row.options) if isinstance(row.options, str) else row.options
        with_address = {**(options or {}), "notify": [row.notify]}
        catalog.execute(sa.update(jobs).where(jobs.c.id == row.id).values(options=with_address))
        mails = sa.update(tasks).where(tasks.c.job_id == row.id, tasks.c.kind == "deliver")
        catalog.execute(mails.values(args={"address": row.notify}))


def _mails() -> None:
    """One a task. Of mails from before, the job's one `deliver` task is theirs."""
    op.add_column("mails", sa.Column("task_id", sa.String(32)))
    op.execute(
        "UPDATE mails SET task_id = COALESCE("
        "(SELECT tasks.id FROM tasks WHERE tasks.job_id = mails.job_id AND tasks.kind = 'deliver'), mails.id)"
    )
    # MySQL needs an index for the foreign key before it lets go of the one that served it.
    op.create_index("ix_mails_job_id", "mails", ["job_id"])
    with op.batch_alter_table("mails") as mails:
        mails.alter_column("task_id", existing_type=sa.String(32), nullable=False)
        mails.drop_constraint("uq_mails_job_id_address", type_="unique")
        mails.create_unique_constraint("uq_mails_task_id", ["task_id"])


def _links() -> None:
    op.create_table(
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
    op.create_table(
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
        op.create_index(f"ix_uploads_{column}", "uploads", [column])


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("stored_bytes", sa.BigInteger),
        sa.Column("day_bytes", sa.BigInteger),
        sa.Column("jobs", sa.Integer),
        sa.Column("month_minutes", sa.Integer),
        sa.Column("keep_original_days", sa.Integer),
        sa.Column("keep_result_days", sa.Integer),
        **MYSQL_TABLE,
    )
    op.create_table(
        "usage",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        **MYSQL_TABLE,
    )
    op.create_index("ix_usage_owner_at", "usage", ["owner", "at"])
    op.create_index("ix_usage_at", "usage", ["at"])


def _removals() -> None:
    op.create_table(
        "deletions",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )
    op.create_index("ix_deletions_owner_at", "deletions", ["owner", "at"])
    op.create_index("ix_deletions_at", "deletions", ["at"])
    op.create_table(
        "removals",
        sa.Column("blob", sa.String(200), primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        **MYSQL_TABLE,
    )
