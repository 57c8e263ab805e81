"""Many at once: the gateway's memory under 8 large transfers, 2,000 small files by 16 clients, uploads beside 200 listeners."""

import os
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from bench import sites
from bench.downloads import SIZE, download
from bench.figures import Figure, ratio
from bench.sites import Servers, Site, put
from bench.watch import forget_peak, resident, threads
from dev.waiting import eventually
from tests.client import Client
from tests.installation import PASSWORD, Installation
from tests.processes import python

BLOCK = random.Random(7).randbytes(1_000_000)
TOGETHER = 8
SMALL, FILES, CLIENTS = 64 * 1024, 2_000, 16
LISTENERS, PAIRS = 200, 7
UPLOAD, UPLOADS, UPLOADERS = 20_000_000, 40, 4
HOURS = 3600


def measure(folder: Path) -> Iterator[Figure]:
    with sites.embedded(folder / "embedded") as site:
        yield from _small_files(site, "embedded")
    with Servers() as servers:
        for store, installation in (
            ("GridFS", servers.on_gridfs(folder / "gridfs")),
            ("a directory", servers.on_directory(folder / "directory")),
        ):
            with installation:
                site = sites.idle(installation)
                yield from _memory(site, store)  # first, while the gateway is fresh
                yield _listeners(site, installation, store)
                yield from _small_files(site, store)


def _memory(site: Site, store: str) -> Iterator[Figure]:
    before, name = resident(site.gateway), f"{TOGETHER} {{}} of 1 GB, {store}: growth"
    detail = f"the gateway's peak resident set above the {before:.0f} MB before all of it"
    forget_peak(site.gateway)
    with ThreadPoolExecutor(TOGETHER) as pool:
        jobs = list(pool.map(partial(_upload, site, site.headers(), SIZE), range(TOGETHER)))
        yield Figure(name.format("uploads"), resident(site.gateway, "VmHWM") - before, 64, "MB", detail)
        forget_peak(site.gateway)
        urls = [site.url + job["artifacts"][0]["href"] for job in jobs]
        list(pool.map(partial(download, headers=site.headers()), urls))
        yield Figure(name.format("downloads"), resident(site.gateway, "VmHWM") - before, 64, "MB", detail)
    site.clear()


def _upload(site: Site, headers: dict[str, str], size: int, _number: int) -> dict[str, Any]:
    """A file that no other equals."""
    with closing(site.connection()) as connection:
        pieces = (BLOCK if number else os.urandom(len(BLOCK)) for number in range(size // len(BLOCK)))
        return put(connection, headers, pieces, size)[0]


def _small_files(site: Site, store: str) -> Iterator[Figure]:
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        shares = list(pool.map(partial(_one_client, site, site.headers()), [FILES // CLIENTS] * CLIENTS))
    seconds = time.monotonic() - began
    taken = tuple(found for share in shares for found in share)
    work = "and being worked on" if site.working else "by the gateway alone"
    detail = f"{FILES} files of {SMALL // 1024} KB by {CLIENTS} clients, {work}"
    yield Figure(f"small files, {store}: failures", FILES - len(taken), 0, "", detail)
    yield Figure(f"small files, {store}", len(taken) / seconds, None, "1/s", detail)
    yield Figure(f"small files, {store}: p99", quantiles(taken, n=100)[98], None, "ms", detail, taken)


def _one_client(site: Site, headers: dict[str, str], count: int) -> list[float]:
    """Milliseconds of each file that was taken, on one connection."""
    taken = []
    with closing(site.connection()) as connection:
        for _ in range(count):
            body, began = os.urandom(SMALL), time.monotonic()
            try:
                put(connection, headers, [body], SMALL)
            except (OSError, HTTPException, RuntimeError) as error:
                print(f"a small file failed: {error!r}", file=sys.stderr)
                connection.close()
            else:
                taken.append((time.monotonic() - began) * 1000)
    return taken


def _listeners(site: Site, installation: Installation, store: str) -> Figure:
    alone, beside, other = [], [], _somebody_else(installation)
    for _ in range(PAIRS):
        alone.append(_rate(site))
        without = _costs(site)
        with _listening(site, other, installation.folder):
            beside.append(_rate(site))
            costs = f"{without} without, {_costs(site)} with them"
    speeds = f"{median(beside):.0f} and {median(alone):.0f} MB/s"
    detail = f"{UPLOADS} files of 20 MB by {UPLOADERS} clients ({speeds}), {PAIRS} pairs; the gateway has {costs}"
    return ratio(f"beside {LISTENERS} listeners, {store}", beside, alone, 0.9, detail, at_least=True)


def _rate(site: Site) -> float:
    """Megabytes a second."""
    os.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(UPLOADERS) as pool:
        list(pool.map(partial(_upload, site, site.headers(), UPLOAD), range(UPLOADS)))
    seconds = time.monotonic() - began
    site.clear()
    return UPLOAD * UPLOADS / seconds / 1e6


def _costs(site: Site) -> str:
    return f"{threads(site.gateway)} threads and {resident(site.gateway):.0f} MB"


def _somebody_else(installation: Installation) -> Client:
    """One user may not listen so often alone."""
    other = "other@example.org"
    installation.run("auth", "-m", "auth", "user", "add", other, "--password-stdin", standard_input=PASSWORD)
    return Client(installation.url, other, PASSWORD)


@contextmanager
def _listening(site: Site, other: Client, folder: Path) -> Iterator[None]:
    """Half of them to the uploads, half to nothing."""
    tokens = [client.sign_in().http.headers["Authorization"] for client in (site.client, other)]
    process = python("listeners", "-m", "bench.crowd", site.url, *tokens, environment={}, folder=folder)
    process.log.unlink(missing_ok=True)
    with process:
        eventually(lambda: "all listen" in process.output())
        yield
        assert process.child
        assert process.child.poll() is None, process.output()


def _listen(url: str, *tokens: str) -> None:
    """Until it is ended, or the gateway ends one of the streams."""
    selector, deadline = selectors.DefaultSelector(), time.monotonic() + HOURS
    new = {_listener(url, token) for token in tokens for _ in range(LISTENERS // len(tokens))}
    for connection in new:
        selector.register(connection, selectors.EVENT_READ, connection)
    while time.monotonic() < deadline:
        for key, _ in selector.select(1):
            _hear(key.data, new)


def _listener(url: str, token: str) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    head = f"GET /v1/events HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def _hear(connection: socket.socket, new: set[socket.socket]) -> None:
    words = connection.recv(65536)
    if not words or (connection in new and not words.startswith(b"HTTP/1.1 200")):
        sys.exit(f"a listener got {words!r}")
    if connection in new:
        new.remove(connection)
        if not new:
            print("all listen", flush=True)


if __name__ == "__main__":
    _listen(*sys.argv[1:])
