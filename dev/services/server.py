"""A server of somebody else's, run as a private child process."""

import os
import random
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from dev.waiting import eventually

READY_SECONDS = 100  # well below what a test may take, so that the log is told
STOP_SECONDS = 20

# The kernel ends a child with the *thread* that started it (PR_SET_PDEATHSIG), so one thread that lives as long as
# this process starts them all: no server outlives us, and none ends with a short-lived thread of a test.
_starter = ThreadPoolExecutor(1, "servers")
_given: set[int] = set()


class ServerFailed(click.ClickException):
    """A server could not be started; the message carries the end of its log."""


def free_port(*offsets: int) -> int:
    """A loopback port that is free now, and so are those at `offsets` from it.

    Below the ephemeral range, so that no client's socket takes it while its server is down.
    """
    while True:
        port = random.randint(12000, 21000)
        if port not in _given and all(_is_free(port + offset) for offset in (0, *offsets)):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def spawn(command: list[str], folder: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts a child in its own session that the kernel ends with this process. Raises ServerFailed if it is not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    executable = shutil.which(command[0], path=path)
    if executable is None:
        raise ServerFailed(f"{command[0]} is not installed: run dev/install-servers")
    with log.open("ab") as output:
        return _starter.submit(
            subprocess.Popen,
            ["setpriv", "--pdeathsig", "KILL", "--", executable, *command[1:]],
            cwd=folder,
            env={**os.environ, "PATH": path, "HOME": str(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ).result()


class Server:
    """One server with its own port and data folder; both stay the same when it is started again."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(mode=0o700)
        self.port = free_port()
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def prepare(self) -> None:
        """Does what must be done before each start."""

    def check(self) -> None:
        """Makes one real connection; raises whatever the client library does while the server is not ready."""
        raise NotImplementedError

    def launch(self) -> None:
        """Starts the process if there is none and returns at once, so that several servers can come up side by side."""
        if not self.running:
            self.prepare()
            self._process = spawn(self.command(), self.folder, self.environment(), self.log)

    def wait_until_ready(self) -> None:
        """Raises ServerFailed, with the end of the log, if the server ends or cannot be reached within READY_SECONDS."""
        try:
            eventually(self._ready, READY_SECONDS)
        except AssertionError as error:
            self.kill()
            raise ServerFailed(f"{self.name}: {error}\n{self.log_tail()}") from None

    def _ready(self) -> bool:
        if not self.running:
            raise ServerFailed(f"{self.name} ended by itself\n{self.log_tail()}")
        try:
            self.check()
        except Exception as error:
            raise AssertionError(repr(error)) from error
        return True

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def start(self) -> None:
        """Makes the server answer: starts it, resumes it, or does nothing if it is up. Raises ServerFailed."""
        self.resume()
        self.launch()
        self.wait_until_ready()

    def stop(self) -> None:
        """Asks it to end, and makes it end after 20 seconds."""
        self.resume()
        self._signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Ends it without warning (SIGKILL)."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def discard(self) -> None:
        """Ends it for good, at once: its data are of no more use."""
        self.kill()

    def pause(self) -> None:
        """Freezes it: connections stay open and nobody answers (SIGSTOP)."""
        self._signal(signal.SIGSTOP)
        if self.running:
            eventually(self._stopped)  # on a busy machine its threads go on for a while

    def _stopped(self) -> bool:
        assert self._process is not None
        how = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._process.pid, how) is not None

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # does nothing once the process has been reaped
