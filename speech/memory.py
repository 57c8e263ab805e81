"""Memory of a process that holds a model (mallopt(3), malloc_trim(3))."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD, _BYTES = -3, 8 * 2**20
_M_ARENA_MAX, _ARENAS = -8, 1


def keep() -> None:
    """Takes back what `pipeline.memory` does for the other services: models take and return megabytes all the time.

    Returned to the system each time, these made them take half as much time again; and kept apart for each
    thread that answers a request, they add up.
    """
    with suppress(AttributeError):  # only in the GNU C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _BYTES)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Returns to the system what is free between the things that are kept."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
