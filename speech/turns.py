"""One transcription at a time: a second one would only make both slow. A few may wait for their turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from speech.errors import Busy

_BEAT = 0.5
"""Seconds between two calls of `beat`."""


class Turns:
    def __init__(self, waiting: int, patience: float) -> None:
        """`waiting`: how many may wait; `patience`: how many seconds each."""
        self._places = BoundedSemaphore(waiting + 1)
        self._turn = Lock()
        self._patience = patience

    @contextmanager
    def turn(self, beat: Callable[[], None]) -> Iterator[None]:
        """Raises Busy where too many wait, or one has waited too long, and what `beat` raises while it waits."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            self._wait(beat)
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()

    def _wait(self, beat: Callable[[], None]) -> None:
        end = time.monotonic() + self._patience
        while not self._turn.acquire(timeout=max(0, min(_BEAT, end - time.monotonic()))):
            beat()
            if time.monotonic() >= end:
                raise Busy
