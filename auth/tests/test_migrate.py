import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, func, select, text

from auth import brake, migrate
from auth.tables import Base, BrakeRow
from pipeline.database import connect, transaction
from pipeline.errors import Unavailable


def test_the_migrations_lead_to_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_there_is_a_brake_for_every_bucket(engine: Engine) -> None:
    with transaction(engine) as session:
        found = session.execute(select(func.count(), func.min(BrakeRow.bucket), func.max(BrakeRow.bucket))).one()
    assert found == (brake.BUCKETS, 0, brake.BUCKETS - 1)


@pytest.mark.servers
def test_text_on_mysql_is_utf8_and_compared_as_it_is(mysql_url: str) -> None:
    migrate.upgrade(mysql_url)
    engine = connect(mysql_url)
    tables = "SELECT table_collation FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
    with transaction(engine) as session:
        assert set(session.scalars(text(tables))) == {"utf8mb4_bin"}
    engine.dispose()


def start(url: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "SPOOL_AUTH_DATABASE_URL": url}
    return subprocess.Popen([sys.executable, "-m", "auth", "migrate"], env=environment, stderr=subprocess.PIPE)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def test_several_processes_may_migrate_at_once(request: pytest.FixtureRequest, kind: str) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    processes = [start(url) for _ in range(4)]
    ends = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    assert ends == [(b"", 0)] * 4
    migrate.upgrade(url)  # again is nothing new


def test_a_folder_with_a_percent_sign_is_fine(tmp_path: Path) -> None:
    (tmp_path / "100%").mkdir()
    migrate.upgrade(f"sqlite:///{tmp_path}/100%/auth.db")


def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        migrate.upgrade("mysql+mysqldb://nobody:nothing@127.0.0.1:9/none")
