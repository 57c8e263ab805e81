"""Two gateways of one installation: what comes in at one goes out at the other, and nothing of it lies on either's disk."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest

from dev.waiting import eventually
from gateway.tests.servers import dial
from sync.tests.site import falls_silent, running
from tests.client import Client, artifact, curl, names
from tests.installation import Installation
from tests.processes import ROOT, Process

pytestmark = pytest.mark.servers
SECOND = "second gateway"
MEBIBYTE = 2**20
CONTENT = b"\x00\x00\x00\x20ftypisom" + os.urandom(24 * MEBIBYTE)


@pytest.fixture(scope="module")
def temporary(installed_suite: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the second gateway would put temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    installed_suite.web("gateway", SECOND, TMPDIR=str(folder))
    return folder


@pytest.fixture
def second(installed_suite: Installation, temporary: Path) -> Iterator[Client]:
    installed_suite.mend()
    client = installed_suite.client(SECOND)
    yield client
    client.close()


@pytest.fixture
def first(installed_suite: Installation) -> Iterator[Client]:
    client = installed_suite.client()
    yield client
    client.close()


def test_a_job_is_watched_and_fetched_at_the_other_gateway(
    installed_suite: Installation, first: Client, second: Client, recording: Path, tmp_path: Path
) -> None:
    job = first.upload(recording, transcribe="no", waveform="no", notify="")["id"]
    events = curl("-N", *first.bearer, f"{installed_suite.address(SECOND)}/v1/jobs/{job}/events", folder=tmp_path)
    last = [line.removeprefix("data: ") for line in events.splitlines() if line.startswith("data: ")][-1]
    done = json.loads(last)
    assert (done["state"], names(done)) == ("done", ["clip.mp3", "clip.mp4"])
    assert second.http.get(artifact(done, "clip.mp4")["href"]).content == recording.read_bytes()

    link = second.http.post(f"/v1/jobs/{job}/links", json={"artifact": "clip.mp4"}).json()["url"]
    at_first = httpx.URL(installed_suite.url).join(httpx.URL(link).path)
    assert httpx.get(at_first, timeout=30, trust_env=False).content == recording.read_bytes()


def test_who_waits_at_one_gateway_hears_what_is_said_to_the_other(first: Client, second: Client) -> None:
    with running() as site, ThreadPoolExecutor(1) as beside:
        url = site.put("/clip.mp4", falls_silent(b"HTTP/1.1 200 OK\r\n\r\n", Event()))
        job = first.http.post("/v1/jobs", json={"url": url, "notify": []}).json()["id"]
        waited = beside.submit(second.http.get, f"/v1/jobs/{job}", params={"wait": 25})
        first.http.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        assert waited.result().json()["state"] == "cancelled"


def test_a_gateway_killed_in_mid_upload_leaves_nothing_on_its_disk(
    installed_suite: Installation, first: Client, second: Client, temporary: Path
) -> None:
    gateway, jobs, before = installed_suite.services[SECOND], ids(first), installed_suite.stored()
    with dial(installed_suite.address(SECOND)) as connection:
        connection.sendall(begun(second))
        eventually(lambda: len(installed_suite.stored() - before) == 1)
        assert large_files_of(gateway) == []
        gateway.kill_all()
    assert ids(first) == jobs
    assert [*temporary.rglob("*")] == []
    assert [path for folder in (ROOT, Path(tempfile.gettempdir())) for path in holding_the_upload(folder)] == []

    (left,) = installed_suite.stored() - before
    soon = {"SPOOL_JANITOR_HOURS": "0.0001"}
    eventually(
        lambda: (
            installed_suite.run("gateway", "-m", "pipeline", "clean", **soon) and left not in installed_suite.stored()
        )
    )


def ids(client: Client) -> set[str]:
    return {job["id"] for job in client.jobs()}


def begun(client: Client) -> bytes:
    """A request, and the beginning of what it announces."""
    lines = [
        "PUT /v1/files/talk.mp4 HTTP/1.1",
        "Host: localhost",
        f"Authorization: {client.http.headers['Authorization']}",
        f"Content-Length: {2 * len(CONTENT)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + CONTENT


def large_files_of(server: Process) -> list[str]:
    """What the server and its workers have open that could hold an upload, also if it has no name any more."""
    assert server.child
    parent = server.child.pid
    pids = [parent, *map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())]
    descriptors = [descriptor for pid in pids for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    return [str(descriptor.readlink()) for descriptor in descriptors if is_large(descriptor)]


def is_large(path: Path) -> bool:
    """False for what is gone meanwhile."""
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > MEBIBYTE


def holding_the_upload(folder: Path) -> list[Path]:
    """Large files right in `folder` that begin as the upload does."""
    return [path for path in folder.iterdir() if is_large(path) and begins_as_the_upload(path)]


def begins_as_the_upload(path: Path) -> bool:
    """False for what is gone meanwhile."""
    try:
        with path.open("rb") as file:
            return CONTENT.startswith(file.read(4096))
    except FileNotFoundError:
        return False
