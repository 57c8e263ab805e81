"""Clients that listen, on the two servers that carry the gateway."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from dev.waiting import eventually
from gateway.listeners import KEEP_ALIVE, RETRY, STREAM
from gateway.tests.listening import INTERVAL, LIMIT, SHARE
from gateway.tests.servers import ROOT, dial, gunicorn, read_all

MANY = 200


@dataclass
class Server:
    """A process that serves `gateway.tests.listening`."""

    url: str
    pid: int
    log: Path

    def listen(self, path: Path, query: str = "", headers: str = "", route: str = "events") -> socket.socket:
        connection = dial(self.url)
        connection.sendall(request(path, query, headers, route))
        return connection

    def answers(self) -> bool:
        return httpx.get(f"{self.url}/ping", timeout=20).text == "pong"

    @property
    def errors(self) -> list[str]:
        return re.findall(r"Traceback.*|\[ERROR\].*|\[error .*", self.log.read_text())

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


def request(path: Path, query: str = "", headers: str = "", route: str = "events") -> bytes:
    return f"GET /{route}?path={path}{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


EMBEDDED = """
import sys
from dev.serving import served
from gateway.tests.listening import app
with served("listening", app) as url:
    print("Listening at:", url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def embedded(folder: Path) -> Iterator[Server]:
    """cheroot, as in the embedded suite."""
    log = folder / "cheroot.log"
    command = [sys.executable, "-c", EMBEDDED]
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output) as process,
    ):
        try:
            found = eventually(lambda: re.search(r"Listening at: (\S+)", log.read_text()))
            yield Server(found[1], process.pid, log)
            process.communicate(timeout=20)
        finally:
            process.kill()


@contextmanager
def installed(folder: Path) -> Iterator[Server]:
    """gunicorn with two threads."""
    with gunicorn(folder, {}, "--threads=2", app="gateway.tests.listening:app") as process:
        yield Server(process.url, eventually(lambda: process.worker), folder / "gunicorn.log")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    folder = tmp_path_factory.mktemp("servers")
    with installed(folder) as gunicorn, embedded(folder) as cheroot:
        yield {"gunicorn": gunicorn, "cheroot": cheroot}


@pytest.fixture(params=["gunicorn", "cheroot"])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Iterator[Server]:
    """Whatever happens to it, it is not an error, and nobody stays."""
    server = servers[request.param]
    before = server.descriptors
    yield server
    eventually(lambda: server.descriptors <= before + 5)  # of which the hub has some for itself
    assert not server.errors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lines"
    file.touch()
    return file


@dataclass
class Reader:
    """Reads a connection bit by bit."""

    connection: socket.socket
    received: bytes = field(default=b"")

    def until(self, wanted: bytes) -> bytes:
        while wanted not in self.received:
            data = self.connection.recv(65536)
            assert data, f"it ended with {self.received[-200:]!r}"
            self.received += data
        return self.received


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def looks(path: Path) -> int:
    """How often the file was looked at."""
    counted = path.with_suffix(".looks")
    return counted.stat().st_size if counted.exists() else 0


def told(answer: bytes) -> bytes:
    """The body without signs of life, which come whenever a look takes long."""
    return answer.split(b"\r\n\r\n", 1)[1].replace(KEEP_ALIVE, b"")


def test_a_listener_gets_events_as_they_happen_and_nothing_else(server: Server, path: Path) -> None:
    add(path, "one")
    with server.listen(path) as connection:
        reader = Reader(connection)
        reader.until(b"data: one\n\n")
        add(path, "two")
        reader.until(b"data: two\n\n")
        add(path, "end")
        answer = reader.received + read_all(connection)
    head = answer.split(b"\r\n\r\n", 1)[0]
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert {f"{name}: {value}" for name, value in STREAM.items()} <= set(head.decode().split("\r\n"))
    assert {b"traceparent: 00-1-2-01", b"Connection: close"} <= set(head.split(b"\r\n"))
    events = (b"id: %d\nevent: line\ndata: %s\n\n" % event for event in enumerate((b"one", b"two", b"end"), 1))
    assert told(answer) == RETRY + b"".join(events)


def test_listeners_hold_no_threads(server: Server, path: Path) -> None:
    with server.listen(path) as first, ExitStack() as stack:
        Reader(first).until(RETRY)
        assert server.answers()
        assert server.answers()
        threads, descriptors = server.threads, server.descriptors
        readers = [Reader(stack.enter_context(server.listen(path))) for _ in range(MANY)]
        for reader in readers:
            reader.until(RETRY)
        assert server.answers()
        assert server.threads <= threads + 1  # gunicorn starts its second thread when the first is busy
        assert server.descriptors > MANY
        add(path, "news")
        for reader in readers:
            reader.until(b"data: news\n\n")
        stack.close()
        eventually(lambda: server.descriptors <= descriptors + 2)


def test_they_share_their_looks(server: Server, path: Path) -> None:
    with ExitStack() as stack:
        began = time.monotonic()
        readers = [Reader(stack.enter_context(server.listen(path))) for _ in range(50)]
        for reader in readers:
            reader.until(b": keep-alive\n\n")
        made, seconds = looks(path), time.monotonic() - began
    assert 0 < made <= 3 * (seconds / INTERVAL + 2)  # newcomers have no cursor yet


def test_a_listener_goes_on_where_it_was_cut_off(server: Server, path: Path) -> None:
    add(path, "one", "two", "end")
    with server.listen(path, headers="Last-Event-ID: 1\r\n") as connection:
        answer = read_all(connection)
    assert told(answer) == RETRY + b"id: 2\nevent: line\ndata: two\n\nid: 3\nevent: line\ndata: end\n\n"


def test_a_stream_ends_when_its_time_is_up(server: Server, path: Path) -> None:
    with server.listen(path, "&seconds=0.2") as connection:
        assert told(read_all(connection)) == RETRY


def test_a_connection_that_has_been_used_can_be_taken_too(server: Server, path: Path) -> None:
    add(path, "end")
    with dial(server.url) as connection:
        reader = Reader(connection)
        for _ in range(2):
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert reader.until(b"pong").startswith(b"HTTP/1.1 200 OK")
            reader.received = b""
        connection.sendall(request(path))
        assert read_all(connection).endswith(b"data: end\n\n")


def test_what_a_listener_says_is_ignored(server: Server, path: Path) -> None:
    with server.listen(path) as connection:
        reader = Reader(connection)
        reader.until(RETRY)
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        add(path, "end")
        assert b"pong" not in reader.until(b"data: end\n\n") + read_all(connection)


def test_a_client_that_takes_nothing_is_dropped(server: Server, path: Path) -> None:
    path.write_text(("x" * 1_000_000 + "\n") * 30)
    with server.listen(path) as connection:
        Reader(connection).until(RETRY)
        eventually(lambda: not held(connection))


def test_a_client_that_has_vanished_is_dropped_though_its_bytes_were_taken(server: Server, path: Path) -> None:
    """They wait in the system's buffer, so that nobody sees it stall."""
    add(path, "x" * 12_000)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.connect(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
        connection.sendall(request(path))
        eventually(lambda: looks(path) > 1)
        eventually(lambda: not held(connection))


def test_a_client_that_leaves_a_long_poll_is_forgotten(server: Server, path: Path) -> None:
    with server.listen(path, route="wait") as connection:
        eventually(lambda: looks(path) > 1)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def held(connection: socket.socket) -> bool:
    """Whether the server still has the other end, by /proc/net/tcp; 01 is an open connection."""
    here, there = (f":{address[1]:04X}" for address in (connection.getsockname(), connection.getpeername()))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(there) and row[2].endswith(here) and row[3] == "01" for row in rows)


def test_listeners_stay_while_their_source_is_away(server: Server, path: Path) -> None:
    add(path, "one")
    with server.listen(path) as connection:
        reader = Reader(connection)
        reader.until(b"data: one\n\n")
        away = path.rename(path.with_suffix(".away"))
        reader.until(b": keep-alive\n\n")
        add(away, "two")
        away.rename(path)
        assert reader.until(b"data: two\n\n").count(b"data: one") == 1


def test_a_long_poll_is_answered_as_soon_as_there_is_something(server: Server, path: Path) -> None:
    with server.listen(path, route="wait") as connection:
        eventually(lambda: looks(path) > 1)
        add(path, "end")
        head, text = read_all(connection).split(b"\r\n\r\n", 1)
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Content-Type: text/plain", b"Content-Length: 3", b"traceparent: 00-1-2-01"} <= set(lines)
    assert text == b"end"


def test_a_long_poll_is_answered_when_its_time_is_up(server: Server, path: Path) -> None:
    add(path, "one")
    answer = httpx.get(f"{server.url}/wait", params={"path": str(path), "seconds": "0.2"})
    assert (answer.status_code, answer.text) == (200, "one")


@pytest.mark.parametrize(("line", "status"), [("gone", 404), (None, 503)])
def test_a_long_poll_that_fails_is_a_problem(server: Server, path: Path, line: str | None, status: int) -> None:
    if line:
        add(path, line)
    else:
        path.unlink()
    answer = httpx.get(f"{server.url}/wait", params={"path": str(path), "seconds": "0.2"})
    assert answer.status_code == answer.json()["status"] == status


def test_200_long_polls_hold_no_thread(server: Server, path: Path) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(server.listen(path, route="wait")) for _ in range(MANY)]
        assert server.answers()
        add(path, "end")
        assert all(read_all(connection).endswith(b"\r\n\r\nend") for connection in waiting)


def fill(server: Server, path: Path, stack: ExitStack, owner: str, streams: int) -> None:
    for _ in range(streams):
        Reader(stack.enter_context(server.listen(path, f"&owner={owner}"))).until(RETRY)


def shortly(server: Server, path: Path, owner: str, route: str = "events") -> httpx.Response:
    """What another client of this owner gets."""
    return httpx.get(f"{server.url}/{route}", params={"path": str(path), "owner": owner, "seconds": "0.1"})


def is_refused(server: Server, path: Path, owner: str) -> bool:
    """Asked without taking a place, which a client that is still on its way may need."""
    return httpx.head(f"{server.url}/events", params={"path": str(path), "owner": owner}).status_code == 429


def test_who_comes_when_the_hub_is_full_is_told_so(server: Server, path: Path) -> None:
    with ExitStack() as stack:
        for owner in ("ada", "bob"):
            fill(server, path, stack, owner, LIMIT // 2)
        answer = shortly(server, path, "eve")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0


def test_who_listens_and_waits_too_often_silences_nobody_else(server: Server, path: Path) -> None:
    with ExitStack() as stack:
        fill(server, path, stack, "ada", SHARE // 2)
        for _ in range(SHARE - SHARE // 2):
            stack.enter_context(server.listen(path, "&owner=ada", route="wait"))
        eventually(lambda: is_refused(server, path, "ada"))
        for route in ("events", "wait"):
            answer = shortly(server, path, "ada", route)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
            assert str(SHARE) in answer.json()["detail"]
            assert int(answer.headers["Retry-After"]) > 0
            assert shortly(server, path, "bob", route).status_code == 200
    eventually(lambda: shortly(server, path, "ada").status_code == 200)


def test_head_starts_nothing(server: Server, path: Path) -> None:
    for route in ("events", "wait"):
        assert httpx.head(f"{server.url}/{route}", params={"path": str(path)}).status_code == 200


def test_gunicorn_ends_at_once_while_clients_listen(path: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with installed(tmp_path) as server:
            readers = [Reader(stack.enter_context(server.listen(path))) for _ in range(10)]
            for reader in readers:
                reader.until(RETRY)
        for reader in readers:
            read_all(reader.connection)
    assert not server.errors
