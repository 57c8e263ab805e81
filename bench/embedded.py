"""The embedded suite: start, idle memory, and what a short clip costs beside bare ffmpeg."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx

from bench.figures import Figure
from bench.media import bare, make_mp4
from bench.watch import resident
from dev.waiting import eventually
from tests.client import Client
from tests.embedded import Embedded

RUNS = 9


def measure(folder: Path) -> Iterator[Figure]:
    suite = Embedded(folder)
    began = time.monotonic()
    with suite.process:
        eventually(lambda: _answers(suite.url), timeout=30, interval=0.01)
        yield Figure(
            "embedded: first answer after start",
            time.monotonic() - began,
            3,
            "s",
            "from exec to the first 200 of /healthz",
        )
        assert suite.process.child
        eventually(lambda: httpx.get(f"{suite.url}/readyz", trust_env=False).status_code == 200)
        yield Figure(
            "embedded: idle memory",
            resident(suite.process.child.pid),
            250,
            "MB",
            "resident set, all services in one process",
        )
        yield _clip(suite.client(), make_mp4(folder / "clip.mp4", 5), folder / "bare.mp3")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _clip(client: Client, clip: Path, target: Path) -> Figure:
    more = []
    for _ in range(RUNS):
        began = time.monotonic()
        bare(clip, target)
        alone = time.monotonic() - began
        job, seconds = until_mp3(client, clip)
        more.append((seconds - alone) * 1000)
        client.ended(job)
    return Figure(
        "5 s clip: more than bare ffmpeg", median(more), 150, "ms", f"upload to MP3 link, median of {RUNS}", tuple(more)
    )


def until_mp3(client: Client, path: Path, interval: float = 0.01, **options: str) -> tuple[str, float]:
    """The job, and the seconds from the first byte up until it names its MP3."""
    began = time.monotonic()
    job = client.upload(path, **options)["id"]
    eventually(
        lambda: any(found["kind"] == "audio" for found in client.job(job)["artifacts"]), timeout=900, interval=interval
    )
    return job, time.monotonic() - began
