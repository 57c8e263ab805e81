"""Real servers on loopback, and clients that behave badly."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx

from dev.serving import Server
from dev.waiting import eventually

ROOT = Path(__file__).parents[2]


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serves a WSGI app on a free port and gives its address."""
    server = Server(("127.0.0.1", 0), app, numthreads=4, timeout=20, shutdown_timeout=2)
    server.expiration_interval = 0.05  # how long it takes to notice that it should end
    server.prepare()
    thread = Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join(10)


@dataclass(frozen=True)
class Gunicorn:
    """A running gunicorn with one worker process."""

    url: str
    pid: int

    @property
    def worker(self) -> int:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return int(eventually(children.read_text).split()[0])


@contextmanager
def gunicorn(
    folder: Path, environment: Mapping[str, str], *arguments: str, app: str = "gateway.wsgi:app"
) -> Iterator[Gunicorn]:
    """Runs `app` with the configuration of the repository."""
    log = folder / "gunicorn.log"
    with (
        log.open("w") as output,
        start(environment, *arguments, "--bind=127.0.0.1:0", output=output, app=app) as process,
    ):
        try:
            found = eventually(lambda: re.search(r"Listening at: (\S+)", log.read_text()))
            httpx.get(found[1], timeout=60)  # it listens long before its worker has loaded the app
            yield Gunicorn(found[1], process.pid)
        finally:
            process.terminate()


@contextmanager
def start(
    environment: Mapping[str, str], *arguments: str, output: Any = subprocess.PIPE, app: str = "gateway.wsgi:app"
) -> Iterator[Any]:
    """A gunicorn process, which is gone at the end of the block."""
    command = [sys.executable, "-m", "gunicorn", *arguments, app]
    base = {name: value for name, value in os.environ.items() if not name.startswith("SPOOL_")}
    process = subprocess.Popen(command, cwd=ROOT, env={**base, **environment}, stdout=output, stderr=subprocess.STDOUT)
    with process:
        try:
            yield process
            process.wait(20)
        finally:
            process.kill()


def descriptors(process: int | str) -> list[str]:
    """What each descriptor of the process stands for; those that are closed meanwhile are left out."""
    found = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


def dial(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def upload_head(headers: Mapping[str, str], length: int) -> bytes:
    """The start of a request that uploads talk.mp4 and announces a body of `length` bytes."""
    lines = [
        "POST /upload HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in headers.items()),
        "Content-Type: multipart/form-data; boundary=cut",
        f"Content-Length: {length}",
    ]
    part = '--cut\r\nContent-Disposition: form-data; name="file"; filename="talk.mp4"\r\n\r\n'
    return ("\r\n".join(lines) + "\r\n\r\n" + part).encode()


def read_all(connection: socket.socket) -> bytes:
    """Everything the server sends until it closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received
