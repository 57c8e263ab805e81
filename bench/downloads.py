"""Downloads: the embedded suite beside Flask's `send_file` on the same server, GridFS beside the driver's own stream, and a seek."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, send_file
from gridfs import GridFSBucket
from pymongo import MongoClient

from bench import sites
from bench.figures import Figure, ratio
from bench.sites import Servers
from dev.services.server import free_port
from dev.serving import served
from pipeline.blobs import CHUNK
from tests.client import Client
from tests.processes import python, wait_for

SIZE, LAST = 1_000_000_000, 1_000_000
RUNS, SEEKS = 5, 9
HOURS = 3600


def measure(folder: Path) -> Iterator[Figure]:
    """Beside `send_file`, then on GridFS."""
    yield from _embedded(folder / "embedded")
    yield from _gridfs(folder / "gridfs")


def _embedded(folder: Path) -> Iterator[Figure]:
    with sites.embedded(folder) as site:
        url, headers = _stored(site.client)
        file = max((folder / "data/blobs").iterdir(), key=lambda path: path.stat().st_size)
        port = free_port()
        with python("send_file", "-m", "bench.downloads", str(port), str(file), environment={}, folder=folder) as bare:
            address = f"http://127.0.0.1:{port}"
            wait_for(f"{address}/ready", bare)
            yield _beside("a download, embedded", url, headers, lambda: download(address, {}), "Flask's send_file")
        yield _seek("the last MB of 1 GB, embedded", url, headers)


def _gridfs(folder: Path) -> Iterator[Figure]:
    with Servers() as servers, servers.on_gridfs(folder) as installation:
        url, headers = _stored(installation.client())
        bare = partial(_stream, installation.blobs)
        yield _beside("a download, GridFS", url, headers, bare, "GridFSBucket's download stream")
        yield _seek("the last MB of 1 GB, GridFS", url, headers)


def _stored(client: Client) -> tuple[str, dict[str, str]]:
    """The address of a new file of `SIZE` bytes that nobody works on, and the headers that open it."""
    block = random.Random(7).randbytes(1_000_000)
    body = (block for _ in range(SIZE // len(block)))
    headers = {"Content-Length": str(SIZE)}
    answer = client.http.put("/v1/files/large.bin", content=body, headers=headers, timeout=600)
    assert answer.status_code == 202, answer.text
    job = client.ended(answer.json()["id"], timeout=600)
    url = client.http.base_url.join(job["artifacts"][0]["href"])
    return str(url), {"Authorization": client.http.headers["Authorization"]}


def _beside(name: str, url: str, headers: dict[str, str], bare: Callable[[], float], what: str) -> Figure:
    """Megabytes a second, ours by theirs."""
    ours, theirs = [], []
    for _ in range(RUNS):
        theirs.append(SIZE / bare() / 1e6)
        ours.append(SIZE / download(url, headers) / 1e6)
    detail = f"1 GB beside {what} ({median(ours):.0f} and {median(theirs):.0f} MB/s), {RUNS} pairs"
    return ratio(name, ours, theirs, 0.8, detail, at_least=True)


def download(url: str, headers: dict[str, str]) -> float:
    """Seconds for the `SIZE` bytes at `url`."""
    began = time.monotonic()
    with closing(_connection(url)) as connection:
        _drain(_answer(connection, url, headers))
    return time.monotonic() - began


def _stream(database: str) -> float:
    client: MongoClient[dict[str, Any]] = MongoClient(database, tz_aware=True, timeoutMS=600_000)
    with client:
        files = client.get_default_database()
        blob = files.fs.files.find_one({"length": SIZE})
        assert blob
        began = time.monotonic()
        with GridFSBucket(files).open_download_stream(blob["_id"]) as stream:
            left = SIZE
            while chunk := stream.read(CHUNK):
                left -= len(chunk)
        assert left == 0
        return time.monotonic() - began


def _seek(name: str, url: str, headers: dict[str, str]) -> Figure:
    asked = {**headers, "Range": f"bytes=-{LAST}"}
    taken = []
    for _ in range(SEEKS):
        began = time.monotonic()
        with closing(_connection(url)) as connection:
            answer = _answer(connection, url, asked)
            assert (answer.status, len(answer.read(1))) == (206, 1)
            taken.append((time.monotonic() - began) * 1000)
    return Figure(name, median(taken), 100, "ms", f"to the first byte, median of {SEEKS}", tuple(taken))


def _connection(url: str) -> HTTPConnection:
    return HTTPConnection(urlsplit(url).netloc, timeout=60)


def _answer(connection: HTTPConnection, url: str, headers: dict[str, str]) -> HTTPResponse:
    connection.request("GET", urlsplit(url).path or "/", headers=headers)
    return connection.getresponse()


def _drain(source: HTTPResponse) -> None:
    buffer, left = bytearray(CHUNK), SIZE
    while count := source.readinto(buffer):
        left -= count
    assert left == 0


def _serve(port: int, path: Path) -> None:
    """`send_file` on the server of the embedded suite."""
    app = Flask(__name__)

    @app.get("/")
    def file() -> Response:
        return send_file(path, mimetype="application/octet-stream")

    @app.get("/ready")
    def ready() -> str:
        return "yes"

    with served("send_file", app, port):
        Event().wait(HOURS)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
