"""Published clients of tus, as they are, against real servers."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from dev.waiting import eventually
from gateway.tests.conftest import World
from gateway.tests.servers import ROOT, Gunicorn, dial

SIZE = 5_000_000
CHUNK = 1_000_000
TUS_JS = ROOT / ".cache/tus-js/node_modules"

Run = Callable[..., AbstractContextManager[Gunicorn]]


@pytest.fixture
def server(run: Run) -> Iterator[Gunicorn]:
    with run() as server:
        yield server


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Bytes that no two parts of are alike."""
    path = tmp_path / "recording.mp4"
    path.write_bytes(b"\x00\x00\x00\x20ftypisom" + os.urandom(SIZE - 12))
    return path


def assert_arrived(server: Gunicorn, world: World, job_id: str, recording: Path) -> dict[str, Any]:
    """The job's original is the recording, byte by byte."""
    job = httpx.get(f"{server.url}/v1/jobs/{job_id}", headers=world.ada).raise_for_status().json()
    (original,) = job["artifacts"]
    assert original["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert httpx.get(f"{server.url}{original['href']}", headers=world.ada).content == recording.read_bytes()
    return dict(job)


def jobs(server: Gunicorn, world: World) -> list[str]:
    return [job["id"] for job in httpx.get(f"{server.url}/v1/jobs", headers=world.ada).json()["items"]]


def test_tuspy_uploads_and_goes_on_later(server: Gunicorn, world: World, recording: Path) -> None:
    given = {"chunk_size": CHUNK, "metadata": {"filename": "Gespräch.mp4", "language": "en"}, "upload_checksum": True}
    url = None
    for begin, end in ((0, 2 * CHUNK), (2 * CHUNK, SIZE)):
        client = TusClient(f"{server.url}/v1/uploads", headers=world.ada)
        with recording.open("rb") as stream:
            uploader = client.uploader(file_stream=stream, url=url, **given)
            assert uploader.offset == begin
            uploader.upload(stop_at=end)
        url = uploader.url
    last: Any = uploader.request  # which tuspy's types know as None
    job = assert_arrived(server, world, last.response_headers["spool-job"], recording)
    assert (job["title"], job["options"]["language"]) == ("Gespräch.mp4", "en")


@pytest.fixture
def tus_js(server: Gunicorn, world: World, recording: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs tus-js-client in a process of its own and gives what it says."""
    assert TUS_JS.is_dir(), "tus-js-client is not installed: make servers"

    def upload(options: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
        asked = {
            "endpoint": f"{server.url}/v1/uploads",
            "authorization": world.ada["Authorization"],
            "file": str(recording),
            "storage": str(tmp_path / "tus-js.json"),
            "metadata": {"filename": "talk.mp4", "filetype": "video/mp4"},
            "options": {"chunkSize": CHUNK} if options is None else options,
            **given,
        }
        done = subprocess.run(
            ["node", "tests/tus-js/upload.js", json.dumps(asked)],
            cwd=ROOT,
            env={**os.environ, "NODE_PATH": str(TUS_JS)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    return upload


def methods(said: dict[str, Any]) -> list[str]:
    return [method for method, _ in said["requests"]]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, ["POST", "PATCH"]),
        ({"chunkSize": CHUNK}, ["POST", *["PATCH"] * 5]),
        ({"chunkSize": CHUNK, "uploadDataDuringCreation": True}, ["POST", *["PATCH"] * 4]),
        ({"chunkSize": CHUNK, "overridePatchMethod": True}, ["POST", *["POST"] * 5]),
        ({"chunkSize": 2 * SIZE, "uploadLengthDeferred": True}, ["POST", "PATCH"]),
    ],
)
def test_tus_js_client_uploads(
    server: Gunicorn,
    world: World,
    recording: Path,
    tus_js: Callable[..., dict[str, Any]],
    options: dict[str, Any],
    sent: list[str],
) -> None:
    said = tus_js(options)
    assert methods(said) == sent
    assert_arrived(server, world, said["job"], recording)


@pytest.mark.servers
def test_tus_js_client_pauses_and_goes_on(
    server: Gunicorn, world: World, recording: Path, tus_js: Callable[..., dict[str, Any]]
) -> None:
    said = tus_js(pauseAfter=2 * CHUNK)
    assert methods(said).count("HEAD") == 1
    assert_arrived(server, world, said["job"], recording)


@pytest.mark.servers
def test_tus_js_client_goes_on_in_another_process(
    server: Gunicorn, world: World, recording: Path, tus_js: Callable[..., dict[str, Any]]
) -> None:
    begun = tus_js(abortAfter=2 * CHUNK)
    assert begun["job"] is None
    said = tus_js(resume=True)
    assert said["url"] == begun["url"]
    assert methods(said) == ["HEAD", *["PATCH"] * 3]
    assert_arrived(server, world, said["job"], recording)


@pytest.mark.servers
def test_tus_js_client_gives_up(server: Gunicorn, world: World, tus_js: Callable[..., dict[str, Any]]) -> None:
    said = tus_js(abortAfter=2 * CHUNK, terminate=True)
    assert said["requests"][-1] == ["DELETE", 204]
    headers = {**world.ada, "Tus-Resumable": "1.0.0"}
    assert httpx.head(said["url"], headers=headers).status_code == 404


@pytest.mark.servers
def test_tus_js_client_uploads_parts_side_by_side(
    server: Gunicorn, world: World, recording: Path, tus_js: Callable[..., dict[str, Any]]
) -> None:
    said = tus_js({"parallelUploads": 3, "chunkSize": 700_000})
    assert methods(said).count("POST") == 4
    assert_arrived(server, world, said["job"], recording)
    assert jobs(server, world) == [said["job"]]


@pytest.mark.servers
def test_tus_js_client_goes_on_with_parts_in_another_process(
    server: Gunicorn, world: World, recording: Path, tus_js: Callable[..., dict[str, Any]]
) -> None:
    options = {"parallelUploads": 3, "chunkSize": 300_000}
    assert tus_js(options, abortAfter=300_000)["job"] is None
    said = tus_js(options, resume=True)
    assert methods(said).count("POST") == 1
    assert_arrived(server, world, said["job"], recording)


def test_of_a_client_that_stalls_nearly_all_is_kept(server: Gunicorn, world: World, recording: Path) -> None:
    content = recording.read_bytes()
    with httpx.Client(base_url=server.url, headers={**world.ada, "Tus-Resumable": "1.0.0"}) as client:
        path = client.post("/v1/uploads", headers={"Upload-Length": str(SIZE)}).headers["Location"]
        lines = [f"PATCH {path} HTTP/1.1", "Host: localhost", "Upload-Offset: 0", f"Content-Length: {SIZE}"]
        lines += [f"{name}: {value}" for name, value in client.headers.items() if name != "host"]
        lines += ["Content-Type: application/offset+octet-stream", "", ""]

        def offset() -> int:
            return int(client.head(path).headers["Upload-Offset"])

        with dial(server.url) as connection:
            connection.sendall("\r\n".join(lines).encode() + content[:1_500_000])
            eventually(lambda: offset() > 1_400_000)
        kept = offset()
        assert kept <= 1_500_000

        def add() -> httpx.Response:
            headers = {"Upload-Offset": str(kept), "Content-Type": "application/offset+octet-stream"}
            return client.patch(path, content=content[kept:], headers=headers)

        last = eventually(lambda: next((answer for answer in [add()] if answer.status_code != 423), None))
        assert last
        assert_arrived(server, world, last.headers["Spool-Job"], recording)
