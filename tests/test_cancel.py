"""What is called off ends within seconds, wherever it is."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dev.waiting import eventually
from tests.client import Client
from tests.embedded import Embedded
from tests.recordings import make_conference

PROMPT = 10.0
"""Seconds; the work would take minutes."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    running = Embedded(tmp_path_factory.mktemp("cancel"))
    with running.start().process:
        yield running


@pytest.fixture(scope="module")
def conference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "conference.mp3"
    make_conference(path, hours=3)
    return path


def converting(suite: Embedded) -> set[str]:
    """The ffmpegs that work in this suite's folder."""
    return {place.parent.name for place in Path("/proc").glob("[0-9]*/cwd") if _is_ffmpeg(place, suite.data)}


def _is_ffmpeg(place: Path, folder: Path) -> bool:
    try:
        return place.readlink().is_relative_to(folder) and b"ffmpeg" in (place.parent / "cmdline").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return False


@pytest.fixture
def job(suite: Embedded, client: Client, conference: Path) -> Iterator[str]:
    """One in the middle of its encoding."""
    with conference.open("rb") as body:
        job = client.http.put("/v1/files/conference.mp3", params={"transcribe": "no"}, content=body).json()["id"]
    eventually(lambda: client.stage(job, "encode")["percent"] > 0 and len(converting(suite)) == 1, timeout=60)
    yield job
    client.http.delete(f"/v1/jobs/{job}")


def events(client: Client, job_id: str) -> list[dict[str, Any]]:
    """All until the stream ends."""
    with client.http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=60) as stream:
        data = [line.removeprefix("data:") for line in stream.iter_lines() if line.startswith("data:")]
    return [json.loads(text) for text in data]


def at_rest(suite: Embedded) -> bool:
    return not list((suite.data / "scratch").iterdir())


def test_cancelling_ends_ffmpeg_at_once(suite: Embedded, client: Client, job: str) -> None:
    with ThreadPoolExecutor(1) as listener:
        heard = listener.submit(events, client, job)
        assert client.http.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
        eventually(lambda: not converting(suite), timeout=PROMPT)
        assert heard.result(30)[-1]["state"] == "cancelled"
    eventually(lambda: at_rest(suite), timeout=PROMPT)
    cancelled = client.job(job)
    assert (cancelled["state"], client.stage(job, "encode")["state"]) == ("cancelled", "cancelled")
    assert [found["name"] for found in cancelled["artifacts"]] == ["conference.mp3"]
    assert client.http.post(f"/v1/jobs/{job}/retry").status_code == 202
    eventually(lambda: converting(suite), timeout=60)


def test_deleting_ends_ffmpeg_at_once_and_leaves_no_byte(suite: Embedded, client: Client, job: str) -> None:
    assert client.http.delete(f"/v1/jobs/{job}").status_code == 204
    eventually(lambda: not converting(suite), timeout=PROMPT)
    eventually(lambda: at_rest(suite), timeout=PROMPT)
    eventually(lambda: not suite.stored(), timeout=30)
    assert client.http.get(f"/v1/jobs/{job}").status_code == 404
