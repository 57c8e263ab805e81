"""Bodies that are waited for, and those that nobody wants: "100 Continue", and refusals that reach who is still sending."""

import asyncio
import math
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from werkzeug.wrappers import Response
from werkzeug.wsgi import get_content_length

from gateway.connections import company, head, send, take
from gateway.listeners import Hub
from pipeline.client_socket import socket_of
from pipeline.errors import Unavailable

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER_SECONDS = 2
"""How long a client that was refused may still send, before it has to have read the answer."""
SMALL = 64 * 1024
"""Bytes of a body that servers read and throw away after their answer, to use the connection again."""


class Expectation:
    """Says "100 Continue" (RFC 9110, 10.1.1) when the app begins to read the body of a client that waits for it.

    A refusal may find the client waiting or sending. The hub gives it then, and closes the connection as RFC 9112, 9.6
    asks for: a client that is cut off while it sends may never look at the answer.
    """

    continues = True
    """Asks servers not to say 100 themselves."""

    def __init__(self, app: Any, hub: Hub) -> None:
        self._app = app
        self._hub = hub

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        coming = _coming(environ)
        if not coming:
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        awaited = _awaited(environ)
        response = Response.from_app(self._app, environ)
        unasked = awaited is not None and not awaited.wanted
        if response.status_code >= 400 and (unasked or coming > SMALL):
            response = self._dismiss(environ, response)
        return response(environ, start_response)

    def _dismiss(self, environ: dict[str, Any], response: Response) -> Response:
        """Has the hub give the response, and returns one for a server that has nobody to send it to."""
        try:
            client = None if self._hub.full or self._hub.has_all_of(None) else take(environ)
        except Unavailable:
            client = None
        if client is None:
            return response
        with response:
            answer = head(response.status, response.headers) + response.get_data()
        self._hub.hold(_farewell(client, answer, self._hub.stall))
        return Response()


class Awaited:
    """A body (`wsgi.input` of PEP 3333) whose sender waits to be told that it is wanted."""

    def __init__(self, body: Any, client: socket.socket) -> None:
        self.wanted = False
        self._body = body
        self._client = client

    def read(self, *size: int) -> bytes:
        return bytes(self._asked.read(*size))

    def readline(self, *size: int) -> bytes:
        return bytes(self._asked.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        return list(self._asked.readlines(*hint))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._asked)

    @property
    def _asked(self) -> Any:
        if not self.wanted:
            self.wanted = True
            self._client.sendall(CONTINUE)
        return self._body


def _awaited(environ: dict[str, Any]) -> Awaited | None:
    """Puts itself in the body's place if the client waits."""
    client = socket_of(environ)
    waits = environ.get("HTTP_EXPECT", "").lower() == "100-continue" and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    if client is None or not waits:
        return None
    environ["wsgi.input"] = awaited = Awaited(environ["wsgi.input"], client)
    return awaited


def _coming(environ: dict[str, Any]) -> float:
    """Bytes of the body; infinite if that is unknown."""
    return math.inf if "HTTP_TRANSFER_ENCODING" in environ else get_content_length(environ) or 0


async def _farewell(client: socket.socket, answer: bytes, stall: float) -> None:
    """What the client sends after it is thrown away by `company`, which ends this when the client has closed."""
    with company(client, stall):
        await send(client, answer, stall)
        client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(LINGER_SECONDS)
