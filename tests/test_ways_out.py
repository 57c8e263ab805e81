"""What a job made goes out by every way there is, and is gone for good once it is deleted."""

import email
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dev.waiting import eventually
from sync.tests.site import Answer, Visit, running
from tests.client import Client, artifact, curl, names
from tests.embedded import Embedded
from tests.installation import Installation

if TYPE_CHECKING:
    from dev.services.mongo import Mongo

Suite = Embedded | Installation
STATES = ["queued", "running", "done"]


@pytest.fixture
def job(client: Client, clip: Path) -> dict[str, Any]:
    """A job that is done; only the first of its suite takes its time."""
    return client.ended(client.upload(clip, notify="")["id"])


def stranger(url: str, path: str) -> httpx.Response:
    """What somebody sees who has not signed in."""
    return httpx.get(httpx.URL(url).join(path), timeout=30, trust_env=False)


def assert_holds_all(content: bytes, job: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sorted(archive.namelist()) == names(job)
        for found in job["artifacts"]:
            assert hashlib.sha256(archive.read(found["name"])).hexdigest() == found["sha256"]


def test_the_archive_holds_every_file(suite: Suite, client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    assert len(job["artifacts"]) == 8
    curl("-OJ", *client.bearer, f"{suite.url}/v1/jobs/{job['id']}/archive", folder=tmp_path)
    assert_holds_all((tmp_path / "clip.zip").read_bytes(), job)


def test_curl_gets_several_parts_at_once(suite: Suite, client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    mp3 = artifact(job, "clip.mp3")
    whole = client.http.get(mp3["href"]).content
    arguments = ("-r", "0-9,1000-1999,-5", "-D", "headers", "-o", "parts")
    curl(*arguments, *client.bearer, f"{suite.url}{mp3['href']}", folder=tmp_path)
    status, _, headers = (tmp_path / "headers").read_bytes().partition(b"\r\n")
    assert status.startswith(b"HTTP/1.1 206 ")
    message = email.message_from_bytes(headers + (tmp_path / "parts").read_bytes())
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    assert parts == [whole[:10], whole[1000:2000], whole[-5:]]


def test_curl_goes_on_with_half_a_download(suite: Suite, client: Client, job: dict[str, Any], tmp_path: Path) -> None:
    mp3 = artifact(job, "clip.mp3")
    whole = client.http.get(mp3["href"]).content
    (tmp_path / "clip.mp3").write_bytes(whole[: len(whole) // 2])
    counted = curl(
        *("-C", "-", "-o", "clip.mp3", "-w", "%{size_download}"),
        *client.bearer,
        f"{suite.url}{mp3['href']}",
        folder=tmp_path,
    )
    assert (tmp_path / "clip.mp3").read_bytes() == whole
    assert int(counted) == len(whole) - len(whole) // 2


def test_a_stranger_opens_what_a_link_is_for_and_nothing_else(
    suite: Suite, client: Client, job: dict[str, Any]
) -> None:
    link = client.http.post(f"/v1/jobs/{job['id']}/links", json={}).raise_for_status().json()
    shared = stranger(suite.url, link["url"]).raise_for_status().json()
    assert sorted(file["name"] for file in shared["files"]) == names(job)
    for file in shared["files"]:
        found = stranger(suite.url, file["href"]).content
        assert hashlib.sha256(found).hexdigest() == artifact(job, file["name"])["sha256"]
    assert_holds_all(stranger(suite.url, shared["archive"]).content, job)
    assert job["id"] not in json.dumps(shared)
    assert stranger(suite.url, f"/v1/jobs/{job['id']}").status_code == 401

    client.http.delete(f"/v1/jobs/{job['id']}/links/{link['id']}").raise_for_status()
    for path in (link["url"], shared["archive"], shared["files"][0]["href"]):
        assert stranger(suite.url, path).status_code == 404


def test_a_link_for_two_downloads_is_good_for_two(suite: Suite, client: Client, job: dict[str, Any]) -> None:
    wanted = {"artifact": "clip.mp3", "downloads": 2}
    link = client.http.post(f"/v1/jobs/{job['id']}/links", json=wanted).raise_for_status().json()
    assert [stranger(suite.url, link["url"]).status_code for _ in range(3)] == [200, 200, 410]


def in_two_parts(body: bytes, go_on: Event) -> Answer:
    """The second half is sent when `go_on` is set."""

    def answer(visit: Visit) -> None:
        visit.head(200, Content_Length=str(len(body)))
        visit.wfile.write(body[: len(body) // 2])
        go_on.wait(30)
        visit.wfile.write(body[len(body) // 2 :])

    return answer


def listen(client: Client, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The ids of events, and the jobs that they tell of."""
    with client.http.stream("GET", path) as answer:
        event = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            event = value if name == "id" else event
            if name == "data":
                yield event, json.loads(value)


def test_events_tell_the_life_of_a_job(suite: Suite, client: Client, recording: Path, tmp_path: Path) -> None:
    half_is_told, told = Event(), list[tuple[str, dict[str, Any]]]()
    with running() as site:
        url = site.put("/clip.mp4", in_two_parts(recording.read_bytes(), half_is_told))
        job = client.http.post("/v1/jobs", json={"url": url, "notify": []}).json()["id"]
        for event, found in listen(client, f"/v1/jobs/{job}/events"):
            told.append((event, found))
            if found["percent"] > 0:
                half_is_told.set()
    ranks, percents = [STATES.index(found["state"]) for _, found in told], [found["percent"] for _, found in told]
    assert (ranks, percents) == (sorted(ranks), sorted(percents))
    assert any(0 < percent < 100 for percent in percents)
    last, done = told[-1]
    assert (done["state"], done["percent"], len(done["artifacts"])) == ("done", 100, 8)

    again = ("-H", f"Last-Event-ID: {last}", "-w", "%{http_code}")
    assert curl(*again, *client.bearer, f"{suite.url}/v1/jobs/{job}/events", folder=tmp_path) == "204"


def test_curl_waits_for_the_end_of_a_job(suite: Suite, client: Client, recording: Path, tmp_path: Path) -> None:
    job = client.upload(recording, transcribe="no", waveform="no", notify="")
    assert job["state"] == "queued"
    answer = json.loads(curl(*client.bearer, f"{suite.url}/v1/jobs/{job['id']}?wait=30", folder=tmp_path))
    assert (answer["state"], names(answer)) == ("done", ["clip.mp3", "clip.mp4"])


def stored_for(suite: Suite, client: Client, recording: Path) -> tuple[str, set[str]]:
    """A new job, and the blobs that came with it; what earlier ones left is gone by then."""
    before = suite.stored()
    job = client.ended(client.upload(recording, notify="")["id"])
    made = suite.stored() - before
    assert len(made) >= len(job["artifacts"])
    return job["id"], made


def test_what_is_deleted_is_gone_from_the_store(suite: Suite, client: Client, recording: Path) -> None:
    job, made = stored_for(suite, client, recording)
    assert client.http.delete(f"/v1/jobs/{job}").status_code == 204
    eventually(lambda: not made & suite.stored(), timeout=60)
    assert client.http.get(f"/v1/jobs/{job}").status_code == 404


@pytest.mark.servers
def test_what_is_deleted_while_the_store_is_away_goes_when_it_is_back(
    installed_suite: Installation, mongo_server: "Mongo", recording: Path
) -> None:
    with closing(installed_suite.client()) as client:
        job, made = stored_for(installed_suite, client, recording)
        gateway = installed_suite.services["gateway"]
        known = len(gateway.output())
        mongo_server.stop()
        try:
            assert client.http.delete(f"/v1/jobs/{job}").status_code == 204
            eventually(lambda: "removal put off" in gateway.output()[known:])
        finally:
            mongo_server.start()
    eventually(lambda: not made & installed_suite.stored(), timeout=60)
