"""Where things are measured: the embedded suite, and services on real servers."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bench.watch import children
from dev.services.mariadb import create_database
from dev.services.mongo import database_url
from dev.services.private import PrivateServers
from dev.services.rabbitmq import create_virtual_host
from dev.waiting import eventually
from pipeline import wiring
from pipeline.blobs import BlobStore
from pipeline.settings import Settings
from tests.client import Client
from tests.embedded import Embedded
from tests.installation import Installation

WORKERS = ("sync", "converter", "transcriber", "notification")
SECONDS = 600


@dataclass(frozen=True)
class Site:
    """A gateway with its store. `gateway` is the id of its process, `working` whether jobs are worked on."""

    url: str
    client: Client
    store: BlobStore
    gateway: int
    working: bool

    def headers(self) -> dict[str, str]:
        """With a new token, which is good for 15 minutes."""
        return {"Authorization": self.client.sign_in().http.headers["Authorization"]}

    def connection(self) -> HTTPConnection:
        return HTTPConnection(urlsplit(self.url).netloc, timeout=SECONDS)

    def clear(self) -> None:
        """Deletes all jobs, and waits until the store is empty."""
        self.client.sign_in()
        for job in self.client.jobs():
            if self.working:
                self.client.ended(job["id"], SECONDS)
            self.client.http.delete(f"/v1/jobs/{job['id']}").raise_for_status()
        eventually(lambda: not any(True for _ in self.store.list()), SECONDS, interval=0.5)


@contextmanager
def embedded(folder: Path) -> Iterator[Site]:
    folder.mkdir()
    suite = Embedded(folder)
    with suite.process:
        suite.start()
        assert suite.process.child
        yield Site(suite.url, suite.client(), _store((suite.data / "blobs").as_uri()), suite.process.child.pid, True)


def installed(installation: Installation) -> Site:
    gunicorn = installation.services["gateway"].child
    assert gunicorn
    (worker,) = children(gunicorn.pid)
    return Site(installation.url, installation.client(), _store(installation.blobs), worker, True)


def idle(installation: Installation) -> Site:
    """Stops the workers, so that nothing but the gateway is at work."""
    for name in WORKERS:
        installation.services[name].stop()
    site = installed(installation)
    return Site(site.url, site.client, site.store, site.gateway, False)


def _store(url: str) -> BlobStore:
    return wiring.blobs(Settings(blob_url=url))


class Servers:
    """MariaDB, RabbitMQ and the Mongo server of the tests, thrown away at the end of the block."""

    def __enter__(self) -> Self:
        self._private = PrivateServers().__enter__()
        self._mongo, self._mysql, self._rabbitmq = map(self._private.launch, ("mongo", "mariadb", "rabbitmq"))
        for server in (self._mongo, self._mysql, self._rabbitmq):
            server.wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._private.__exit__(kind, error, trace)

    def on_gridfs(self, folder: Path, **given: str) -> Installation:
        """`given`: settings of all services."""
        return self._installation(folder, database_url(self._mongo.url, "blobs"), **given)

    def on_directory(self, folder: Path, **given: str) -> Installation:
        """As `on_gridfs`."""
        return self._installation(folder, (folder / "blobs").as_uri(), **given)

    def _installation(self, folder: Path, blobs: str, **given: str) -> Installation:
        """All services on fresh databases; `folder` is made, and names them."""
        folder.mkdir()
        catalog, users = (create_database(self._mysql.url, f"{folder.name}_{name}") for name in ("catalog", "users"))
        broker = create_virtual_host(self._rabbitmq.url, folder.name)
        return Installation(folder, catalog, users, blobs, broker, **given)


def put(
    connection: HTTPConnection, headers: dict[str, str], pieces: Iterable[bytes], length: int, query: str = ""
) -> tuple[dict[str, Any], float]:
    """The job, and the seconds from the last byte that was sent to its answer. Raises RuntimeError if it is refused."""
    connection.putrequest("PUT", f"/v1/files/file.bin{query}")
    for name, value in {**headers, "Content-Length": str(length)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    for piece in pieces:
        connection.send(piece)
    sent = time.monotonic()
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 202:
        raise RuntimeError(f"{answer.status}: {body!r}")
    return json.loads(body), time.monotonic() - sent
