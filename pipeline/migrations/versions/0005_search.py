"""What transcripts are found by, and glossaries of users."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

from pipeline.database import MYSQL_TABLE

revision = "0005"
down_revision = "0004"

_LONG_TEXT = sa.Text().with_variant(MEDIUMTEXT(), "mysql")
_FTS5 = (
    "CREATE VIRTUAL TABLE passages_fts USING fts5(tokens, content='passages', content_rowid='id', tokenize='ascii')",
    "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
    "INSERT INTO passages_fts (rowid, tokens) VALUES (new.id, new.tokens); END",
    "CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN "
    "INSERT INTO passages_fts (passages_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens); END",
)
"""SQLite makes all of a revision or none, so that nothing is looked for before."""


def upgrade() -> None:
    """Every step looks first whether it was made: MySQL commits each by itself, and a migration may be ended at any."""
    catalog = sa.inspect(op.get_bind())
    if "glossary" not in {found["name"] for found in catalog.get_columns("accounts")}:
        op.add_column("accounts", sa.Column("glossary", sa.JSON))
    if not catalog.has_table("passages"):
        _passages()
    if op.get_bind().dialect.name == "sqlite":
        for statement in _FTS5:
            op.execute(statement)
    elif "ix_passages_tokens" not in {found["name"] for found in catalog.get_indexes("passages")}:
        op.create_index("ix_passages_tokens", "passages", ["tokens"], mysql_prefix="FULLTEXT")


def _passages() -> None:
    op.create_table(
        "passages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start", sa.Double, nullable=False),
        sa.Column("end", sa.Double, nullable=False),
        sa.Column("text", _LONG_TEXT, nullable=False),
        sa.Column("tokens", _LONG_TEXT, nullable=False),
        sa.UniqueConstraint("job_id", "number", name="uq_passages_job_id_number"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_passages_job_id_jobs", ondelete="CASCADE"),
        **MYSQL_TABLE,
    )
