"""Memory of long-running processes."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
_BYTES = 128 * 1024


def give_back() -> None:
    """Has pieces of files go back to the system at once, instead of staying with the thread that held them (mallopt(3))."""
    with suppress(AttributeError):  # only in the GNU C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BYTES)
