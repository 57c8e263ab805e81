"""Uploads of 1 GB beside the same bytes without Spool, by form and by tus beside raw, and the same bytes again."""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

from gridfs import GridFSBucket
from pymongo import MongoClient

from bench import sites
from bench.figures import Figure, ratio
from bench.media import make_wav
from bench.sites import SECONDS, Servers, Site, put
from pipeline.blobs import CHUNK
from tests.processes import ROOT

SIZE, AGAIN = 1_000_000_000, 100_000_000
RUNS = 5
CURL = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", str(SECONDS)]
CLOCK = ["--output", os.devnull, "--write-out", "%{time_total}"]
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


def measure(folder: Path) -> Iterator[Figure]:
    source = _make_source(folder / "large.bin")
    with sites.embedded(folder / "embedded") as site:
        yield from _beside_copy(site, source, folder / "copy.bin")
        yield _again(site, folder, "embedded")
    with Servers() as servers, servers.on_gridfs(folder / "gridfs") as installation:
        yield _again(sites.installed(installation), folder, "GridFS")
        yield _beside_driver(sites.idle(installation), source, installation.blobs)


def _make_source(path: Path) -> Path:
    """Bytes that nobody can compress, and that are no recording."""
    block = random.Random(7).randbytes(1_000_000)
    with path.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
    return path


@dataclass(frozen=True)
class _Round:
    """Seconds for the same bytes: copied, copied and synced, and uploaded in three ways."""

    copied: float
    durable: float
    raw: float
    form: float
    tus: float


def _beside_copy(site: Site, source: Path, target: Path) -> Iterator[Figure]:
    rounds = [
        _Round(*_copy(source, target), _raw(site, source), _form(site, source), _tus(site, source)) for _ in range(RUNS)
    ]
    speeds = {name: [SIZE / vars(one)[name] / 1e6 for one in rounds] for name in vars(rounds[0])}
    middle = {name: f"{median(found):.0f} MB/s" for name, found in speeds.items()}
    copied = (
        f"beside a loop that reads, hashes, writes and syncs ({middle['durable']}; {middle['copied']} without sync)"
    )
    copy = f"1 GB by curl -T ({middle['raw']}) {copied}, {RUNS} pairs"
    form, tus = (f"1 GB ({middle[way]}) beside PUT ({middle['raw']}), {RUNS} pairs" for way in ("form", "tus"))
    yield ratio("raw PUT, embedded", speeds["raw"], speeds["durable"], 0.85, copy, at_least=True)
    yield ratio("multipart, embedded", speeds["form"], speeds["raw"], 0.75, form, at_least=True)
    yield ratio("tus in one PATCH, embedded", speeds["tus"], speeds["raw"], None, tus, at_least=True)


def _beside_driver(site: Site, source: Path, database: str) -> Figure:
    ours, theirs = [], []
    for _ in range(RUNS):
        theirs.append(SIZE / _stream(source, database) / 1e6)
        ours.append(SIZE / _raw(site, source) / 1e6)
    speeds = f"({median(ours):.0f} and {median(theirs):.0f} MB/s)"
    detail = f"1 GB beside GridFSBucket.upload_from_stream with hash {speeds}, {RUNS} pairs"
    return ratio("raw PUT, GridFS", ours, theirs, 0.8, detail, at_least=True)


def _again(site: Site, folder: Path, store: str) -> Figure:
    """The whole PUT of bytes that are there already, from its last byte on."""
    recording = make_wav(folder / "long.wav", AGAIN).read_bytes()
    first, _ = _put(site, recording)
    assert site.client.ended(first["id"], SECONDS)["state"] == "done"
    taken = []
    for _ in range(RUNS):
        job, seconds = _put(site, recording)
        assert job["reused"], job
        taken.append(seconds * 1000)
    site.clear()
    detail = f"from the last of {AGAIN / 1e6:g} MB to the finished job, median of {RUNS}"
    return Figure(f"the same bytes again, {store}", median(taken), 200, "ms", detail, tuple(taken))


def _put(site: Site, recording: bytes) -> tuple[dict[str, Any], float]:
    os.sync()
    pieces = (recording[start : start + CHUNK] for start in range(0, len(recording), CHUNK))
    connection = site.connection()
    try:
        return put(connection, site.headers(), pieces, len(recording), "?transcribe=false")
    finally:
        connection.close()


def _copy(source: Path, target: Path) -> tuple[float, float]:
    """Seconds until all is written, and until it is durable; in a process of its own, as curl is."""
    os.sync()
    command = [sys.executable, "-m", "bench.uploads", str(source), str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True)
    target.unlink()
    written, durable = map(float, done.stdout.split())
    return written, durable


def _raw(site: Site, source: Path) -> float:
    return _curl(site, source, f"{site.url}/v1/files/large.bin", ["--upload-file", str(source)])


def _form(site: Site, source: Path) -> float:
    return _curl(site, source, f"{site.url}/upload", ["--form", f"file=@{source}"])


def _tus(site: Site, source: Path) -> float:
    headers = {"Tus-Resumable": TUS["Tus-Resumable"], "Upload-Length": str(SIZE)}
    created = site.client.sign_in().http.post("/v1/uploads", headers=headers)
    assert created.status_code == 201, created.text
    said = [word for name, value in TUS.items() for word in ("--header", f"{name}: {value}")]
    body = ["--request", "PATCH", "--upload-file", str(source)]
    return _curl(site, source, f"{site.url}{created.headers['Location']}", [*said, *body])


def _curl(site: Site, source: Path, url: str, arguments: list[str]) -> float:
    """Seconds by curl's clock. The bytes are new to the site, and gone from it afterwards."""
    with source.open("r+b") as file:
        file.write(random.randbytes(16))
    os.sync()
    token = f"Authorization: {site.headers()['Authorization']}"
    command = [*CURL, *CLOCK, "--header", token, *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 10, check=True)
    site.clear()
    return float(done.stdout)


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data


def _stream(source: Path, database: str) -> float:
    os.sync()
    with (
        source.open("rb") as file,
        MongoClient[dict[str, Any]](database, w="majority", journal=True, timeoutMS=SECONDS * 1000) as client,
    ):
        bare = client.get_default_database()
        began = time.monotonic()
        GridFSBucket(bare, "bare").upload_from_stream("large.bin", _Hashing(file))
        seconds = time.monotonic() - began
        for part in ("files", "chunks"):
            bare.drop_collection(f"bare.{part}")
        return seconds


def _copy_here(source: Path, target: Path) -> tuple[float, float]:
    began, digest = time.monotonic(), hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while piece := reader.read(CHUNK):
            digest.update(piece)
            writer.write(piece)
        writer.flush()
        written = time.monotonic() - began
        os.fsync(writer.fileno())
    return written, time.monotonic() - began


if __name__ == "__main__":
    print(*_copy_here(Path(sys.argv[1]), Path(sys.argv[2])))
