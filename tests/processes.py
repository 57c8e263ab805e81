"""Services as processes of their own, started the way an installation starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from dev.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CONCERNED = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a service takes over of the tests' environment; the rest it is given by name."""


class Process:
    """One process, with its output in a file. It never outlives the `with` block."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name, self.command, self.log = name, command, folder / f"{name}.log"
        self.environment = {key: os.environ[key] for key in CONCERNED if key in os.environ} | dict(environment)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Does nothing while it runs."""
        if self.child and self.child.poll() is None:
            return self
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self

    def signal(self, number: int) -> None:
        assert self.child
        self.child.send_signal(number)

    def kill(self) -> None:
        """The machine pulls the plug."""
        self.signal(signal.SIGKILL)
        self.wait()

    def kill_all(self) -> None:
        """The same for a server and its children."""
        assert self.child
        os.killpg(self.child.pid, signal.SIGKILL)
        self.wait()

    def stop(self, within: float = 40) -> int:
        """Asks it to end, and returns its status. Raises subprocess.TimeoutExpired after `within` seconds."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def wait(self, timeout: float = 40) -> int:
        assert self.child
        return self.child.wait(timeout)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.child and self.child.poll() is None:
            self.kill()


def python(name: str, *arguments: str, environment: Mapping[str, str], folder: Path) -> Process:
    return Process(name, [sys.executable, *arguments], environment, folder)


def gunicorn(
    service: str, port: int, *, environment: Mapping[str, str], folder: Path, name: str | None = None
) -> Process:
    command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", f"{service}.wsgi:app"]
    return Process(name or service, command, environment, folder)


def wait_for(url: str, process: Process, timeout: float = 30) -> None:
    """Until `url` answers 200, or the process has ended, or the time is up."""

    def answers() -> bool:
        assert process.child
        if process.child.poll() is not None:
            raise RuntimeError(f"{process.name} ended:\n{process.output()[-3000:]}")
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    eventually(answers, timeout)


def youngest_thread(pid: int) -> int:
    """The one that began last, by its number; `os.kill` with it gives a signal to that thread, as the system may do by itself."""
    return max(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())
