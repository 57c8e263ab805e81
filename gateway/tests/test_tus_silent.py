"""Clients that go silent in the middle of an upload, on the servers that the gateway runs on."""

import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from dev.serving import served
from dev.waiting import eventually
from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK
from gateway.tests.servers import dial, gunicorn, read_all
from gateway.tests.tus import BYTES, Tus, assert_talk, begun, id_of, nothing_is_kept, set_row
from gateway.tus import VERSION
from pipeline.catalog import UploadRow
from pipeline.database import now, transaction

CAME = 150_001
"""Bytes that come before the silence."""


@pytest.fixture(params=["cheroot", "gunicorn"])
def url(request: pytest.FixtureRequest, world: World, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A server on the same catalog and folder as `world`."""
    if request.param == "cheroot":
        with served("gateway", world.app) as address:
            yield address
    else:
        shared = {
            "SPOOL_DATABASE_URL": str(world.services.jobs.engine.url),
            "SPOOL_BLOB_URL": world.folder.as_uri(),
            "SPOOL_STALL_SECONDS": "30",
        }
        with gunicorn(tmp_path, environment | shared) as server:
            yield server.url


@pytest.fixture
def client(world: World, url: str) -> Iterator[httpx.Client]:
    headers = {**world.ada, "Tus-Resumable": VERSION}
    with httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def path(world: World) -> str:
    return Tus(world).create()


@contextmanager
def silent(world: World, url: str, path: str) -> Iterator[socket.socket]:
    """A connection on which CAME bytes of TALK have come, and no more do."""
    with dial(url) as connection:
        connection.sendall(begun(world, "PATCH", path, len(TALK), "Upload-Offset: 0") + TALK[:CAME])
        eventually(lambda: is_locked(world, path))
        eventually(lambda: _on_the_way(connection) == 0)
        yield connection


def is_locked(world: World, path: str) -> bool:
    with transaction(world.services.jobs.engine) as session:
        return session.scalar(select(UploadRow.lock).where(UploadRow.id == id_of(path))) is not None


def _on_the_way(connection: socket.socket) -> int:
    """Bytes that the other side's system has not taken yet (tcp(7), SIOCOUTQ)."""
    (size,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return int(size)


def lapse(world: World, path: str) -> None:
    set_row(world, path, locked_until=now() - timedelta(seconds=1))


def patch(client: httpx.Client, path: str, offset: int) -> httpx.Response:
    return client.patch(path, content=TALK[offset:], headers={"Upload-Offset": str(offset), "Content-Type": BYTES})


def by_patch(client: httpx.Client, path: str) -> int:
    answer = patch(client, path, 0)
    assert (answer.status_code, answer.json()["code"]) == (409, "upload_offset")
    return int(answer.json()["offset"])


def by_head(client: httpx.Client, path: str) -> int:
    return int(client.head(path).headers["Upload-Offset"])


@pytest.mark.parametrize("ask", [by_patch, by_head])
def test_another_goes_on_behind_all_that_came_from_a_silent_client(
    world: World, url: str, client: httpx.Client, path: str, ask: Callable[[httpx.Client, str], int]
) -> None:
    with silent(world, url, path) as connection:
        lapse(world, path)
        assert ask(client, path) == CAME
        assert read_all(connection).startswith(b"HTTP/1.1 423 ")
    assert_talk(world, patch(client, path, CAME).headers["Spool-Job"])


def test_an_upload_of_a_silent_client_can_be_given_up(world: World, url: str, client: httpx.Client, path: str) -> None:
    with silent(world, url, path):
        lapse(world, path)
        assert client.delete(path).status_code == 204
    eventually(lambda: nothing_is_kept(world))


def test_who_is_silent_for_a_moment_goes_on(world: World, url: str, client: httpx.Client, path: str) -> None:
    with silent(world, url, path) as connection:
        assert patch(client, path, 0).status_code == 423
        assert client.delete(path).status_code == 423
        lapse(world, path)
        for method in ("HEAD", "DELETE"):
            assert client.request(method, path, headers=world.bob).status_code == 404
        connection.sendall(TALK[CAME:])
        assert connection.recv(20).startswith(b"HTTP/1.1 204 ")
    assert_talk(world, client.head(path).headers["Spool-Job"])
