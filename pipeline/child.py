"""Runs one child process that must not outlive its limits, nor the worker that started it.

util-linux sets the limits: `prlimit` those of getrlimit(2), `setpriv` the signal of PR_SET_PDEATHSIG (prctl(2)), by which
the kernel kills the child as soon as the thread that started it is gone, however that came to pass.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

TICK = 0.25
"""Seconds between two calls of `tick` while the child says nothing."""

_LOG_BYTES = 8192


@dataclass(frozen=True)
class Limits:
    seconds: float
    """Of wall clock; also of one core's time, times the number of cores."""
    memory: int
    """Bytes of address space."""
    file_size: int
    """Bytes of any file it writes."""


@dataclass(frozen=True)
class Ended:
    status: int
    """Exit status, or the negated number of the signal that ended it."""
    log: str
    """The last 8 KiB of its standard error."""


class OutOfTime(Exception):
    """The child was killed because its time was up."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    hear: Callable[[bytes], None],
    tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Runs `command` in `folder` with an empty environment, no input, and its standard output given to `hear`.

    Raises OutOfTime, or whatever `hear` and `tick` raise; the child and all it started are dead by then.
    """
    end = time.monotonic() + limits.seconds
    log = bytearray()

    def keep(chunk: bytes) -> None:
        log.extend(chunk)
        del log[:-_LOG_BYTES]

    process = subprocess.Popen(
        [*_limited(limits), *command],
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    with process:
        try:
            _listen(process, {process.stdout: hear, process.stderr: keep}, tick, end)
        finally:
            _kill(process)
    return Ended(process.returncode, log.decode(errors="replace"))


def _limited(limits: Limits) -> list[str]:
    processor = ceil(limits.seconds) * (os.cpu_count() or 1)
    return [
        *("prlimit", f"--as={limits.memory}", f"--fsize={limits.file_size}", f"--cpu={processor}", "--core=0", "--"),
        *("setpriv", "--pdeathsig=KILL", "--no-new-privs", "--"),
    ]


def _listen(
    process: subprocess.Popen[bytes],
    ears: dict[object, Callable[[bytes], None]],
    tick: Callable[[], None],
    end: float,
) -> None:
    with selectors.DefaultSelector() as selector:
        for pipe, ear in ears.items():
            selector.register(pipe, selectors.EVENT_READ, ear)  # type: ignore[arg-type]
        while selector.get_map():
            for key, _ in selector.select(TICK):
                if chunk := os.read(key.fd, 65536):
                    key.data(chunk)
                else:
                    selector.unregister(key.fileobj)
            tick()
            if time.monotonic() > end:
                raise OutOfTime
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise OutOfTime from None


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
