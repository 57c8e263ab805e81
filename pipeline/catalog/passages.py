"""What transcripts are found by."""

from sqlalchemy import DDL, BigInteger, ForeignKey, Index, Integer, Text, UniqueConstraint, event
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import Mapped, mapped_column

from pipeline.catalog.base import Base
from pipeline.database import MYSQL_TABLE

_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql")


class PassageRow(Base):
    """A piece of a job's newest transcript, as search finds it. On SQLite the table `passages_fts` is its index."""

    __tablename__ = "passages"
    __table_args__ = (
        UniqueConstraint("job_id", "number"),
        Index(None, "tokens", mysql_prefix="FULLTEXT").ddl_if(dialect="mysql"),
        MYSQL_TABLE,
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    """Counts from 0 in the order of the transcript."""
    start: Mapped[float]
    """Seconds of the recording, as `end`."""
    end: Mapped[float]
    text: Mapped[str] = mapped_column(_LONG_TEXT)
    tokens: Mapped[str] = mapped_column(_LONG_TEXT)
    """What search compares, see `pipeline.analysis`."""


FTS5 = (
    "CREATE VIRTUAL TABLE passages_fts USING fts5(tokens, content='passages', content_rowid='id', tokenize='ascii')",
    "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
    "INSERT INTO passages_fts (rowid, tokens) VALUES (new.id, new.tokens); END",
    "CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN "
    "INSERT INTO passages_fts (passages_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens); END",
)
"""https://www.sqlite.org/fts5.html#external_content_tables; what a deleted job takes along fires the triggers too."""
for _statement in FTS5:
    _made = DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
    event.listen(PassageRow.__table__, "after_create", _made)
