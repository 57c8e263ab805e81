"""Waiting for something to become true, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], timeout: float = 30, interval: float = 0.05) -> T:
    """Polls `condition` every `interval` seconds and returns its first true value.

    An AssertionError of the condition counts as "not yet". Raises AssertionError, with the last value or the last
    failed assertion, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            value = condition()
        except AssertionError as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s; the last value was {last!r}")
        time.sleep(interval)
