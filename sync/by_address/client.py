"""GET requests that follow redirects by hand, each step checked. No cookies, no proxies, nothing of the environment."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from socket import gaierror
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

import httpcore

from pipeline.errors import Reject, Retry
from pipeline.network import GuardedNetwork
from sync.by_address.address import follow

REDIRECTS = 5
TOO_MANY = "This address leads on to other addresses too many times."

_HEADERS = {
    "User-Agent": "Spool (fetches a recording that somebody asked it for)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_REDIRECTED = {301, 302, 303, 307, 308}
_FAILURES = (OSError, httpcore.ProtocolError)


class Cut(Exception):
    """The connection ended, or the server fell silent, before the body was whole."""


@dataclass(frozen=True)
class Answer:
    """What a server said. `url` is where it said it, after redirects."""

    url: str
    response: httpcore.Response

    @property
    def status(self) -> int:
        return self.response.status

    def header(self, name: str) -> str:
        """The first of this name, or an empty string."""
        values = (value for key, value in self.response.headers if key.lower() == name.encode())
        return _text(next(values, b""))

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, 64 KiB at most at a time. Raises Cut, and what the network's `beat` raises."""
        try:
            yield from self.response.iter_stream()
        except _FAILURES as error:
            raise Cut from error


class Client:
    """To be entered and left. `silence`: seconds that a server may say nothing."""

    def __init__(self, network: GuardedNetwork, tls: ssl.SSLContext, silence: float) -> None:
        self._pool = httpcore.ConnectionPool(tls, network_backend=network)
        self._extensions = {"timeout": dict.fromkeys(("connect", "read", "write"), silence)}

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Iterator[Answer]:
        """The answer at the end of all redirects, whatever its status. Raises Reject, Retry."""
        for _ in range(REDIRECTS + 1):
            with closing(self._send(url, headers)) as response:
                answer = Answer(url, response)
                location = answer.header("location")
                if answer.status not in _REDIRECTED or not location:
                    yield answer
                    return
                url = follow(url, location)
        raise Reject(TOO_MANY)

    def _send(self, url: str, headers: Mapping[str, str]) -> httpcore.Response:
        sent = {"Host": urlsplit(url).netloc, **_HEADERS, **headers}
        try:
            return self._pool.handle_request(
                httpcore.Request("GET", url, headers=list(sent.items()), extensions=self._extensions)
            )
        except _FAILURES as error:
            raise Retry(_reason(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()


def _text(value: bytes) -> str:
    """Headers are Latin-1 by the book (RFC 9110, section 5.5) and UTF-8 by habit."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _reason(error: Exception) -> str:
    match error:
        case gaierror():
            return "The server that this address names cannot be found."
        case TimeoutError():
            return "The server at this address does not answer."
        case _:
            return "The connection to the server at this address failed."
