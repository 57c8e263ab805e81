"""What can go wrong with a paid API, on demand: each fault is what happens to one call."""

import gzip
import json
import socket
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Protocol

_SILENT_SECONDS = 120
"""After these the stand-in gives up, too: nothing waits for ever."""

_CHUNK = b"la " * 2**15
_ENDLESS_BYTES = 2**28
"""More than anybody should read."""

PAGE = b"<!doctype html><title>502 Bad Gateway</title>"
SECRET = "/srv/vendor/keys"
"""Stands in messages that must not reach users."""


class Exchange(Protocol):
    """A request whose body was read, and its answer. `hung_up`: the client closed the connection on which it was waiting."""

    connection: socket.socket

    @property
    def hung_up(self) -> Event: ...

    def answer(self, status: int, content: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        """Says that there are `length` bytes of content, whatever there is."""

    def send(self, content: bytes) -> None: ...


Fault = Callable[[Exchange], None]


def reply(status: int, body: Any, headers: Mapping[str, str] | None = None, length: int | None = None) -> Fault:
    """Answers with `body`, as JSON if it is not bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda exchange: exchange.answer(
        status, content, {"Content-Type": "application/json"} | dict(headers or {}), length
    )


def refusal(status: int, headers: Mapping[str, str] | None = None, **error: str) -> Fault:
    return reply(status, {"error": {"message": f"Look at {SECRET}", "type": "x", "param": None} | error}, headers)


def hang(exchange: Exchange) -> None:
    """Says nothing until the client hangs up."""
    exchange.connection.settimeout(_SILENT_SECONDS)
    exchange.connection.recv(1)
    exchange.hung_up.set()


def drip(exchange: Exchange) -> None:
    """Sends a byte now and then, so that no single read ever takes long."""
    exchange.answer(200, b"{", {"Content-Type": "application/json"}, 10**9)
    try:
        for _ in range(_SILENT_SECONDS * 50):
            if exchange.hung_up.wait(0.02):
                return
            exchange.send(b" ")
    except OSError:
        exchange.hung_up.set()


def endless(exchange: Exchange) -> None:
    """Sends an answer that has no end, as fast as it is read."""
    exchange.answer(200, b'{"text": "', {"Content-Type": "application/json"}, 10**12)
    try:
        for _ in range(_ENDLESS_BYTES // len(_CHUNK)):
            exchange.send(_CHUNK)
    except OSError:
        exchange.hung_up.set()


def packed(exchange: Exchange) -> None:
    """Sends an answer in a compression that nobody asked for: it may become a thousand times as long."""
    exchange.answer(200, gzip.compress(b'{"text": "Hello."}'), {"Content-Encoding": "gzip"})


def cut(exchange: Exchange) -> None:
    """Closes the connection without a word."""
    exchange.connection.shutdown(socket.SHUT_RDWR)


_LATER = {"Retry-After": "1"}
FAULTS: dict[str, Fault] = {
    "429": refusal(429),
    "429-later": refusal(429, _LATER),
    "500": refusal(500),
    "503-later": refusal(503, _LATER),
    "cut": cut,
    "drip": drip,
    "empty": reply(200, b""),
    "endless": endless,
    "half": reply(200, b'{"text": "Hel', length=1000),
    "hang": hang,
    "html": reply(200, PAGE, {"Content-Type": "text/html"}),
    "not-json": reply(200, b'{"text": "Hel'),
    "packed": packed,
    "wrong": reply(200, {"text": ["Hello."]}),
}
"""By the names that `POST /admin/faults` takes."""
