"""Zips of exports that are being sent: each needs memory for every file in it, for as long as its client takes."""

from collections import Counter
from threading import Lock

MOST, MOST_EACH = 16, 4
"""At a time, of a gateway and of each owner."""


class Zips:
    """Those of this process, by their owner; for all threads."""

    def __init__(self) -> None:
        self._sending, self._lock = Counter[str](), Lock()

    def begin(self, owner: str) -> bool:
        """False if there are as many as may be; else it has to be ended."""
        with self._lock:
            is_free = self._sending.total() < MOST and self._sending[owner] < MOST_EACH
            self._sending[owner] += is_free
            return is_free

    def end(self, owner: str) -> None:
        with self._lock:
            self._sending -= Counter([owner])
