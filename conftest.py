"""Real servers as fixtures. Nothing starts before a test asks for one; then all that the session needs start side by side."""

import os
import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from dev.dropbox import place
from dev.services import VARIABLES

if TYPE_CHECKING:
    from dev.dropbox.stand_in import DropboxStandIn
    from dev.services.mariadb import MariaDB
    from dev.services.mongo import Mongo
    from dev.services.private import PrivateServers
    from dev.services.rabbitmq import RabbitMQ

FIXTURES = {
    "rabbitmq": {"rabbitmq_server", "new_virtual_host"},
    "mongo": {"mongo_server", "new_mongo"},
    "mariadb": {"mariadb_server", "new_database"},
}

# Dropbox's SDK reads its hosts when it is imported: every test that has a stand-in of Dropbox has it at this port.
_DROPBOX = place.reserved()
_DROPBOX_PORT = _DROPBOX.getsockname()[1]
os.environ.update(place.hosts(_DROPBOX_PORT))

# structlog's own default draws all variables of every frame, which takes seconds of work.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Its deadline for an example is a fifth of a second of wall clock, which a busy machine misses.
hypothesis.settings.register_profile("spool", deadline=None)
hypothesis.settings.load_profile("spool")


@pytest.fixture(scope="session")
def _servers(request: pytest.FixtureRequest) -> Iterator["PrivateServers"]:
    from dev.services.private import PrivateServers

    asked = {fixture for item in request.session.items for fixture in getattr(item, "fixturenames", ())}
    with PrivateServers() as servers:
        for name, fixtures in FIXTURES.items():
            if fixtures & asked and not os.environ.get(VARIABLES[name]):
                servers.launch(name)
        yield servers


def _private(name: str, request: pytest.FixtureRequest) -> Any:
    if os.environ.get(VARIABLES[name]):
        pytest.skip(f"{VARIABLES[name]} names a server that is not ours to stop")
    server = request.getfixturevalue("_servers").launch(name)
    server.wait_until_ready()
    return server


@pytest.fixture(scope="session")
def mariadb_server(request: pytest.FixtureRequest) -> "MariaDB":
    """The session's own MariaDB, which a test may stop, kill and pause, and starts again."""
    return _private("mariadb", request)


@pytest.fixture(scope="session")
def mongo_server(request: pytest.FixtureRequest) -> "Mongo":
    """The session's own Mongo server, which a test may stop, kill and pause, and starts again."""
    return _private("mongo", request)


@pytest.fixture(scope="session")
def rabbitmq_server(request: pytest.FixtureRequest) -> "RabbitMQ":
    """The session's own RabbitMQ, which a test may stop, kill and pause, and starts again."""
    return _private("rabbitmq", request)


def _factory(
    name: str, request: pytest.FixtureRequest, create: Callable[[str, str], str], delete: Callable[[str], None]
) -> Iterator[Callable[[], str]]:
    """Makes fresh, empty places on a given server, and deletes them, or on a private one, which goes as a whole."""
    given = os.environ.get(VARIABLES[name])
    private = None if given else _private(name, request)
    made: list[str] = []

    def server_url() -> str:
        if private is None:
            return given or ""
        private.start()  # the test before may have left it stopped
        return private.url

    def new() -> str:
        made.append(create(server_url(), f"test_{secrets.token_hex(6)}"))
        return made[-1]

    yield new
    if given:
        for url in made:
            delete(url)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Each call makes an empty MySQL database and returns its URL."""
    from dev.services.mariadb import create_database, drop_database

    yield from _factory("mariadb", request, create_database, drop_database)


@pytest.fixture(scope="session")
def new_mongo(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Each call returns the URL of an empty Mongo database."""
    from dev.services.mongo import database_url, drop_database

    yield from _factory("mongo", request, database_url, drop_database)


@pytest.fixture(scope="session")
def new_virtual_host(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Each call makes an empty RabbitMQ virtual host and returns its URL."""
    from dev.services.rabbitmq import create_virtual_host, delete_virtual_host

    yield from _factory("rabbitmq", request, create_virtual_host, delete_virtual_host)


@pytest.fixture
def mysql_url(new_database: Callable[[], str]) -> str:
    """The URL of an empty MySQL database."""
    return new_database()


@pytest.fixture
def mongo_url(new_mongo: Callable[[], str]) -> str:
    """The URL of an empty Mongo database."""
    return new_mongo()


@pytest.fixture
def rabbitmq_url(new_virtual_host: Callable[[], str]) -> str:
    """The URL of an empty RabbitMQ virtual host."""
    return new_virtual_host()


@pytest.fixture
def dropbox_stand_in(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator["DropboxStandIn"]:
    """A new Dropbox, with which the SDK of this process talks; others need its `environment`."""
    from dev.dropbox.server import serving
    from dev.dropbox.stand_in import DropboxStandIn

    stand_in = DropboxStandIn()
    with serving(stand_in, tmp_path_factory.mktemp("dropbox"), _DROPBOX_PORT):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stand_in.authority))
        yield stand_in


SLOW = (
    "tests/",
    "speech/tests/",
    "converter/tests/",
    "auth/tests/test_commands.py",
    "gateway/tests/test_tus_clients.py",
    "gateway/tests/test_wire.py",
    "notification/tests/test_worker.py",
    "pipeline/tests/test_probe.py",
)
"""Where tests start whole suites, load the model or convert for long: not for the minute of `make test-fast`."""


def pytest_unconfigure() -> None:
    _DROPBOX.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path.relative_to(config.rootpath)).startswith(SLOW):
            item.add_marker(pytest.mark.slow)
