"""What can go wrong with Dropbox, on demand: each fault is what happens to one call."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Event
from typing import Protocol

from dev.dropbox.errors import Refused, conflict, too_many, unauthorized

_SILENT_SECONDS = 120
"""After these the stand-in gives up, too: nothing waits for ever."""
_SLOW_SECONDS = 0.05
"""Before each block of a slow answer."""

Spoiler = Callable[[Iterator[bytes], int], Iterator[bytes]]
"""Makes other blocks of the blocks of an answer, which is so many bytes long."""


class Cut(Exception):
    """The connection ends here."""


class Exchange(Protocol):
    """A request whose body was read, and its answer."""

    @property
    def over(self) -> Event:
        """The stand-in ends."""
        ...

    spoiler: Spoiler

    def refuse(self, refused: Refused) -> None: ...

    def cut(self) -> None: ...

    def wait_until_closed(self, seconds: float) -> None:
        """Until the client closes the connection."""


Fault = Callable[[Exchange, Callable[[], None]], None]
"""Gets the call, and what would be done without the fault."""


def refused(how: Refused) -> Fault:
    return lambda exchange, _: exchange.refuse(how)


def later(seconds: int, reason: str = "too_many_requests") -> Fault:
    """429, to be asked again after so many seconds."""
    return refused(too_many(seconds, reason))


def close(exchange: Exchange, _: Callable[[], None]) -> None:
    """Nothing is done, and the connection closed without a word."""
    exchange.cut()


def hang(exchange: Exchange, _: Callable[[], None]) -> None:
    """Nothing is done or said until the client hangs up."""
    exchange.wait_until_closed(_SILENT_SECONDS)
    exchange.cut()


def spoiled(spoil: Callable[[Exchange, Iterator[bytes], int], Iterator[bytes]]) -> Fault:
    """The call is done, and its answer spoiled."""

    def fault(exchange: Exchange, proceed: Callable[[], None]) -> None:
        exchange.spoiler = partial(spoil, exchange)
        proceed()

    return fault


def _lost(_exchange: Exchange, _blocks: Iterator[bytes], _size: int) -> Iterator[bytes]:
    raise Cut


def _cut(_: Exchange, blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    yield from _first(blocks, size // 2)
    raise Cut


def _stall(exchange: Exchange, blocks: Iterator[bytes], size: int) -> Iterator[bytes]:
    yield from _first(blocks, size // 2)
    exchange.wait_until_closed(_SILENT_SECONDS)
    raise Cut


def _slow(exchange: Exchange, blocks: Iterator[bytes], _: int) -> Iterator[bytes]:
    for block in blocks:
        exchange.over.wait(_SLOW_SECONDS)
        yield block


def _wrong(_: Exchange, blocks: Iterator[bytes], _size: int) -> Iterator[bytes]:
    for block in blocks:
        yield bytes([block[0] ^ 1]) + block[1:]


def _first(blocks: Iterator[bytes], left: int) -> Iterator[bytes]:
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


FAULTS: dict[str, Fault] = {
    "429": later(1),
    "429-writes": later(1, "too_many_write_operations"),
    "500": refused(Refused(500, "Internal server error")),
    "503": refused(Refused(503, "Service unavailable", {"Retry-After": "1"})),
    "close": close,
    "cut": spoiled(_cut),
    "expired": refused(unauthorized("expired_access_token")),
    "hang": hang,
    "html": refused(Refused(502, "<!doctype html><title>502 Bad Gateway</title>", {"Content-Type": "text/html"})),
    "lost": spoiled(_lost),
    "reset": refused(conflict("reset")),
    "revoked": refused(unauthorized("invalid_access_token")),
    "slow": spoiled(_slow),
    "stall": spoiled(_stall),
    "suspended": refused(unauthorized("user_suspended")),
    "wrong": spoiled(_wrong),
}
"""By the names that `POST /admin/faults` takes."""

ONLY = {"reset": "files/list_folder/continue", "wrong": "files/download"}
"""The routes of faults that no other has, unless another is asked for."""
