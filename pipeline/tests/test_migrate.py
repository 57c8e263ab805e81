from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline import migrate
from pipeline.database import connect, transaction

ENV = """
from sqlalchemy import MetaData

from pipeline.migrate import run

run(MetaData())
"""

REVISION = """
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade():
    op.execute({statement!r})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two revisions: one that is fine, one that cannot be."""
    folder = tmp_path / "100%"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    statements = [("1", None, "CREATE TABLE fine (id INTEGER)"), ("2", "1", "CREATE TABLE wrong wrong wrong")]
    for revision, before, statement in statements:
        content = REVISION.format(revision=revision, before=before, statement=statement)
        (folder / "versions" / f"{revision}.py").write_text(content)
    return folder


def test_on_sqlite_all_revisions_are_made_or_none(folder: Path) -> None:
    engine = connect(f"sqlite:///{folder}/some.db")
    with pytest.raises(Exception, match="syntax error"):
        migrate.upgrade(engine, folder)
    with transaction(engine) as session:
        assert session.scalars(text("SELECT name FROM sqlite_master")).all() == []
    engine.dispose()


@pytest.mark.servers
def test_on_mysql_the_revisions_before_the_failed_one_are_recorded(folder: Path, mysql_url: str) -> None:
    engine = connect(mysql_url)
    for _ in range(2):
        with pytest.raises(Exception, match="error in your SQL syntax"):
            migrate.upgrade(engine, folder)
    with transaction(engine) as session:
        assert session.scalars(text("SELECT version_num FROM alembic_version")).all() == ["1"]
    engine.dispose()
