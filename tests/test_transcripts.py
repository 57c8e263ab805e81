"""What is said in a recording, in every format, made by all services with a real model, corrected, found and made again."""

import io
import json
import re
from typing import Any

import docx
import pysubs2
import pytest
import webvtt

from tests.client import Client, artifact
from tests.recordings import MEDIA

JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
ALL = {"formats": "txt,srt,vtt,json,docx,md", "waveform": "no", "notify": ""}
CORRECTED = [{"start": 0.2, "end": 9.5, "text": "Ich bin ein Berliner.", "speaker": "Kennedy"}]


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def content(client: Client, job: dict[str, Any], name: str) -> bytes:
    answer = client.http.get(artifact(job, name)["href"])
    answer.raise_for_status()
    return answer.content


def texts(client: Client, job: dict[str, Any], stem: str) -> dict[str, str]:
    """What parsers of others read in each file, by its extension."""
    srt = pysubs2.SSAFile.from_string(content(client, job, f"{stem}.srt").decode(), format_="srt")
    vtt = webvtt.from_buffer(io.BytesIO(content(client, job, f"{stem}.vtt")))
    document = docx.Document(io.BytesIO(content(client, job, f"{stem}.docx")))
    return {
        "txt": content(client, job, f"{stem}.txt").decode(),
        "md": content(client, job, f"{stem}.md").decode(),
        "srt": " ".join(cue.plaintext for cue in srt),
        "vtt": " ".join(cue.text for cue in vtt.captions),
        "json": json.loads(content(client, job, f"{stem}.json"))["text"],
        "docx": " ".join(paragraph.text for paragraph in document.paragraphs),
    }


@pytest.mark.parametrize("name", ["talk.mp4", "jfk.flac"])
def test_every_word_is_in_every_file(name: str, client: Client) -> None:
    done = client.ended(client.upload(MEDIA / name, **ALL)["id"])
    assert (done["state"], done["reason"]) == ("done", None)
    stem = name.partition(".")[0]
    for form, text in texts(client, done, stem).items():
        assert JFK in words(text), form
    found = json.loads(content(client, done, f"{stem}.json"))
    assert found["language"] == "en"
    assert 9 < found["segments"][-1]["end"] <= 11.1
    spoken = [word for segment in found["segments"] for word in segment["words"]]
    assert words(" ".join(word["text"] for word in spoken)) == JFK
    assert all(0 <= word["confidence"] <= 1 for word in spoken)


def test_a_correction_reaches_every_file_and_the_search(client: Client) -> None:
    done = client.ended(client.upload(MEDIA / "talk.mp4", title="Speech", **ALL)["id"])
    path = f"/v1/jobs/{done['id']}/transcript"
    first = client.http.get(path)
    assert words(" ".join(segment["text"] for segment in first.json()["segments"])) == JFK
    put = client.http.put(path, json={"segments": CORRECTED}, headers={"If-Match": first.headers["ETag"]})
    assert put.status_code == 200, put.text
    again = client.ended(done["id"])
    assert {made["fid"] for made in again["artifacts"]} == {made["fid"] for made in done["artifacts"]}
    for form, text in texts(client, again, "Speech").items():
        assert "ich bin ein berliner" in words(text), form
        assert "country" not in text, form
    late = client.http.put(path, json={"segments": CORRECTED}, headers={"If-Match": first.headers["ETag"]})
    assert late.status_code == 412
    hits = client.http.get("/v1/search", params={"q": "berliner"}).json()["items"]
    assert [hit["job"] for hit in hits] == [done["id"]]
    assert not [
        hit for hit in client.http.get("/v1/search", params={"q": "fellow"}).json()["items"] if hit["job"] == done["id"]
    ]
    history = client.http.get(f"{path}/versions").json()["items"]
    assert [(version["version"], version["author"]) for version in history] == [(2, "you"), (1, "machine")]
    client.http.delete(f"/v1/jobs/{done['id']}").raise_for_status()


def test_a_recording_is_transcribed_again_without_being_converted(client: Client) -> None:
    done = client.ended(client.upload(MEDIA / "jfk.flac", title="Again", waveform="no", notify="")["id"])
    answer = client.http.post(f"/v1/jobs/{done['id']}/transcribe", json={"language": "en", "txt_times": True})
    assert answer.status_code == 202, answer.text
    again = client.ended(done["id"])
    assert again["state"] == "done"
    assert artifact(again, "Again.mp3") == artifact(done, "Again.mp3")
    assert client.text(again).startswith("[00:00:0")
    assert [version["version"] for version in versions(client, done["id"])] == [2, 1]
    client.http.delete(f"/v1/jobs/{done['id']}").raise_for_status()


def test_no_file_tells_what_an_earlier_version_said(client: Client) -> None:
    """Of formats that are not asked for any more none stays, as no correction would reach it."""
    done = client.ended(client.upload(MEDIA / "jfk.flac", title="Fewer", waveform="no", notify="")["id"])
    path = f"/v1/jobs/{done['id']}"
    client.http.post(f"{path}/transcribe", json={"formats": ["srt"]}).raise_for_status()
    fewer = client.ended(done["id"])
    assert transcripts(fewer) == {"Fewer.srt": artifact(done, "Fewer.srt")["fid"]}
    client.http.put(f"{path}/transcript", json={"segments": CORRECTED}, headers={"If-Match": '"2"'}).raise_for_status()
    corrected = client.ended(done["id"])
    assert transcripts(corrected) == transcripts(fewer)
    assert "ein Berliner." in content(client, corrected, "Fewer.srt").decode()
    client.http.delete(path).raise_for_status()


def transcripts(job: dict[str, Any]) -> dict[str, str]:
    """Names and ids."""
    return {made["name"]: made["fid"] for made in job["artifacts"] if made["kind"] == "transcript"}


def versions(client: Client, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.http.get(f"/v1/jobs/{job}/transcript/versions").json()["items"]
    return found
