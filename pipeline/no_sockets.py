"""The program that runs another one which can open no socket: `pipeline.child` runs it by its path where no namespace is to be had.

Arguments: the command. Ends with status 1 where the kernel does not take the filter, or the processor is not known.
It imports nothing of the pipeline, so that it starts quickly.
"""

import ctypes
import errno
import os
import struct
import sys

_CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""By processor: AUDIT_ARCH_* of linux/audit.h, and the number of socket(2)."""

_IO_URING_SETUP = 425
"""On every processor; a ring opens sockets without a call that a filter would see."""

_X32 = 0x40000000
"""The bit of a second numbering of all calls, on x86-64."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER_AT, _PROCESSOR_AT = 0, 4
"""Where struct seccomp_data has the call's number, and the processor."""


def rules(processor: int, socket: int) -> bytes:
    """A filter of classic BPF (linux/filter.h): each rule an operation, how far to jump if true and if false, and a value."""
    return b"".join(
        struct.pack("=HBBI", *rule)
        for rule in (
            (_LOAD, 0, 0, _PROCESSOR_AT),
            (_EQUAL, 0, 5, processor),
            (_LOAD, 0, 0, _NUMBER_AT),
            (_AT_LEAST, 3, 0, _X32),
            (_EQUAL, 2, 0, socket),
            (_EQUAL, 1, 0, _IO_URING_SETUP),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        )
    )


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_char_p))


def refuse(filter: bytes) -> None:
    """Sets the filter for this process and all that come of it, for good. Raises OSError."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(_Program(len(filter) // 8, filter)))


def _prctl(option: int, first: int, second: object) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, first, second, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse(rules(*_CALLS[os.uname().machine]))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606
