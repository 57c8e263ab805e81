"""One transcription at a time: a second one would only make both slow. A few may wait for their turn."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock

from speech.errors import Busy


class Turns:
    def __init__(self, waiting: int, patience: float) -> None:
        """`waiting`: how many may wait; `patience`: how many seconds each."""
        self._places = BoundedSemaphore(waiting + 1)
        self._turn = Lock()
        self._patience = patience

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raises Busy where too many wait, or one has waited too long."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            if not self._turn.acquire(timeout=self._patience):
                raise Busy
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()
