"""A catalog, on every database it is made for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import database
from pipeline.catalog import Base


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "mysql":
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        url = new_database()
    engine = database.connect(url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()
