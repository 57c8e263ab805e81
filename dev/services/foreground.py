"""Servers for the time of one command."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from dev.services import VARIABLES
from dev.services.private import PrivateServers


@contextmanager
def all_servers() -> Iterator[Mapping[str, str]]:
    """Starts one server of each kind, gives the variables that name them, and ends them, at SIGTERM too.

    Raises ServerFailed.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with PrivateServers() as private:
        servers = {name: private.launch(name) for name in VARIABLES}
        for server in servers.values():
            server.wait_until_ready()
        yield {VARIABLES[name]: server.url for name, server in servers.items()}


def run(command: Sequence[str]) -> int:
    """Runs `command` with servers of its own; returns its status, as a shell gives it."""
    with all_servers() as variables:
        status = subprocess.run(command, env={**os.environ, **variables}, check=False).returncode
    return status if status >= 0 else 128 - status
