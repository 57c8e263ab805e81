"""Connections that outlive the thread which answered on them."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.http import http_date

from pipeline.client_socket import socket_of
from pipeline.errors import Unavailable

log = structlog.get_logger()


def take(environ: Mapping[str, Any]) -> socket.socket | None:
    """Takes the client's connection from the server for good. None if there is none to take: TLS, HTTP/2, other servers.

    The server keeps its socket object, but the descriptor now belongs to a pair whose other end is closed: whatever it
    still writes, shuts down or closes reaches nobody, and it believes that the client has left (EPIPE). Raises
    `Unavailable` if there are no descriptors left.
    """
    served = socket_of(environ)
    if type(served) is not socket.socket or not environ["SERVER_PROTOCOL"].startswith("HTTP/1."):
        return None
    try:
        dead, other = socket.socketpair()
        other.close()
        with dead:
            taken = served.dup()
            os.dup2(dead.fileno(), served.fileno(), inheritable=False)
    except OSError as error:
        raise Unavailable("no connection can be held") from error
    taken.setblocking(False)
    return taken


class Held(Response):
    """A response on a connection that is taken over as soon as all hooks of the app have added their headers.

    `hold` gets the connection and these headers. Where it cannot be taken, the response of `here` keeps its thread.
    """

    automatically_set_content_length = False

    def __init__(self, hold: Callable[[socket.socket, Headers], None], here: Callable[[], Response]) -> None:
        super().__init__()
        self._hold = hold
        self._here = here

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        answer = self._elsewhere(environ)
        answer.call_on_close(self.close)
        return answer(environ, start_response)

    def _elsewhere(self, environ: dict[str, Any]) -> Response:
        taken = take(environ)
        if taken is not None:
            self._hold(taken, self.headers)
            return Response()  # for a server that has nobody to send it to
        answer = self._here()
        answer.headers = merged(self.headers, answer.headers)
        return answer


def merged(hooks: Headers, own: Headers | Mapping[str, str]) -> Headers:
    """The headers of both; `own` win."""
    both = Headers(hooks)
    both.update(own)
    return both


def head(status: str, headers: Headers) -> bytes:
    """Status line and headers of a response after which the connection is closed (RFC 9112, 9.6)."""
    full = merged(headers, {"Date": http_date(), "Connection": "close"})
    return f"HTTP/1.1 {status}\r\n{full}".encode("latin-1")  # `Headers` ends with the empty line


@contextmanager
def company(client: socket.socket, stall: float) -> Iterator[None]:
    """Ends the running asyncio task when the client leaves, and the connection when the block does.

    A client that takes nothing for `stall` seconds, or has vanished from the network, counts as one that left.
    """
    loop = asyncio.get_running_loop()
    with suppress(OSError, AttributeError):  # tcp(7): not for Unix sockets, and only on Linux
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall * 1000))
    loop.add_reader(client, _hear, client, asyncio.current_task())
    try:
        yield
    except OSError:
        pass  # the client has left or stalls, or its time is up
    except Exception as error:
        log.error("a listener failed", exc_info=error)
    finally:
        loop.remove_reader(client)
        client.close()


def _hear(client: socket.socket, task: asyncio.Task[Any] | None) -> None:
    """What a client still says is ignored, until it leaves."""
    try:
        said = client.recv(4096)
    except BlockingIOError:
        return
    except OSError:
        said = b""
    if task and not said:
        task.cancel()


async def send(client: socket.socket, data: bytes, stall: float) -> None:
    """Raises OSError if the client has left, or does not take all of it in `stall` seconds."""
    async with asyncio.timeout(stall):
        await asyncio.get_running_loop().sock_sendall(client, data)
