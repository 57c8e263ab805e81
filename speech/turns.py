"""One request at a time: a second one would only make both slow. A few may wait for their turn."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any

from prometheus_client import Gauge
from werkzeug.exceptions import ClientDisconnected

from pipeline.client_socket import has_left
from speech.errors import Busy

_WAITING = Gauge("speech_waiting_requests", "Requests that wait for their turn.", ("work",))

_BEAT = 0.5
"""Seconds between two calls of `beat`."""


def stay(environ: Mapping[str, Any]) -> None:
    """Gives up the turn, or the place of who waits for it, once nobody waits for the answer any more."""
    if has_left(environ):
        raise ClientDisconnected


class Turns:
    def __init__(self, work: str, waiting: int, patience: float) -> None:
        """`work`: what is done in turn. `waiting`: how many may wait; `patience`: how many seconds each."""
        self._waiting = _WAITING.labels(work)
        self._places = BoundedSemaphore(waiting + 1)
        self._turn = Lock()
        self._patience = patience

    @contextmanager
    def place(self) -> Iterator[None]:
        """Held by who has the turn, waits for it, or still sends what it is for. Raises Busy where there is none left."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def turn(self, beat: Callable[[], None]) -> Iterator[None]:
        """Of one who has a place. Raises Busy where it waited too long, and what `beat` raises while it waits."""
        with self._waiting.track_inprogress():
            self._wait(beat)
        try:
            yield
        finally:
            self._turn.release()

    def _wait(self, beat: Callable[[], None]) -> None:
        end = time.monotonic() + self._patience
        while not self._turn.acquire(timeout=max(0, min(_BEAT, end - time.monotonic()))):
            beat()
            if time.monotonic() >= end:
                raise Busy
