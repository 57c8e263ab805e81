from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipeline import migrate
from pipeline.catalog import Base
from pipeline.database import connect


def differences(url: str) -> list[object]:
    engine = connect(url)
    migrate.upgrade(engine)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    return list(found)


def test_migrations_lead_to_the_tables_on_sqlite(tmp_path: Path) -> None:
    assert differences(f"sqlite:///{tmp_path}/catalog.db") == []


@pytest.mark.servers
def test_migrations_lead_to_the_tables_on_mysql(new_database: Callable[[], str]) -> None:
    assert differences(new_database()) == []
