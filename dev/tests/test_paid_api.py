"""The stand-in of the paid API, asked by the unmodified SDK, and in its limits what is documented of the real one."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import openai
import pytest
from openai import OpenAI

from dev.paid_api.answers import heard, word
from dev.paid_api.offers import MOST_BYTES
from dev.paid_api.server import PaidApi, serving
from pipeline.ffmpeg import binary

ROOT = Path(__file__).parents[2]
JFK = ROOT / "tests" / "media" / "jfk.flac"


@pytest.fixture
def api() -> Iterator[PaidApi]:
    api = PaidApi()
    with serving(api):
        yield api


@pytest.fixture
def client(api: PaidApi) -> Iterator[OpenAI]:
    with OpenAI(api_key=api.key, base_url=api.url, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than 1400 seconds of nothing, in few bytes."""
    path = tmp_path_factory.mktemp("long") / "long.flac"
    source = ["-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "1401"]
    subprocess.run([binary(), "-loglevel", "error", *source, "-c:a", "flac", path], check=True, timeout=120)
    return path


def admin(api: PaidApi, path: str, faults: list[str] | None = None) -> object:
    data = None if faults is None else json.dumps(faults).encode()
    with urlopen(Request(api.url.removesuffix("/v1") + path, data), timeout=10) as answer:
        return json.load(answer)


def test_the_sdk_reads_every_format(client: OpenAI) -> None:
    create = client.audio.transcriptions.create
    assert create(file=JFK, model="gpt-transcribe").text.startswith("aaaa jodh")
    verbose = create(
        file=JFK, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert verbose.duration == pytest.approx(11)
    assert verbose.words
    assert (verbose.words[3].start, verbose.words[3].word) == (1.5, word(3))
    turns = create(file=JFK, model="gpt-4o-transcribe-diarize", response_format="diarized_json")
    assert [turn.speaker for turn in turns.segments] == ["A", "B", "A"]
    sure = create(file=JFK, model="gpt-4o-transcribe", include=["logprobs"])
    assert sure.logprobs
    assert sure.logprobs[0].logprob == -0.1


def test_models_are_listed(client: OpenAI) -> None:
    assert "whisper-1" in {model.id for model in client.models.list()}


def test_a_key_is_asked_for(api: PaidApi) -> None:
    with (
        OpenAI(api_key="sk-other", base_url=api.url, max_retries=0) as other,
        pytest.raises(openai.AuthenticationError),
    ):
        other.audio.transcriptions.create(file=JFK, model="whisper-1")


def test_what_lasts_too_long_is_refused(client: OpenAI, long: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="longer than 1400 seconds which is the maximum for this model"):
        client.audio.transcriptions.create(file=long, model="gpt-4o-transcribe")
    assert client.audio.transcriptions.create(file=long, model="whisper-1").text


def test_what_is_too_large_is_refused(client: OpenAI) -> None:
    large = ("talk.flac", JFK.read_bytes() + bytes(MOST_BYTES))
    with pytest.raises(openai.APIStatusError) as refused:
        client.audio.transcriptions.create(file=large, model="whisper-1")
    assert refused.value.status_code == 413


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"model": "gpt-4o-transcribe", "response_format": "verbose_json"}, "response_format"),
        ({"model": "gpt-4o-transcribe-diarize", "prompt": "Kennedy"}, "prompt"),
        ({"model": "whisper-1", "timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"model": "gpt-transcribe", "temperature": 0.4}, "temperature"),
    ],
)
def test_what_a_model_cannot_do_is_refused(client: OpenAI, wishes: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(file=JFK, **wishes)
    assert refused.value.param == param


def test_a_model_for_speakers_must_be_told_how_to_cut_what_is_long(client: OpenAI, long: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="chunking_strategy"):
        client.audio.transcriptions.create(file=long, model="gpt-4o-transcribe-diarize")


def test_unknown_models_and_files_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.audio.transcriptions.create(file=JFK, model="gpt-9")
    with pytest.raises(openai.BadRequestError, match="corrupted"):
        client.audio.transcriptions.create(file=("talk.flac", b"no sound"), model="whisper-1")
    with pytest.raises(openai.BadRequestError, match="format"):
        client.audio.transcriptions.create(file=("talk.txt", JFK.read_bytes()), model="whisper-1")


def test_faults_come_one_a_call_and_then_no_more(api: PaidApi, client: OpenAI) -> None:
    assert admin(api, "/admin/faults", ["500", "429-later"]) == {"faults": 2}
    with pytest.raises(openai.InternalServerError):
        client.audio.transcriptions.create(file=JFK, model="whisper-1")
    with pytest.raises(openai.RateLimitError) as later:
        client.audio.transcriptions.create(file=JFK, model="whisper-1")
    assert later.value.response.headers["Retry-After"] == "1"
    assert client.audio.transcriptions.create(file=JFK, model="whisper-1").text
    assert admin(api, "/admin/calls") == {"calls": 3, "most_at_once": 1}


def test_calls_that_take_time_are_counted_side_by_side(api: PaidApi, client: OpenAI) -> None:
    api.delay = 1.0
    with ThreadPoolExecutor(3) as pool:
        texts = list(pool.map(lambda _: client.audio.transcriptions.create(file=JFK, model="whisper-1").text, range(3)))
    assert len(set(texts)) == 1
    assert api.most_at_once > 1


def test_every_word_of_an_hour_is_another() -> None:
    words = [said.rstrip(".") for sentence in heard(3600) for _, _, said in sentence.words]
    assert len(set(words)) == len(words) == 7200


def test_the_command_tells_how_to_use_it_and_ends_on_request() -> None:
    command = [sys.executable, "-m", "dev", "paid-api", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
        assert found
        with OpenAI(api_key="sk-stand-in", base_url=found[0], max_retries=0, timeout=30) as client:
            assert client.audio.transcriptions.create(file=JFK, model="whisper-1").text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
