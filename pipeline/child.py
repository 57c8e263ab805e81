"""Runs one child process that reaches no network, and must not outlive its limits, nor the worker that started it.

util-linux sets the limits: `prlimit` those of getrlimit(2), `setpriv` the signal of PR_SET_PDEATHSIG (prctl(2)), by which
the kernel kills the child as soon as the thread that started it is gone, however that came to pass. `unshare` takes the
network away, or a filter of system calls does, whichever the kernel and the container allow: see `isolation`.
"""

import os
import resource
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Literal

TICK = 0.25
"""Seconds between two calls of `tick` while the child says nothing."""

_LOG_BYTES = 8192

_PROCESSES = 8192
"""The kernel counts all threads of the user, also those of other containers: this stops a fork bomb, and nobody else."""

_WAYS: "Sequence[tuple[Isolation, Sequence[str]]]" = (
    # What root may do would be enough to get out of the namespace again.
    ("network namespace", ("unshare", "--net", "--", "setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")),
    ("network namespace", ("unshare", "--user", "--map-current-user", "--net", "--")),
    ("seccomp", (sys.executable, "-IBS", str(Path(__file__).with_name("no_sockets.py")))),
)
"""Best first, with the command that runs another one so."""

Isolation = Literal["network namespace", "seccomp", "whitelist only"]
"""What keeps a child from the network; `whitelist only` if nothing does but what ffmpeg is told to open."""


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


def isolation() -> Isolation:
    """How children of this process are kept from the network."""
    return _isolation()[0]


def run(
    command: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    hear: Callable[[bytes], None],
    tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Runs `command` in `folder` with an empty environment, no input, no network, and its standard output given to `hear`.

    Raises OutOfTime, or whatever `hear` and `tick` raise; the child and all it started are dead by then.
    """
    end = time.monotonic() + limits.seconds
    log = bytearray()

    def keep(chunk: bytes) -> None:
        log.extend(chunk)
        del log[:-_LOG_BYTES]

    process = subprocess.Popen(
        [*_isolation()[1], *_limited(limits), *command],
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    with suppress(OSError):  # where that is forbidden, or the child has ended already
        os.sched_setscheduler(process.pid, os.SCHED_BATCH, os.sched_param(0))
    with process:
        try:
            _listen(process, {process.stdout: hear, process.stderr: keep}, tick, end)
        finally:
            _kill(process)
    return Ended(process.returncode, log.decode(errors="replace"))


@cache
def _isolation() -> tuple[Isolation, Sequence[str]]:
    """Found out by trying."""
    for name, prefix in _WAYS:
        tried = subprocess.run([*prefix, "true"], env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if not tried.returncode:
            return name, prefix
    return "whitelist only", ()


def _limited(limits: Limits) -> list[str]:
    processor = ceil(limits.seconds) * (os.cpu_count() or 1)
    return [
        "prlimit",
        f"--as={_allowed(resource.RLIMIT_AS, limits.memory)}",
        f"--fsize={_allowed(resource.RLIMIT_FSIZE, limits.file_size)}",
        f"--nproc={_allowed(resource.RLIMIT_NPROC, _PROCESSES)}",
        # At the first the kernel says why it ends the child (SIGXCPU), at the second it only does.
        f"--cpu={_allowed(resource.RLIMIT_CPU, processor)}:{_allowed(resource.RLIMIT_CPU, processor + 5)}",
        "--core=0",
        *("--", "setpriv", "--pdeathsig=KILL", "--no-new-privs", "--"),
    ]


def _allowed(limit: int, value: int) -> int:
    """`value`, or what the worker itself is limited to: nobody may set a limit above their own."""
    _, most = resource.getrlimit(limit)
    return value if most == resource.RLIM_INFINITY else min(value, most)


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
    if not _ends(process.pid, max(0.0, end - time.monotonic())):
        raise OutOfTime


def _ends(pid: int, seconds: float) -> bool:
    """Whether the process ends in time. It stays a zombie, so that its number is nobody else's yet."""
    descriptor = os.pidfd_open(pid)
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Also what the child has left behind."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
