"""Services on real servers: the cost of a hop, and the gateway's memory in a large upload."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import text

from bench.figures import Figure
from bench.media import make_mp4
from bench.sites import Servers
from bench.watch import children, forget_peak, resident
from pipeline.database import connect
from tests.client import Client
from tests.installation import Installation

GIGABYTE = 1000**3
HOPS = """
    SELECT TIMESTAMPDIFF(MICROSECOND, before_.finished_at, after_.started_at) / 1000.0
    FROM tasks before_ JOIN tasks after_ ON after_.job_id = before_.job_id
    WHERE before_.kind = 'extract' AND after_.kind = 'encode'
"""


def measure(folder: Path, installation: Installation) -> Iterator[Figure]:
    client = installation.client()
    yield _memory(client, installation)
    yield _hops(client, installation, make_mp4(folder / "clip.mp4", 5))


def _memory(client: Client, installation: Installation) -> Figure:
    gunicorn = installation.services["gateway"].child
    assert gunicorn
    (worker,) = children(gunicorn.pid)
    forget_peak(worker)
    before = resident(worker)
    _upload_a_gigabyte(client)
    return Figure(
        "1 GB upload: gateway's growth", resident(worker, "VmHWM") - before, 64, "MB", "peak resident set, GridFS"
    )


def _upload_a_gigabyte(client: Client) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
    tail, chunk = b"\r\n--b--\r\n", bytes(1_000_000)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(GIGABYTE // len(chunk)):
            yield chunk
        yield tail

    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(head) + GIGABYTE + len(tail)),
    }
    answer = client.http.post("/upload", content=body(), headers=headers, timeout=httpx.Timeout(600))
    assert answer.status_code == 202, answer.text
    client.ended(answer.json()["id"], timeout=600)


def _hops(client: Client, installation: Installation, clip: Path) -> Figure:
    for _ in range(7):
        client.ended(client.upload(clip)["id"])
    with connect(installation.catalog).connect() as catalog:
        hops = tuple(float(hop) for hop in catalog.scalars(text(HOPS)))
    return Figure(
        "a hop on RabbitMQ", median(hops), 50, "ms", f"extract committed to encode claimed, median of {len(hops)}", hops
    )


def with_servers(folder: Path) -> Iterator[Figure]:
    with Servers() as servers, servers.on_gridfs(folder / "gridfs") as installation:
        yield from measure(folder / "gridfs", installation)
