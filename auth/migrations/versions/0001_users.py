"""Users, their refresh tokens, and the brakes on guessing passwords."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from pipeline.database import MYSQL_TABLE, UtcDateTime

revision = "0001"
down_revision = None

BUCKETS = 4096


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.CHAR(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        **MYSQL_TABLE,
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.CHAR(64), nullable=False),
        sa.Column("family", sa.CHAR(32), nullable=False),
        sa.Column("user_id", sa.CHAR(32), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("rotated_at", UtcDateTime, nullable=True),
        sa.PrimaryKeyConstraint("hash", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_refresh_tokens_user_id", ondelete="CASCADE"),
        **MYSQL_TABLE,
    )
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["family"])
    op.create_index("ix_refresh_tokens_user_id", "refresh_tokens", ["user_id"])
    _create_brakes()


def _create_brakes() -> None:
    brakes = op.create_table(
        "brakes",
        sa.Column("bucket", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="pk_brakes"),
        **MYSQL_TABLE,
    )
    idle = {"failures": 0, "until": datetime(2000, 1, 1, tzinfo=UTC)}
    op.bulk_insert(brakes, [{"bucket": bucket, **idle} for bucket in range(BUCKETS)])
