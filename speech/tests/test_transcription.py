"""The real models, asked by the real SDK."""

import re
import subprocess
import wave
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jiwer
import numpy as np
import pysubs2
import pytest
import webvtt
from imageio_ffmpeg import get_ffmpeg_exe
from openai import BadRequestError, OpenAI
from werkzeug.exceptions import ClientDisconnected

from speech.app import create_app
from speech.audio import RATE
from speech.model import Wishes
from speech.shelf import Shelf
from speech.sources import source
from speech.tests.conftest import Connect
from speech.whisper import WINDOW
from tests.aloud import READING, read_aloud
from tests.recordings import decode

JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture
def client(connect: Connect, shelf: Shelf) -> OpenAI:
    return connect(create_app(shelf))


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
    assert answer.words[0].start < 1 < 10 < answer.words[-1].end
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
    late = record(tmp_path / "late.wav", bytes((WINDOW + 30) * 2 * RATE) + decode(media / "jfk.flac", RATE).tobytes())
    answer = client.audio.transcriptions.create(
        file=late, model="tiny.en", response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert words(answer.text) == JFK
    assert answer.segments
    assert answer.words
    times = [(said.start, said.end) for said in answer.segments] + [(said.start, said.end) for said in answer.words]
    assert all(WINDOW + 29 <= start < end <= WINDOW + 42 for start, end in times)


def test_what_a_beat_raises_ends_the_work(shelf: Shelf, media: Path, tmp_path: Path) -> None:
    upload, wishes = tmp_path / "upload", Wishes(model="tiny.en")
    upload.symlink_to(media / "jfk.flac")
    with (
        pytest.raises(ClientDisconnected),
        shelf.hearing("tiny.en", upload, wishes, Mock(side_effect=ClientDisconnected)),
    ):
        pass
    for beats in (0, 1):
        beat = Mock()
        with shelf.hearing("tiny.en", upload, wishes, beat) as hearing:
            beat.side_effect = [*beats * [None], ClientDisconnected]
            with pytest.raises(ClientDisconnected):
                list(hearing.segments)


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


def test_a_model_can_be_any_folder(tmp_path: Path, connect: Connect, media: Path) -> None:
    folder = tmp_path / "my-model"
    folder.symlink_to(source("tiny.en").folder())
    client = connect(create_app(Shelf([str(folder)])))
    assert [model.id for model in client.models.list()] == ["my-model"]
    answer = client.audio.transcriptions.create(file=media / "jfk.flac", model=str(folder))
    assert words(answer.text) == JFK


def test_base_hears_as_well_and_tells_the_language(client: OpenAI, media: Path) -> None:
    answer = client.audio.transcriptions.create(file=media / "jfk.flac", model="base", response_format="verbose_json")
    assert words(answer.text) == JFK
    assert answer.language == "en"


def test_base_translates(client: OpenAI, media: Path) -> None:
    asked: dict[str, Any] = {"file": media / "jfk.flac", "model": "base", "response_format": "verbose_json"}
    with pytest.deprecated_call():
        answer = client.audio.translations.create(**asked, extra_body={"language": "es"})
    assert (answer.language, answer.task) == ("english", "translate")
    assert "ask what you can do for your country" in words(
        answer.text
    )  # with this language it would be written in Spanish


def test_a_model_of_one_language_does_not_translate(client: OpenAI, media: Path) -> None:
    with pytest.deprecated_call(), pytest.raises(BadRequestError) as refusal:
        client.audio.translations.create(file=media / "jfk.flac", model="tiny.en")
    assert refusal.value.param == "model"


def test_subtitles_are_read_by_other_programs(client: OpenAI, media: Path) -> None:
    asked: dict[str, Any] = {"file": media / "jfk.flac", "model": "tiny.en"}
    text = str(client.audio.transcriptions.create(**asked, response_format="srt"))
    assert re.match(r"1\n00:00:0\d,\d{3} --> 00:00:\d\d,\d{3}\n", text)
    srt = pysubs2.SSAFile.from_string(text, "srt")
    vtt = webvtt.from_string(str(client.audio.transcriptions.create(**asked, response_format="vtt")))
    assert words(" ".join(cue.text for cue in srt)) == JFK
    assert words(" ".join(cue.text for cue in vtt.captions)) == JFK
    assert [cue.start / 1000 for cue in srt] == [
        cue.start_in_seconds + cue.start_time.milliseconds / 1000 for cue in vtt.captions
    ]
    assert srt[0].start < 1000
    assert 10_000 < srt[-1].end < 11_100


def test_a_prompt_teaches_how_words_are_written_in_every_half_minute(
    client: OpenAI, media: Path, tmp_path: Path
) -> None:
    speech = record(tmp_path / "speech.wav", 4 * decode(media / "jfk.flac", RATE).tobytes())
    prompt = "My felow Amerikans, what your kountry can do."
    answer = client.audio.transcriptions.create(
        file=speech, model="tiny.en", prompt=prompt, response_format="verbose_json"
    )
    assert answer.segments
    for half in (range(30), range(30, 45)):
        assert "felow" in "".join(each.text for each in answer.segments if int(each.start) in half)


def test_a_temperature_is_used(client: OpenAI, media: Path) -> None:
    answer = client.audio.transcriptions.create(
        file=media / "jfk.flac", model="tiny.en", response_format="verbose_json", temperature=0.4
    )
    assert answer.segments
    assert {segment.temperature for segment in answer.segments} == {0.4}


def in_full(client: OpenAI, recording: Path) -> Any:
    return client.audio.transcriptions.create(
        file=recording, model="tiny.en", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )


@pytest.fixture
def refrain(media: Path, tmp_path: Path) -> Path:
    """The same sentence six times, with a second of a quiet room after each."""
    room = np.random.default_rng(1).normal(0, 30, RATE).astype(np.int16)
    return record(tmp_path / "refrain.wav", 6 * (decode(media / "jfk.flac", RATE).tobytes() + room.tobytes()))


def test_a_refrain_keeps_its_words_and_is_not_suspicious(client: OpenAI, refrain: Path) -> None:
    answer = in_full(client, refrain)
    said = words(" ".join(word.word for word in answer.words))
    assert jiwer.wer(" ".join(6 * [JFK]), said) <= 1 / len(6 * JFK.split())
    assert all(segment.temperature == 0 and segment.compression_ratio < 1.6 for segment in answer.segments)
    assert all(first.start <= second.start for first, second in zip(answer.words, answer.words[1:], strict=False))
    assert answer.words[-1].end == pytest.approx(answer.duration - 1.5, abs=1)


def test_text_that_goes_round_in_a_circle_shows_it_in_each_phrase(
    client: OpenAI, refrain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speech.ear._MOST_COMPRESSION", 1.5)
    (first, second, *_) = in_full(client, refrain).segments
    assert first.compression_ratio == second.compression_ratio > 2.4


def test_what_is_no_better_the_second_time_stays(client: OpenAI, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speech.ear._is_sure", lambda *_: False)
    answer = in_full(client, media / "jfk.flac")
    assert words(answer.text) == JFK
    assert {segment.temperature for segment in answer.segments} == {0}


def test_what_failed_twice_is_heard_again_hotter(client: OpenAI, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speech.ear._is_sure", lambda piece, _: piece.temperature > 0)
    answer = in_full(client, media / "jfk.flac")
    assert {segment.temperature for segment in answer.segments} == {0.4}
    assert 0 <= answer.words[0].start < answer.words[-1].end <= 11.1


@pytest.mark.slow
def test_nothing_is_left_out_where_a_voice_is_fast_or_another_one_begins(
    client: OpenAI, media: Path, tmp_path: Path
) -> None:
    text = "\n".join(READING.splitlines()[:3])
    sound = [decode(media / "jfk.flac", RATE), decode(read_aloud(tmp_path / "reading.wav", text, pace=1), RATE)]
    speech = record(tmp_path / "speech.wav", np.concatenate(sound).tobytes())
    answer = in_full(client, speech)
    assert jiwer.wer(words(f"{JFK} {text}"), words(answer.text)) <= 0.05
    assert all(first.end <= second.start for first, second in zip(answer.segments, answer.segments[1:], strict=False))
    assert client.audio.transcriptions.create(file=speech, model="tiny.en").text == answer.text


@pytest.mark.slow
def test_nothing_is_left_out_where_a_voice_is_fast_in_a_noisy_room(client: OpenAI, media: Path, tmp_path: Path) -> None:
    """Words that are given the time of what was left out behind them."""
    text = " ".join(READING.split()[:300])
    voice = read_aloud(tmp_path / "voice.wav", text, pace=1)
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-i", voice, "-af", "atempo=1.6", tmp_path / "fast.wav"], check=True
    )
    samples = decode(tmp_path / "fast.wav", RATE)
    room = np.random.default_rng(1).normal(0, 400, len(samples))
    speech = record(tmp_path / "speech.wav", np.clip(samples + room, -32768, 32767).astype("<i2").tobytes())
    answer = in_full(client, speech)
    assert jiwer.wer(words(text), words(answer.text)) <= 0.15
    assert all(word.end - word.start <= 2 for word in answer.words)


@pytest.mark.slow
def test_a_number_that_is_spoken_in_full_is_written_once(client: OpenAI, tmp_path: Path) -> None:
    """It is one word, and takes seconds."""
    said = "You can call me at 07700900123 every evening."
    answer = in_full(client, read_aloud(tmp_path / "number.wav", said))
    assert "every evening" in words(answer.text)
    assert sum(character.isdigit() for character in answer.text) <= 12
    assert not re.search("seven|zero|nine", answer.text) or not re.search(r"\d", answer.text)


def test_a_stream_has_all_the_words(client: OpenAI, media: Path) -> None:
    with client.audio.transcriptions.create(file=media / "jfk.flac", model="tiny.en", stream=True) as events:
        told: list[Any] = list(events)
    *deltas, done = told
    assert words(done.text) == JFK
    assert "".join(event.delta for event in deltas) == done.text
