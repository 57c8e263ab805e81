"""SHA-256 of files that come in pieces, so that at the end nothing of them has to be read again."""

from collections import OrderedDict
from threading import Lock

from pipeline.fingerprint import Fingerprint

REMEMBERED = 256
"""Uploads whose hash is kept. One that is forgotten, or came by another gateway, is read again once."""


class Hashes:
    """Hashes of unfinished uploads by their id, the latest used; for all threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Fingerprint] = OrderedDict()
        self._lock = Lock()

    def get(self, upload_id: str) -> Fingerprint:
        """A copy of what is known of it, at the least the hash of nothing."""
        with self._lock:
            return self._kept.get(upload_id, Fingerprint()).copy()

    def keep(self, upload_id: str, running: Fingerprint) -> None:
        with self._lock:
            self._kept[upload_id] = running.copy()
            self._kept.move_to_end(upload_id)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def drop(self, upload_id: str) -> None:
        with self._lock:
            self._kept.pop(upload_id, None)
