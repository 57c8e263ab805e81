"""Servers that stay up until they are told to end, held by one process in the background."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.services.foreground import all_servers
from dev.services.server import ServerFailed
from dev.waiting import eventually

FOLDER = Path(".cache/services")  # of the checkout: `python -m dev` works only there
STATE = FOLDER / "state.json"
LOG = FOLDER / "log"


def up() -> dict[str, str]:
    """Starts the servers unless they are up; returns the variables that name them. Raises ServerFailed."""
    if not _held():
        with LOG.open("wb") as log:
            holder = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        eventually(lambda: _state().get("pid") == holder.pid or holder.poll() is not None, 120)
        if holder.poll() is not None:
            raise ServerFailed(LOG.read_text())
    variables: dict[str, str] = _state()["variables"]
    return variables


def down() -> bool:
    """Ends the servers and their data; False if none were up."""
    if not _held():
        return False
    os.kill(_state()["pid"], signal.SIGTERM)
    eventually(lambda: not _held())
    return True


def hold() -> None:
    """Keeps servers up until SIGTERM. Raises BlockingIOError if another process does already."""
    with _lock(), all_servers() as variables:
        fresh = STATE.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": os.getpid(), "variables": variables}))
        fresh.rename(STATE)
        signal.pause()


def _state() -> dict[str, Any]:
    return json.loads(STATE.read_text()) if STATE.exists() else {}


@contextmanager
def _lock() -> Iterator[None]:
    """Only the holder has it, and loses it however it ends: so a number in the state file never names a stranger."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _held() -> bool:
    try:
        with _lock():
            return False
    except BlockingIOError:
        return True


if __name__ == "__main__":
    hold()
