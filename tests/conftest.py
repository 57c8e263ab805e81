"""The suite under test, twice: embedded in one process, and as services on real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline.database import connect
from tests.client import Client
from tests.embedded import Embedded
from tests.installation import Installation
from tests.recordings import make_clip, make_unusable, unlike


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    suite = Embedded(tmp_path)
    with suite.start().process:
        yield suite


@pytest.fixture(scope="session")
def install(
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[], str],
    new_mongo: Callable[[], str],
    new_virtual_host: Callable[[], str],
) -> Callable[..., Installation]:
    """Each call prepares an installation of its own, with the settings it is given."""

    def prepare(**given: str) -> Installation:
        folder = tmp_path_factory.mktemp("installation")
        return Installation(folder, new_database(), new_database(), new_mongo(), new_virtual_host(), **given)

    return prepare


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Iterator[Installation]:
    """For modules that break it."""
    with install() as running:
        yield running


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Iterator[Engine]:
    engine = connect(installation.catalog)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def installed_suite(install: Callable[..., Installation]) -> Iterator[Installation]:
    """For all tests that leave it as it is."""
    with install() as running:
        yield running


@pytest.fixture(scope="session")
def embedded_suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """For all tests that leave it as it is."""
    suite = Embedded(tmp_path_factory.mktemp("embedded"))
    with suite.start().process:
        yield suite


@pytest.fixture(
    params=["embedded_suite", pytest.param("installed_suite", marks=pytest.mark.servers)], ids=["embedded", "installed"]
)
def suite(request: pytest.FixtureRequest) -> Embedded | Installation:
    """One after the other."""
    found: Embedded | Installation = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(suite: Embedded | Installation) -> Iterator[Client]:
    found = suite.client()
    yield found
    found.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short recording, the same for all tests."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    make_clip(path)
    return path


@pytest.fixture
def recording(clip: Path, tmp_path: Path) -> Path:
    """A short recording that no other test has sent."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(unlike(clip.read_bytes()))
    return path


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings that cannot be used."""
    folder = tmp_path_factory.mktemp("recordings")
    make_unusable(folder)
    return folder
