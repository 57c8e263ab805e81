"""Calls that block, waited for in steps, so that an attempt that must end does; and what is done where we are asked to wait."""

import time
from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

import structlog

from pipeline.background import begin
from pipeline.errors import Retry
from pipeline.network import STEP, Beat

log = structlog.get_logger()

PATIENCE = 60.0
"""Seconds that one call may be asked to wait before its task goes back into the queue."""
SHORTEST_DELAY = 1.0
"""Seconds that are waited at least, though it was told that none are needed."""
LONGEST_DELAY = 3600.0
"""Seconds that a task waits at most, whatever it was told."""

SILENT = "Dropbox does not answer."
BUSY = "Dropbox has asked to be left alone for a while."

T = TypeVar("T")


class Asked(Exception):
    """The other side wants the same call again, after `delay` seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.delay = delay


def waited(call: Callable[[], T], beat: Beat, limit: float) -> T:
    """What `call` gives or raises. Raises Retry after `limit` seconds, and what `beat` raises; then nobody waits for it any more."""
    outcome, end = begin(call, "dropbox"), time.monotonic() + limit
    while not outcome.done():
        beat()
        if time.monotonic() >= end:
            raise Retry(SILENT)
        wait([outcome], STEP)
    return outcome.result()


def patiently(call: Callable[[], T], beat: Beat, limit: float) -> T:
    """As `waited`, and does what Asked says for PATIENCE seconds. Raises Retry after that."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return waited(call, beat, limit)
        except Asked as asked:
            log.warning("asked to wait", seconds=asked.delay)
            delay = min(max(asked.delay, SHORTEST_DELAY), LONGEST_DELAY)
            if time.monotonic() + delay > end:
                raise Retry(BUSY, delay) from asked
            pause(delay, beat)


def pause(seconds: float, beat: Beat) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()
        time.sleep(min(left, STEP))
