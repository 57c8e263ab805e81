"""The gateway with real parts: a catalog in SQLite, blobs in a folder, and auth over a port of its own."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select
from werkzeug.test import TestResponse

import auth.app
import auth.migrate
from auth.keys import Keys, ensure
from auth.tokens import Tokens
from auth.users import Users
from gateway.app import create_app
from gateway.auth_client import AuthClient
from gateway.services import Services
from gateway.tests.servers import Gunicorn, gunicorn, serve
from pipeline import database
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, JobRow
from pipeline.dispatch import Dispatcher
from pipeline.queues.memory import MemoryQueue
from pipeline.settings import Settings
from pipeline.tasks import Tasks

ADA, BOB, PASSWORD = "ada@example.org", "bob@example.org", "correct horse: battery"
LINK_KEY = "k" * 32
LIMIT = 300_000


@dataclass(frozen=True)
class Auth:
    """A running auth service with two users."""

    url: str
    keys: Keys

    def token(self, email: str) -> str:
        answer = httpx.post(f"{self.url}/v1/tokens", auth=(email, PASSWORD))
        return str(answer.raise_for_status().json()["access_token"])


@dataclass(frozen=True)
class World:
    """The gateway under test and what stands behind it."""

    app: Flask
    services: Services
    queue: MemoryQueue
    folder: Path
    ada: dict[str, str]
    bob: dict[str, str]

    def changed(self, **settings: Any) -> "World":
        """The same world behind a gateway with other settings."""
        services = replace(self.services, settings=self.services.settings.model_copy(update=settings))
        return replace(self, services=services, app=create_app(services))

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        """What Ada gets."""
        return self.client.get(path, headers={**self.ada, **headers}, buffered=True)

    def job_ids(self) -> list[str]:
        with database.transaction(self.services.jobs.engine) as session:
            return list(session.scalars(select(JobRow.id)))

    def is_untouched(self) -> bool:
        """Nothing is stored anywhere, and nothing waits in the queue."""
        stored = [*self.services.blobs.list(), *self.folder.iterdir(), *self.job_ids()]
        return not stored and self.queue.depth("extract") == 0


@pytest.fixture(scope="session")
def auth_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auth]:
    folder = tmp_path_factory.mktemp("auth")
    url = f"sqlite:///{folder}/users.db"
    auth.migrate.upgrade(url)
    engine = database.connect(url)
    users = Users(engine)
    for email in (ADA, BOB):
        users.add(email, PASSWORD)
    ensure(folder / "keys.pem")
    keys = Keys.load(folder / "keys.pem")
    with serve(auth.app.create_app(users, Tokens(engine, keys, 86400))) as address:
        yield Auth(address, keys)
    engine.dispose()


@pytest.fixture(scope="session")
def tokens_of(auth_service: Auth) -> dict[str, dict[str, str]]:
    """Each user's Authorization header."""
    return {email: {"Authorization": f"Bearer {auth_service.token(email)}"} for email in (ADA, BOB)}


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once and copied, which is faster than making it."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.db"
    engine = database.connect(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def world(
    tmp_path: Path, empty_catalog: Path, auth_service: Auth, tokens_of: dict[str, dict[str, str]]
) -> Iterator[World]:
    engine = database.connect(f"sqlite:///{shutil.copy(empty_catalog, tmp_path)}")
    queue, folder, client = MemoryQueue(), tmp_path / "blobs", AuthClient(auth_service.url)
    dispatcher = Dispatcher(Tasks(engine), queue)
    settings = Settings(link_keys=SecretStr(LINK_KEY), upload_limit=LIMIT, free_bytes=0)
    services = Services(settings, dispatcher, DirectoryBlobs(folder), client)
    yield World(create_app(services), services, queue, folder, tokens_of[ADA], tokens_of[BOB])
    services.hub.close()
    client.close()
    engine.dispose()


@pytest.fixture
def environment(tmp_path: Path, empty_catalog: Path, auth_service: Auth) -> dict[str, str]:
    """Settings of a gateway that shares nothing with others."""
    return {
        "SPOOL_DATABASE_URL": f"sqlite:///{shutil.copy(empty_catalog, tmp_path / 'gunicorn.db')}",
        "SPOOL_BLOB_URL": f"file://{tmp_path}/stored",
        "SPOOL_QUEUE_URL": "memory://",
        "SPOOL_AUTH_URL": auth_service.url,
        "SPOOL_LINK_KEYS": LINK_KEY,
        "SPOOL_STALL_SECONDS": "10",
    }


@pytest.fixture
def run(tmp_path: Path, environment: Mapping[str, str]) -> Callable[..., AbstractContextManager[Gunicorn]]:
    return lambda *arguments: gunicorn(tmp_path, environment, *arguments)
