"""The handler on real tracks and real blobs, with a speech service that says what a test wants."""

import json
import shutil
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path
from threading import Event

import ffmpeg
import pytest

from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.ffmpeg import run, source
from pipeline.options import Options
from pipeline.recording import Track
from pipeline.work import Artifact, Progress, Result, Task
from transcriber.handler import SHRUNK, transcribe
from transcriber.tests.conftest import Service, hang, reply

MEDIA = Path(__file__).parents[2] / "tests" / "media"
SPOKEN = {
    "text": "Hello, world.",
    "language": "english",
    "segments": [{"start": 0.5, "end": 1.25, "text": " Hello,"}, {"start": 1.25, "end": 2, "text": " world."}],
}


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "attempt"
    path.mkdir()
    return path


@pytest.fixture
def track(tmp_path: Path) -> Path:
    (tmp_path / "talk.mp4").symlink_to(MEDIA / "talk.mp4")
    copied = ffmpeg.output(source("talk.mp4").audio, "file:track.mka", acodec="copy")
    run(copied, folder=tmp_path, duration=11, deadline=60, progress=lambda *_: None, output_limit=10**7)
    return tmp_path / "track.mka"


def a_task(blobs: DirectoryBlobs, track: Path, title: str = "talk.mp4") -> Task:
    size, digest = store(blobs, "original-track", track)
    facts = Track(stream=0, seconds=11.0, codec="aac", channels=2, sample_rate=44100).model_dump(mode="json")
    return Task(
        id="1" * 32,
        job_id="2" * 32,
        kind="transcribe",
        part=0,
        attempt=3,
        title=title,
        args={},
        options=Options(),
        job_state="running",
        job_reason=None,
        artifacts=[Artifact("track.mka", "track", "audio/x-matroska", size, digest, "original-track", facts=facts)],
    )


def work(
    task: Task, blobs: DirectoryBlobs, folder: Path, service: Service, progress: Progress = lambda *_: None
) -> Result:
    return transcribe(task, blobs, folder, progress, client=service.client(), model="/srv/models/tiny.en")


def contents(result: Result, blobs: DirectoryBlobs) -> dict[str, str]:
    read = {}
    for artifact in result.artifacts:
        with blobs.open(artifact.blob) as file:
            content = file.read()
        assert len(content) == artifact.bytes
        read[artifact.name] = content.decode()
    return read


def test_a_track_becomes_four_transcripts(service: Service, blobs: DirectoryBlobs, folder: Path, track: Path) -> None:
    service.answers(reply(200, SPOKEN))
    result = work(a_task(blobs, track, "../Talk of “1961”.MP4"), blobs, folder, service)
    files = contents(result, blobs)
    assert files["Talk of “1961”.txt"] == "Hello,\nworld.\n"
    assert files["Talk of “1961”.srt"].startswith("1\n00:00:00,500 --> 00:00:01,250\nHello,\n")
    assert files["Talk of “1961”.vtt"].startswith("WEBVTT\n\n00:00:00.500 --> ")
    document = json.loads(files["Talk of “1961”.json"])
    assert document["text"] == "Hello, world."
    assert document["model"] == "tiny.en"
    assert document["duration"] == pytest.approx(11, abs=0.1)
    assert [(artifact.kind, artifact.type) for artifact in result.artifacts] == [
        ("transcript", "text/plain; charset=utf-8"),
        ("transcript", "application/x-subrip"),
        ("transcript", "text/vtt"),
        ("transcript", "application/json"),
    ]
    assert result.next == ()


def test_nothing_is_sent_where_the_disk_has_no_room(
    service: Service, blobs: DirectoryBlobs, folder: Path, track: Path
) -> None:
    task = a_task(blobs, track)
    larger = replace(task.only("track"), bytes=2 * shutil.disk_usage(folder).free)
    with pytest.raises(Retry, match="has room for"):
        work(replace(task, artifacts=[larger]), blobs, folder, service)
    assert (list(folder.iterdir()), service.bodies) == ([], [])


def test_what_is_sent_is_small(service: Service, blobs: DirectoryBlobs, folder: Path, track: Path) -> None:
    service.answers(reply(200, SPOKEN))
    work(a_task(blobs, track), blobs, folder, service)
    (body,) = service.bodies
    assert b"OpusHead" in body
    assert len(body) < 11 * 6000


def test_a_text_without_segments_is_one_cue_as_long_as_the_recording(
    service: Service, blobs: DirectoryBlobs, folder: Path, track: Path
) -> None:
    service.answers(reply(200, {"text": "Hello, world."}))
    files = contents(work(a_task(blobs, track), blobs, folder, service), blobs)
    assert files["talk.srt"].startswith("1\n00:00:00,000 --> 00:00:11,")


def test_a_recording_without_speech_is_no_error(
    service: Service, blobs: DirectoryBlobs, folder: Path, track: Path
) -> None:
    service.answers(reply(200, {"text": "", "segments": [], "language": "en"}))
    files = contents(work(a_task(blobs, track), blobs, folder, service), blobs)
    assert files["talk.txt"] == files["talk.srt"] == ""
    assert files["talk.vtt"].strip() == "WEBVTT"
    assert json.loads(files["talk.json"])["segments"] == []


def test_progress_never_goes_back_and_is_not_done_before_the_end(
    service: Service, blobs: DirectoryBlobs, folder: Path, track: Path
) -> None:
    seen: list[float] = []
    enough = Event()

    def slowly(request: BaseHTTPRequestHandler) -> None:
        assert enough.wait(10)
        reply(200, SPOKEN)(request)

    def progress(percent: float, speed: float | None = None) -> None:
        seen.append(percent)
        if sum(percent > SHRUNK for percent in seen) > 3:
            enough.set()

    service.answers(slowly)
    work(a_task(blobs, track), blobs, folder, service, progress)
    assert seen[0] == 0
    assert all(first <= second for first, second in pairwise(seen))
    assert SHRUNK < seen[-1] < 100


def test_a_cancelled_attempt_stores_nothing(service: Service, blobs: DirectoryBlobs, folder: Path, track: Path) -> None:
    service.answers(hang)

    def progress(percent: float, speed: float | None = None) -> None:
        if service.bodies:
            raise Interrupted

    task = a_task(blobs, track)
    with pytest.raises(Interrupted):
        work(task, blobs, folder, service, progress)
    assert [blob.id for blob in blobs.list()] == ["original-track"]


def test_a_track_that_cannot_be_decoded_is_refused(
    service: Service, blobs: DirectoryBlobs, folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mka"
    broken.write_bytes(b"not a recording")
    with pytest.raises(Reject) as rejection:
        work(a_task(blobs, broken), blobs, folder, service)
    assert "/" not in rejection.value.reason
    assert service.bodies == []
