"""What files hold: bytes that were given, or a pattern of any length that takes no memory."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dropbox.content_hash import DropboxContentHasher

_BLOCK = 2**18
_PERIOD = 2**20 - 3
"""Bytes after which a pattern comes again: a prime, so that no two of its pieces are alike at offsets that people choose."""


class Content:
    """`size` bytes, read in blocks."""

    size: int

    def _read(self, start: int, end: int) -> bytes:
        raise NotImplementedError

    def blocks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes from `start` up to, without, `end`."""
        end = self.size if end is None else end
        for at in range(start, end, _BLOCK):
            yield self._read(at, min(at + _BLOCK, end))

    @cached_property
    def content_hash(self) -> str:
        """As https://www.dropbox.com/developers/reference/content-hash says, in hexadecimal digits."""
        hasher = DropboxContentHasher()
        for block in self.blocks():
            hasher.update(block)
        digest: str = hasher.hexdigest()
        return digest


class Held(Content):
    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def _read(self, start: int, end: int) -> bytes:
        return self.data[start:end]


@dataclass(eq=False)
class Pattern(Content):
    """The same bytes for the same `seed`, of which two of different sizes share their beginning."""

    size: int
    seed: int = 0

    @cached_property
    def _period(self) -> bytes:
        return random.Random(self.seed).randbytes(_PERIOD) * 2

    def _read(self, start: int, end: int) -> bytes:
        at = start % _PERIOD
        return self._period[at : at + end - start]
