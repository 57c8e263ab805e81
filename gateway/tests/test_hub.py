"""What holds clients, without a server around it."""

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from threading import enumerate as all_threads

import pytest

from gateway.connections import Held, send, take
from gateway.listeners import KEEP_ALIVE, RETRY, STREAM, Event, Hub
from gateway.tests.listening import Lines, Whole, app
from gateway.tests.servers import ROOT
from pipeline.problems import Problem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lines"
    file.touch()
    return file


def test_a_client_that_stalls_behind_a_unix_socket_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs, pytest.raises(TimeoutError):
        asyncio.run(send(ours, bytes(10_000_000), 0.05))


ENDING = """
import socket, time
from werkzeug.test import create_environ
from gateway.listeners import Hub
ours, theirs = socket.socketpair()
listen = Hub(interval=0.01).stream("ada", lambda cursor: ([], None, False), None, time.monotonic() + 60)
listen(create_environ() | {"gunicorn.socket": ours}, lambda *_: None)
"""


def test_a_process_ends_quietly_while_clients_listen() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.stderr == ""
    assert "a listener has gone" in ended.stdout
    assert "failed" not in ended.stdout


def test_without_a_connection_to_take_the_thread_answers(path: Path) -> None:
    path.write_text("one\nend\n")
    client = app.test_client()
    answer = client.get("/events", query_string={"path": str(path)}, headers={"Last-Event-ID": "1"})
    assert answer.data == RETRY + b"id: 2\nevent: line\ndata: end\n\n"
    assert answer.content_type == STREAM["Content-Type"]
    assert answer.headers["traceparent"] == "00-1-2-01"
    assert client.get("/wait", query_string={"path": str(path)}).data == b"one\nend"


def test_a_mistake_of_ours_in_a_long_poll_is_a_problem_too(path: Path) -> None:
    path.write_text("broken\n")
    answer = app.test_client().get("/wait", query_string={"path": str(path)})
    assert answer.status_code == 500
    assert b"secret" not in answer.data


def test_in_its_own_thread_too_a_listener_hears_signs_of_life_until_its_time_is_up(path: Path) -> None:
    hub = Hub(interval=0.01, keep_alive=0.02)
    body = hub.iterate("ada", Lines(path), None, time.monotonic() + 60)
    assert [next(body), next(body)] == [RETRY, KEEP_ALIVE]
    body.close()
    assert b"".join(hub.iterate("ada", Lines(path), None, time.monotonic() + 0.2)).startswith(RETRY)


def test_only_plain_connections_are_taken() -> None:
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        ssl.create_default_context().wrap_socket(
            theirs, server_hostname="x", do_handshake_on_connect=False
        ) as encrypted,
    ):
        assert take({"SERVER_PROTOCOL": "HTTP/1.1"}) is None
        assert take({"SERVER_PROTOCOL": "HTTP/1.1", "gunicorn.socket": encrypted}) is None
        assert take({"SERVER_PROTOCOL": "HTTP/2.0", "gunicorn.socket": ours}) is None


def test_data_of_several_lines_stays_one_event() -> None:
    assert bytes(Event("1", "note", "a\r\nb\rc\n")) == b"id: 1\nevent: note\ndata: a\ndata: b\ndata: c\ndata: \n\n"


def test_a_hub_starts_nothing_by_itself() -> None:
    threads = set(all_threads())
    Hub().close()
    assert set(all_threads()) <= threads  # those of other tests may end meanwhile


def test_a_hub_that_may_hold_nobody_is_full(path: Path) -> None:
    with pytest.raises(Problem, match="unavailable"):
        Hub(limit=0).stream("ada", Lines(path), None, 0)


def test_who_keeps_a_thread_counts_too(path: Path) -> None:
    hub, until = Hub(share=1), time.monotonic() + 60
    body = hub.iterate("ada", Lines(path), None, until)
    assert next(body) == RETRY
    for ask in (hub.stream("bob", Lines(path), None, until), hub.wait("bob", Whole(Lines(path)), until)):
        assert isinstance(ask, Held)
    with pytest.raises(Problem, match="too_many_requests"):
        hub.stream("ada", Lines(path), None, until)
    with pytest.raises(Problem, match="too_many_requests"):
        hub.wait("ada", Whole(Lines(path)), until)
    body.close()
    assert isinstance(hub.stream("ada", Lines(path), None, until), Held)
