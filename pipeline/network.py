"""Connections that lead only where the guard allows, and whose every wait can be ended."""

import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpcore

from pipeline.background import begin
from pipeline.errors import Reject
from pipeline.guard import Guard

STEP = 0.5
"""Seconds between two beats while nothing comes."""

_HANDSHAKE_STEP = 1.0
"""Seconds given to a connection before the next address, or the same again, is tried."""

FORBIDDEN = "This address leads into a private network; only the public internet is open from here."
UNPROVEN = "The server at this address cannot prove that it is the one it is called; its certificate is not valid."

Beat = Callable[[], None]
Resolver = Callable[[str, int], Iterable[str]]
T = TypeVar("T")


def look_up(host: str, port: int) -> list[str]:
    """The IP addresses of `host`, the preferred first (RFC 6724). Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def tls_context(cafile: str) -> ssl.SSLContext:
    """Trusts the authorities in `cafile`, for the names in their certificates alone.

    A connection that ends without TLS's own goodbye is an error to it: a body that ends with its connection may have been cut.
    """
    context = ssl.create_default_context(cafile=cafile)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def _wait(operation: Callable[[], T], beat: Beat, timeout: float | None) -> T:
    """Repeats `operation`, which raises TimeoutError after a step, until it is done. Raises TimeoutError after `timeout` seconds."""
    end = _end(timeout)
    while True:
        beat()
        try:
            return operation()
        except TimeoutError as error:
            # With a number it is the system's word about the connection, not the end of a step.
            if error.errno or time.monotonic() >= end:
                raise


def _end(timeout: float | None) -> float:
    return time.monotonic() + (float("inf") if timeout is None else timeout)


@dataclass(frozen=True)
class GuardedNetwork(httpcore.NetworkBackend):
    """Makes connections, each to an address that was checked itself: a name that means another machine a moment later leads nowhere.

    `beat` is called at least every second of waiting, and ends it by what it raises. Raises Reject, OSError.
    """

    guard: Guard
    beat: Beat
    resolver: Resolver = look_up

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> "Stream":
        found = begin(partial(self.resolver, host, port), "look-up")
        addresses = _wait(partial(found.result, STEP), self.beat, timeout)
        allowed = [address for address in addresses if self.guard.allows(address)]
        if not allowed:
            raise Reject(FORBIDDEN)
        return Stream(self._connect(allowed, port, timeout), self.beat)

    def _connect(self, addresses: Sequence[str], port: int, timeout: float | None) -> socket.socket:
        """Takes the first that answers. One that refuses is not asked again; one that is silent is, after the others."""
        waiting, end = deque(addresses), _end(timeout)
        while True:
            self.beat()
            address = waiting.popleft()
            try:
                return socket.create_connection((address, port), _HANDSHAKE_STEP)
            except TimeoutError:
                if time.monotonic() >= end:
                    raise
                waiting.append(address)
            except OSError:
                if not waiting:
                    raise


class Stream(httpcore.NetworkStream):
    """A connection that beats while it waits. Raises OSError, and what `beat` raises."""

    def __init__(self, connection: socket.socket, beat: Beat) -> None:
        self._connection, self._beat = connection, beat
        connection.settimeout(STEP)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return _wait(partial(self._connection.recv, max_bytes), self._beat, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        while buffer:
            sent = _wait(partial(self._connection.send, buffer), self._beat, timeout)
            buffer = buffer[sent:]

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Stream":
        connection = ssl_context.wrap_socket(
            self._connection,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,  # as in `tls_context`; newer Pythons ask here
        )
        secured = Stream(connection, self._beat)
        try:
            _wait(connection.do_handshake, self._beat, timeout)
        except BaseException as error:
            secured.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise Reject(UNPROVEN) from error
            raise
        return secured
