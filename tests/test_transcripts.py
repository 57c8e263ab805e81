"""The transcriber's handler against the real speech server with its real model: every word, in every format."""

import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import ffmpeg
import pysubs2
import pytest
import webvtt
from openai import OpenAI
from werkzeug.serving import make_server

from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.ffmpeg import run, source
from pipeline.options import Options
from pipeline.recording import Track
from pipeline.work import Artifact, Task
from speech.app import create_app
from speech.whisper import Whisper
from transcriber.handler import transcribe

MEDIA = Path(__file__).parent / "media"
JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    server = make_server("127.0.0.1", 0, create_app(Whisper("tiny.en")), threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.port}/v1") as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def quiet(percent: float, speed: float | None = None) -> None:
    """Nobody asks how far it is."""


def transcripts(name: str, client: OpenAI, folder: Path) -> dict[str, str]:
    """By extension."""
    (folder / "original").symlink_to(MEDIA / name)
    copied = ffmpeg.output(source("original").audio, "file:taken.mka", acodec="copy")
    seconds = run(copied, folder=folder, duration=None, deadline=60, progress=quiet, output_limit=10**8)
    blobs = DirectoryBlobs(folder / "blobs")
    size, digest = store(blobs, "track", folder / "taken.mka")
    facts = Track(stream=0, seconds=seconds, codec="aac", channels=1, sample_rate=16000).model_dump(mode="json")
    track = Artifact("track.mka", "track", "audio/x-matroska", size, digest, "track", facts=facts)
    task = Task(
        id="1" * 32,
        job_id="2" * 32,
        kind="transcribe",
        part=0,
        attempt=1,
        title=name,
        args={},
        options=Options(),
        job_state="running",
        job_reason=None,
        artifacts=[track],
    )
    result = transcribe(task, blobs, folder, quiet, client=client, model="tiny.en")
    return {Path(made.name).suffix: read(blobs, made.blob) for made in result.artifacts}


def read(blobs: DirectoryBlobs, blob: str) -> str:
    with blobs.open(blob) as file:
        return file.read().decode()


@pytest.mark.parametrize("name", ["talk.mp4", "jfk.flac"])
def test_every_word_is_in_every_transcript(name: str, client: OpenAI, tmp_path: Path) -> None:
    files = transcripts(name, client, tmp_path)
    srt = pysubs2.SSAFile.from_string(files[".srt"], format_="srt")
    vtt = webvtt.from_buffer(io.BytesIO(files[".vtt"].encode()))
    document = json.loads(files[".json"])
    assert words(files[".txt"]) == JFK
    assert words(" ".join(cue.text for cue in srt)) == JFK
    assert words(" ".join(html.unescape(cue.raw_text) for cue in vtt.captions)) == JFK
    assert words(document["text"]) == JFK
    assert 9 < document["segments"][-1]["end"] <= 11.1
    assert document["language"] == "en"
