"""The real model, asked by the real SDK."""

import re
import wave
from pathlib import Path
from unittest.mock import Mock

import pytest
from openai import BadRequestError, OpenAI
from werkzeug.exceptions import ClientDisconnected

from speech.app import create_app
from speech.audio import RATE, decode
from speech.tests.conftest import Connect
from speech.whisper import WINDOW, Whisper, _hear

JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture
def client(connect: Connect, whisper: Whisper) -> OpenAI:
    return connect(create_app(whisper))


def record(path: Path, samples: bytes) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(samples)
    return path


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("name", ["jfk.flac", "talk.mp4"])
def test_every_word_is_read(client: OpenAI, media: Path, name: str) -> None:
    answer = client.audio.transcriptions.create(file=media / name, model="tiny.en")
    assert words(answer.text) == JFK


def test_verbose_json_has_the_segments_with_their_times(client: OpenAI, media: Path) -> None:
    answer = client.audio.transcriptions.create(
        file=media / "jfk.flac", model="tiny.en", response_format="verbose_json", language="en", temperature=0
    )
    assert answer.segments
    assert words(" ".join(segment.text for segment in answer.segments)) == JFK
    assert answer.language == "en"
    assert answer.duration == pytest.approx(11, abs=0.1)
    assert all(0 <= segment.start < segment.end <= 11.1 for segment in answer.segments)
    assert answer.words is None


def test_words_are_timed_where_they_are_asked_for(client: OpenAI, media: Path) -> None:
    answer = client.audio.transcriptions.create(
        file=media / "jfk.flac",
        model="tiny.en",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert answer.words
    assert words(" ".join(word.word for word in answer.words)) == JFK
    assert all(first.start <= second.start for first, second in zip(answer.words, answer.words[1:], strict=False))


def test_text_is_plain_text(client: OpenAI, media: Path) -> None:
    answer = client.audio.transcriptions.create(file=media / "jfk.flac", model="tiny.en", response_format="text")
    assert words(str(answer)) == JFK


def test_silence_has_no_words(client: OpenAI, tmp_path: Path) -> None:
    silence = record(tmp_path / "silence.wav", bytes(3 * 2 * RATE))
    answer = client.audio.transcriptions.create(file=silence, model="tiny.en", response_format="verbose_json")
    assert answer.text == ""
    assert answer.segments == []
    assert answer.duration == 3


def test_what_is_said_late_has_late_times(client: OpenAI, media: Path, tmp_path: Path) -> None:
    (tmp_path / "upload").symlink_to(media / "jfk.flac")
    late = record(
        tmp_path / "late.wav", bytes((WINDOW + 30) * 2 * RATE) + decode(tmp_path / "upload", lambda: None).tobytes()
    )
    answer = client.audio.transcriptions.create(
        file=late, model="tiny.en", response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert words(answer.text) == JFK
    assert answer.segments
    assert answer.words
    for said in (*answer.segments, *answer.words):
        assert WINDOW + 29 <= said.start < said.end <= WINDOW + 42


def test_what_a_beat_raises_ends_the_work(whisper: Whisper, media: Path, tmp_path: Path) -> None:
    (tmp_path / "upload").symlink_to(media / "jfk.flac")
    with pytest.raises(ClientDisconnected):
        decode(tmp_path / "upload", Mock(side_effect=ClientDisconnected))
    samples = decode(tmp_path / "upload", Mock())
    for beats in ([], [None]):
        with pytest.raises(ClientDisconnected):
            _hear(whisper._loaded(), samples, {"language": "en"}, Mock(side_effect=[*beats, ClientDisconnected]))


def test_a_language_that_the_model_does_not_know_is_refused(client: OpenAI, media: Path) -> None:
    with pytest.raises(BadRequestError) as refusal:
        client.audio.transcriptions.create(file=media / "jfk.flac", model="tiny.en", language="de")
    assert refusal.value.param == "language"


@pytest.mark.parametrize("content", [b"", b"not a recording\n", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"])
def test_what_is_no_recording_is_refused(client: OpenAI, content: bytes) -> None:
    with pytest.raises(BadRequestError) as refusal:
        client.audio.transcriptions.create(file=("talk.mp4", content), model="tiny.en")
    assert refusal.value.type == "invalid_request_error"
    assert refusal.value.param == "file"
    assert "/" not in str(refusal.value)


def test_a_model_can_be_any_folder(whisper: Whisper, tmp_path: Path, connect: Connect, media: Path) -> None:
    folder = tmp_path / "my-model"
    folder.symlink_to(whisper._folder)
    client = connect(create_app(Whisper(str(folder))))
    assert [model.id for model in client.models.list()] == ["my-model"]
    answer = client.audio.transcriptions.create(file=media / "jfk.flac", model=str(folder))
    assert words(answer.text) == JFK
