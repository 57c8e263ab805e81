"""SHA-256 of files that come in pieces, so that at the end nothing of them has to be read again."""

import hashlib
from collections import OrderedDict
from threading import Lock
from typing import Self

REMEMBERED = 256
"""Uploads whose hash is kept. One that is forgotten, or came by another gateway, is read again once."""


class Running:
    """The SHA-256 of a file's first `bytes` bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.bytes += len(data)
        self._digest.update(data)

    def copy(self) -> Self:
        other = type(self)()
        other.bytes, other._digest = self.bytes, self._digest.copy()
        return other

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class Hashes:
    """Hashes of unfinished uploads by their id, the latest used; for all threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Running] = OrderedDict()
        self._lock = Lock()

    def get(self, upload_id: str) -> Running:
        """A copy of what is known of it, at the least the hash of nothing."""
        with self._lock:
            return self._kept.get(upload_id, Running()).copy()

    def keep(self, upload_id: str, running: Running) -> None:
        with self._lock:
            self._kept[upload_id] = running.copy()
            self._kept.move_to_end(upload_id)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        with self._lock:
            self._kept.pop(upload_id, None)
