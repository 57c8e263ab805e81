"""A catalog and a blob store, each on everything it is made for."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline import database
from pipeline.blobs import BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.blobs.gridfs import GridFSBlobs
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


@pytest.fixture(params=["directory", pytest.param("gridfs", marks=pytest.mark.servers)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    """An empty store."""
    if request.param == "directory":
        with contextlib.closing(DirectoryBlobs(tmp_path / "blobs")) as opened:
            yield opened
    else:
        with contextlib.closing(GridFSBlobs(request.getfixturevalue("mongo_url"))) as opened:
            yield opened


@pytest.fixture
def store(tmp_path: Path) -> DirectoryBlobs:
    """An empty blob store, where which one it is makes no difference."""
    return DirectoryBlobs(tmp_path / "blobs")
