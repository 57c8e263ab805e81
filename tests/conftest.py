"""The suite under test, twice: embedded in one process, and as services on real servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded import Embedded
from tests.installation import Installation
from tests.recordings import make_unusable


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    suite = Embedded(tmp_path)
    with suite.start().process:
        yield suite


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[], str],
    new_mongo: Callable[[], str],
    new_virtual_host: Callable[[], str],
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    with Installation(folder, new_database(), new_database(), new_mongo(), new_virtual_host()) as running:
        yield running


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings that cannot be used."""
    folder = tmp_path_factory.mktemp("recordings")
    make_unusable(folder)
    return folder
