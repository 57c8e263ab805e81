"""One POST request to an address that a stranger gave: no redirects, no cookies, no proxies, nothing of the environment."""

import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from socket import gaierror
from urllib.parse import urlsplit

import httpcore

from pipeline.errors import Reject, Retry
from pipeline.guard import Guard
from pipeline.network import UNPROVEN, Beat, GuardedNetwork, Resolver, look_up

CONNECTING = 10.0
"""Seconds until there is a connection."""
LONGEST_ANSWER = 16 * 1024
"""Bytes of a body that are read, and thrown away: a server that is cut off in the middle may take that for a failure."""

_FAILURES = (OSError, httpcore.ProtocolError)


@dataclass(frozen=True)
class Answer:
    status: int
    retry_after: str
    """The header as it is; empty if there is none."""


@dataclass(frozen=True)
class Sender:
    """`seconds` are for the whole of a request."""

    guard: Guard
    tls: ssl.SSLContext
    resolver: Resolver = look_up
    seconds: float = 20

    def post(self, url: str, headers: Mapping[str, str], body: bytes, beat: Beat) -> Answer:
        """What the server at `url`, http or https, said. `beat` is called every second, and ends the request by what it raises.

        Raises Retry where there is no answer, Reject where this machine must not ask.
        """
        end = time.monotonic() + self.seconds

        def in_time() -> None:
            beat()
            if time.monotonic() > end:
                raise TimeoutError

        network = GuardedNetwork(self.guard, in_time, self.resolver)
        try:
            with (
                httpcore.ConnectionPool(self.tls, network_backend=network) as pool,
                closing(pool.handle_request(self._request(url, headers, body))) as response,
            ):
                answer = Answer(response.status, _header(response, b"retry-after"))
                with suppress(*_FAILURES):  # the answer is known
                    _read_some(response)
                return answer
        except _FAILURES as error:
            raise Retry(_reason(error)) from error
        except Reject as error:
            if error.reason == UNPROVEN:  # its owner may set that right
                raise Retry(UNPROVEN) from error
            raise

    def _request(self, url: str, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
        own = {"Host": urlsplit(url).netloc, "Content-Length": str(len(body)), "Connection": "close"}
        limits = {"connect": CONNECTING, "read": self.seconds, "write": self.seconds}
        return httpcore.Request(
            "POST", url, headers=list({**own, **headers}.items()), content=body, extensions={"timeout": limits}
        )


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _read_some(response: httpcore.Response) -> None:
    size = 0
    for piece in response.iter_stream():
        size += len(piece)
        if size > LONGEST_ANSWER:
            return


def _reason(error: Exception) -> str:
    match error:
        case gaierror():
            return "The server that the webhook's address names cannot be found."
        case TimeoutError():
            return "The server at the webhook's address does not answer in time."
        case _:
            return "The connection to the server at the webhook's address failed."
