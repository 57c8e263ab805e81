import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest
from cheroot.connections import ConnectionManager, _ThreadsafeSelector

from dev import serving
from dev.serving import served


def dial(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 10)


def refuse(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers at once and reads no body."""
    start_response("401 Unauthorized", [("Content-Length", "2")])
    return [b"no"]


@pytest.mark.parametrize("coming", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_refused_upload_is_not_read(coming: bytes) -> None:
    with served("test", refuse) as url, dial(url) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % coming)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"Connection: close" in answer


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_that_is_given_back_while_the_server_stops_is_closed(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The moment is that of the selector's end, when the server has closed what it held till then."""
    given, stopping, kept = Event(), Event(), Event()
    put, close = ConnectionManager.put, _ThreadsafeSelector.close

    def put_late(connections: ConnectionManager, connection: Any) -> None:
        given.set()
        assert stopping.wait(20)
        try:
            put(connections, connection)
        finally:
            kept.set()

    def close_then(selector: _ThreadsafeSelector) -> None:
        if moment == "after":
            close(selector)
        stopping.set()
        assert kept.wait(20)
        close(selector)

    monkeypatch.setattr(ConnectionManager, "put", put_late)
    monkeypatch.setattr(_ThreadsafeSelector, "close", close_then)
    with ExitStack() as stack:
        with served("test", refuse) as url:
            client = stack.enter_context(dial(url))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert given.wait(10)
        assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"no")


def test_a_request_that_does_not_end_does_not_keep_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    began, release, ended = Event(), Event(), Event()

    def long(*_: object) -> Iterable[bytes]:
        began.set()
        release.wait(20)
        ended.set()
        return []

    monkeypatch.setattr(serving, "STOP_SECONDS", 0.1)
    with served("test", long) as url, dial(url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert began.wait(10)
    assert not ended.is_set()
    release.set()
