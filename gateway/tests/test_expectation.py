"""Who waits is told to send only if the body is wanted, and who is refused gets the answer; with curl, on both servers."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from dev.serving import THREADS, served
from gateway.expectation import Expectation
from gateway.listeners import Hub
from gateway.multipart import OVERHEAD
from gateway.tests import listening
from gateway.tests.conftest import LIMIT, World
from gateway.tests.exchanges import TALK
from gateway.tests.servers import dial, gunicorn, read_all
from gateway.tests.test_files import chunked
from gateway.tests.test_wire import Run

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WAITS, SENDS = "Expect: 100-continue", "Expect:"
HUGE = 25 * 2**30
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(params=["cheroot", "gunicorn"])
def url(request: pytest.FixtureRequest, world: World, environment: dict[str, str], run: Run) -> Iterator[str]:
    """The gateway as it is served: by the embedded suite, and by gunicorn with two threads."""
    if request.param == "cheroot":
        with served("gateway", world.app) as address:
            yield address
    else:
        environment["SPOOL_UPLOAD_LIMIT"] = str(LIMIT)
        with run("--threads=2") as server:
            yield server.url


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A file without contents, which takes no room."""
    path = tmp_path / "huge.mp4"
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


def head(world: World, *lines: str, start: str = "PUT /v1/files/talk.mp4 HTTP/1.1") -> bytes:
    given = [start, "Host: x", f"Authorization: {world.ada['Authorization']}", *lines]
    return ("\r\n".join(given) + "\r\n\r\n").encode()


def exchange(url: str, request: bytes) -> bytes:
    """All that is answered to it by a client that sends nothing more."""
    with dial(url) as connection:
        connection.sendall(request)
        return read_all(connection)


def curl(folder: Path, *arguments: str) -> tuple[str, str, list[str]]:
    """What curl got, how many bytes it sent, and the status of every answer."""
    printed = ("-w", " %{size_upload}", "-D", "headers", "--expect100-timeout", "50", "--max-time", "50")
    command = ["curl", "-sS", "--noproxy", "*", *printed, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    body, sent = done.stdout.rsplit(" ", 1)
    lines = (folder / "headers").read_text().splitlines()
    return body, sent, [line.split()[1] for line in lines if line.startswith("HTTP")]


@pytest.mark.parametrize("way", [("-T", "{huge}", "{url}/v1/files/a.mp4"), ("-F", "file=@{huge}", "{url}/upload")])
@pytest.mark.parametrize("expects", [WAITS, SENDS])
def test_curl_sees_every_time_why_its_file_is_refused(
    world: World, url: str, huge: Path, expects: str, way: tuple[str, ...]
) -> None:
    arguments = [word.format(huge=huge, url=url) for word in way]
    bearer = f"Authorization: {world.ada['Authorization']}"
    for _ in range(5):
        body, sent, statuses = curl(huge.parent, "-H", bearer, "-H", expects, *arguments)
        assert statuses == ["413"]
        problem = json.loads(body)
        assert (problem["code"], problem["limit"]) == ("too_large", LIMIT)
        assert abs(HUGE - problem["asked"]) <= OVERHEAD
        assert sent == "0" or expects == SENDS


def test_curl_sees_every_time_that_nobody_knows_it(url: str, huge: Path) -> None:
    for expects in (WAITS, SENDS) * 5:
        body, _, statuses = curl(huge.parent, "-H", expects, "-T", str(huge), f"{url}/v1/files/a.mp4")
        assert (statuses, json.loads(body)["code"]) == (["401"], "unauthorized")


@pytest.mark.parametrize("coming", [f"Content-Length: {HUGE}", "Content-Length: 10", CHUNKED])
def test_who_waits_and_is_refused_is_told_nothing_else(world: World, url: str, coming: str) -> None:
    request = head(world, WAITS, coming, start="PUT /v1/files/a.mp4?formats=odt HTTP/1.1")
    answer, body = exchange(url, request).split(b"\r\n\r\n", 1)
    lines = answer.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 422 ")
    assert {b"Connection: close", b"Content-Type: application/problem+json", b"Content-Length: %d" % len(body)} <= {
        *lines
    }
    assert json.loads(body)["code"] == "invalid"


@pytest.mark.parametrize("coming", [f"Content-Length: {len(TALK)}", CHUNKED])
def test_who_waits_and_is_wanted_is_told_so_once(world: World, url: str, coming: str) -> None:
    body = chunked(TALK, 50_000) + b"0\r\n\r\n" if coming == CHUNKED else TALK
    with dial(url) as connection:
        connection.sendall(head(world, WAITS.upper(), coming, "Connection: close"))
        assert connection.recv(1000) == CONTINUE
        connection.sendall(body)
        assert read_all(connection).startswith(b"HTTP/1.1 202 ")


def test_a_client_of_an_older_protocol_is_not_told_what_it_does_not_know(world: World, url: str) -> None:
    start = "PUT /v1/files/talk.mp4 HTTP/1.0"
    answer = exchange(url, head(world, WAITS, f"Content-Length: {len(TALK)}", start=start) + TALK)
    assert b" 202 " in answer.split(b"\r\n", 1)[0]


def test_who_sends_all_before_it_reads_gets_the_answer(world: World, url: str) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, "Content-Length: 30000000") + bytes(30_000_000))
        assert json.loads(read_all(connection).split(b"\r\n\r\n", 1)[1])["code"] == "too_large"


def test_who_is_refused_half_way_gets_the_answer(world: World, url: str) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, CHUNKED, WAITS))
        assert connection.recv(1000) == CONTINUE
        connection.sendall(chunked(bytes(10_000_000), 50_000))
        assert json.loads(read_all(connection).split(b"\r\n\r\n", 1)[1])["code"] == "too_large"


def test_an_answer_that_needs_no_body_does_not_wait_for_it(world: World, url: str) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, WAITS, "Content-Length: 10", start="OPTIONS /v1/uploads HTTP/1.1"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_a_connection_is_used_again_after_bodies_that_came(world: World, url: str) -> None:
    with httpx.Client(base_url=url, headers=world.ada) as client:
        answers = [
            client.put("/v1/files/talk.mp4", content=TALK),
            client.put("/v1/files/talk.mp4", content=TALK, headers={"Expect": "100-continue"}),
            client.post("/v1/jobs", json={"url": "x"}),
            client.get("/v1/jobs"),
        ]
        sockets = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}
    assert [answer.status_code for answer in answers] == [202, 202, 422, 200]
    assert len(sockets) == 1


def test_who_waits_after_a_refusal_holds_no_thread(world: World, url: str) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS + 2):
            connection = stack.enter_context(dial(url))
            connection.sendall(head(world, WAITS, f"Content-Length: {HUGE}"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
        assert httpx.get(f"{url}/healthz", timeout=10).is_success


@pytest.mark.parametrize(("share", "by_server"), [(1, False), (0, True)])
def test_who_is_refused_when_too_many_are_is_answered_by_the_server(share: int, by_server: bool) -> None:
    hub = Hub(share=share)
    with closing(hub), served("a server", Expectation(listening.app, hub)) as url:
        answer = exchange(url, b"PUT /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert (b"Server: a server" in answer) == by_server


@pytest.mark.parametrize("server", ["cheroot", "gunicorn"])
def test_other_services_leave_it_to_their_server(server: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        if server == "cheroot":
            url = stack.enter_context(served("listening", listening.app))
        else:
            url = stack.enter_context(gunicorn(tmp_path, {}, app="gateway.tests.listening:app")).url
        connection = stack.enter_context(dial(url))
        connection.sendall(b"POST /ping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.recv(len(CONTINUE)) == CONTINUE
        connection.sendall(b"hi")
        assert connection.recv(1000).startswith(b"HTTP/1.1 405 ")
