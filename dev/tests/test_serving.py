import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dev.serving import served


def refuse(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers at once and reads no body."""
    start_response("401 Unauthorized", [("Content-Length", "2")])
    return [b"no"]


@pytest.mark.parametrize("coming", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
def test_a_refused_upload_is_not_read(coming: bytes) -> None:
    with (
        served("test", refuse) as url,
        socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 10) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % coming)
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"Connection: close" in answer
