"""Recordings come in by every way there is, with the same options on each, and are stored and worked on once."""

import email
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dev.waiting import eventually
from sync.tests.site import ranges, running
from tests.client import Client, artifact, curl, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.reading import link_opens, the_one_mail

Suite = Embedded | Installation
QUIET = {"transcribe": "no", "waveform": "no", "notify": ""}
"""Options of jobs that are over soon."""
RAW = {
    "with its length": ("-T", "clip.mp4"),
    "in chunks": ("-T", "-", "-H", "Transfer-Encoding: chunked"),
    "by POST": ("--data-binary", "@clip.mp4", "-H", "Content-Type: video/mp4"),
}
WAYS = [*RAW, "as a form"]


def send(suite: Suite, client: Client, way: str, recording: Path, **options: str) -> dict[str, Any]:
    """By curl; returns the job."""
    if way == "as a form":
        fields = [word for name, value in options.items() for word in ("-F", f"{name}={value}")]
        arguments = ["-F", "file=@clip.mp4", *fields, f"{suite.url}/upload"]
    else:
        arguments = [*RAW[way], f"{suite.url}/v1/files/clip.mp4?{urlencode(options)}"]
    job: dict[str, Any] = json.loads(
        curl(*arguments, *client.bearer, folder=recording.parent, standard_input=recording)
    )
    return job


def fetch(client: Client, url: str, **options: Any) -> dict[str, Any]:
    answer = client.http.post("/v1/jobs", json={"url": url, **options})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def fetched_once(client: Client, recording: Path, **options: Any) -> dict[str, Any]:
    with running() as site:
        url = site.put("/clip.mp4", ranges(recording.read_bytes(), ETag='"1"'))
        return client.ended(fetch(client, url, **options)["id"])


def assert_arrived(client: Client, job: dict[str, Any], recording: Path) -> None:
    """Its original is the recording, byte by byte."""
    original = artifact(job, "clip.mp4")
    assert original["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()
    assert client.http.get(original["href"]).content == recording.read_bytes()


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """25 GB without contents, which take no room."""
    path = tmp_path / "huge.mp4"
    with path.open("wb") as file:
        file.truncate(25 * 2**30)
    return path


def originals(suite: Suite) -> set[str]:
    return {blob for blob in suite.stored() if blob.endswith("-original")}


@pytest.mark.parametrize("way", WAYS)
def test_curl_sends_a_recording_and_what_is_wanted_of_it(
    way: str, suite: Suite, client: Client, recording: Path
) -> None:
    sent = send(suite, client, way, recording, title="Gespräch", tags="blue,green", **QUIET)
    done = client.ended(sent["id"])
    assert (done["state"], done["title"], done["reused"]) == ("done", "Gespräch", False)
    assert done["options"]["tags"] == ["blue", "green"]
    assert names(done) == ["Gespräch.mp3", "clip.mp4"]
    assert_arrived(client, done, recording)


def test_the_server_says_that_it_wants_the_body_before_it_comes(suite: Suite, client: Client, recording: Path) -> None:
    waits = ("-H", "Expect: 100-continue", "--expect100-timeout", "50", "-D", "headers")
    url = f"{suite.url}/v1/files/clip.mp4?{urlencode(QUIET)}"
    job = json.loads(curl("-T", "clip.mp4", *waits, *client.bearer, url, folder=recording.parent))
    statuses = [line for line in (recording.parent / "headers").read_text().splitlines() if line.startswith("HTTP")]
    assert [status.split()[1] for status in statuses] == ["100", "202"]
    assert_arrived(client, client.ended(job["id"]), recording)


@pytest.mark.parametrize(
    "way", [("-T", "huge.mp4", "{url}/v1/files/huge.mp4"), ("-F", "file=@huge.mp4", "{url}/upload")]
)
def test_curl_learns_that_its_file_is_too_large_before_it_sends_any(
    way: tuple[str, ...], suite: Suite, client: Client, huge: Path
) -> None:
    waits = ("-H", "Expect: 100-continue", "--expect100-timeout", "50", "-D", "headers", "-w", " %{size_upload}")
    arguments = (word.format(url=suite.url) for word in way)
    problem, sent = curl(*waits, *client.bearer, *arguments, folder=huge.parent).rsplit(" ", 1)
    statuses = [line for line in (huge.parent / "headers").read_text().splitlines() if line.startswith("HTTP")]
    assert [status.split()[1] for status in statuses] == ["413"]
    assert json.loads(problem)["asked"] >= 24 * 2**30
    assert sent == "0"


def test_curl_learns_that_its_file_is_too_large_while_it_sends(suite: Suite, client: Client, huge: Path) -> None:
    sends = ("-T", "huge.mp4", "-H", "Expect:", "-w", " %{http_code}", *client.bearer)
    for _ in range(5):
        problem, status = curl(*sends, f"{suite.url}/v1/files/huge.mp4", folder=huge.parent).rsplit(" ", 1)
        assert status == "413"
        assert json.loads(problem)["asked"] == 25 * 2**30


@pytest.mark.parametrize("way", ["with its length", "as a form", "by its address"])
def test_one_format_is_one_transcript(way: str, suite: Suite, client: Client, recording: Path) -> None:
    wanted = {"language": "en", "formats": "srt", "waveform": "no", "notify": ""}
    if way == "by its address":
        done = fetched_once(client, recording, language="en", formats=["srt"], waveform=False, notify=[])
    else:
        done = client.ended(send(suite, client, way, recording, **wanted)["id"])
    assert (done["state"], done["options"]["language"]) == ("done", "en")
    assert names(done) == ["clip.mp3", "clip.mp4", "clip.srt"]
    assert "fellow" in client.http.get(artifact(done, "clip.srt")["href"]).text


def test_everybody_who_is_named_gets_a_mail(suite: Suite, client: Client, recording: Path) -> None:
    job = send(suite, client, "in chunks", recording, transcribe="no", notify="ada@example.org,bob@example.org")["id"]
    eventually(lambda: client.stage(job, "deliver")["state"] == "done")
    to = [email.message_from_string(mail)["To"] for mail in suite.mails_about(job)]
    assert sorted(to) == ["ada@example.org", "bob@example.org"]


def test_nobody_gets_a_mail_if_nobody_is_named(suite: Suite, client: Client, recording: Path) -> None:
    done = client.ended(send(suite, client, "with its length", recording, **QUIET)["id"])
    assert [stage["name"] for stage in done["stages"]] == ["extract", "encode"]
    assert not suite.mails_about(done["id"])


def test_a_recording_is_fetched_over_a_connection_that_breaks(suite: Suite, client: Client, recording: Path) -> None:
    body = recording.read_bytes()
    with running() as site:
        url = site.put("/clip.mp4", ranges(body, most=len(body) // 2, ETag='"1"'), ranges(body, ETag='"1"'))
        done = client.ended(fetch(client, url, transcribe=False, waveform=False, notify=[])["id"])
        assert [asked.headers["Range"] for asked in site.asked] == [None, f"bytes={len(body) // 2}-"]
    assert [stage["name"] for stage in done["stages"]] == ["fetch", "extract", "encode"]
    assert_arrived(client, done, recording)


def test_the_same_again_is_done_at_once_and_outlives_the_first(suite: Suite, client: Client, recording: Path) -> None:
    before = suite.stored()
    first = client.ended(client.upload(recording, transcribe="no", notify="")["id"])
    stored = suite.stored()
    again = client.upload(recording, transcribe="no")
    assert (again["state"], again["reused"], names(again)) == ("done", True, names(first))
    fids = {found["fid"] for job in (first, again) for found in job["artifacts"]}
    assert len(fids) == 8
    eventually(lambda: suite.stored() <= stored)

    assert client.http.delete(f"/v1/jobs/{first['id']}").status_code == 204
    removed_by_now(suite, client, recording)
    for found in again["artifacts"]:
        content = client.http.get(found["href"]).raise_for_status().content
        assert hashlib.sha256(content).hexdigest() == found["sha256"]
    mail = the_one_mail(client, again["id"], lambda: suite.mails_about(again["id"]))
    assert link_opens(mail, "clip.mp3").content == client.http.get(artifact(again, "clip.mp3")["href"]).content

    client.http.delete(f"/v1/jobs/{again['id']}").raise_for_status()
    eventually(lambda: suite.stored() <= before)


def removed_by_now(suite: Suite, client: Client, recording: Path) -> None:
    """Whatever was to be removed before this job of the same bytes came and went with a blob of its own."""
    before = suite.stored()
    job = client.ended(client.upload(recording, formats="txt", notify="")["id"])
    assert suite.stored() - before
    client.http.delete(f"/v1/jobs/{job['id']}").raise_for_status()
    eventually(lambda: suite.stored() <= before)


def test_bytes_that_come_by_address_are_known_too(suite: Suite, client: Client, recording: Path) -> None:
    before = originals(suite)
    client.ended(send(suite, client, "with its length", recording, **QUIET)["id"])
    done = fetched_once(client, recording, transcribe=False, waveform=False, notify=[])
    assert (done["state"], done["reused"]) == ("done", True)
    assert [stage["name"] for stage in done["stages"]] == ["fetch"]
    assert_arrived(client, done, recording)
    eventually(lambda: len(originals(suite) - before) == 1)


def test_a_file_with_other_options_is_worked_on_again_but_stored_once(
    suite: Suite, client: Client, recording: Path
) -> None:
    before = originals(suite)
    first = client.ended(send(suite, client, "with its length", recording, **QUIET)["id"])
    other = client.ended(send(suite, client, "as a form", recording, formats="txt", waveform="no", notify="")["id"])
    assert (other["state"], other["reused"]) == ("done", False)
    assert names(other) == [*names(first), "clip.txt"]
    eventually(lambda: len(originals(suite) - before) == 1)
    assert_arrived(client, other, recording)
