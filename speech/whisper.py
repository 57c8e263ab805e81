"""Whisper through faster-whisper and CTranslate2, several half minutes at once, from files that are there already."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from speech import memory
from speech.audio import RATE
from speech.ear import Ear
from speech.model import Hearing, Segment, Unusable, Wishes

WINDOW = 300
"""Seconds heard at once: five minutes more take 100 MB. Where two windows meet, the last half minute is not full."""

HOT_WINDOW = 120
"""The same where half minutes are heard one by one: there each minute takes 50 MB of spectrogram."""

_SEARCH = 30
"""Seconds at a window's end in which its quietest moment is looked for, so that no word is cut."""

_ON_CPU, _ON_GPU = 2, 16
"""Half minutes at once. On two cores 4 were a tenth faster than 2, and took 150 MB more."""


class Whisper:
    """The CTranslate2 model in `folder`, in memory."""

    def __init__(self, name: str, folder: Path) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from ctranslate2 import get_cuda_device_count
        from faster_whisper import WhisperModel

        self.name = name
        on_gpu = get_cuda_device_count() > 0
        self._at_once = _ON_GPU if on_gpu else _ON_CPU
        self._model = WhisperModel(
            str(folder),
            device="cuda" if on_gpu else "cpu",
            compute_type="float16" if on_gpu else "int8",
            cpu_threads=len(os.sched_getaffinity(0)),
            local_files_only=True,
        )

    def check(self, wishes: Wishes) -> None:
        """Raises Unusable."""
        if wishes.task == "translate" and not self._model.model.is_multilingual:
            raise Unusable(f"The model {self.name} hears English only and cannot translate.", "model")
        if wishes.language and wishes.language not in self._model.supported_languages:
            raise Unusable(f"The model {self.name} does not know this language.", "language")

    def hearing(self, samples: Any, wishes: Wishes, beat: Callable[[], None]) -> Hearing:
        """Of the samples that `speech.audio.decode` returns."""
        heard = Hearing(len(samples) / RATE, wishes.language or "en", iter(()))
        heard.segments = self._segments(samples, wishes, beat, heard)
        return heard

    def _segments(self, samples: Any, wishes: Wishes, beat: Callable[[], None], hearing: Hearing) -> Iterator[Segment]:
        number: int = 0
        language: str | None = wishes.language
        for start, window in _windows(samples, HOT_WINDOW if wishes.temperature else WINDOW):
            beat()
            ear = Ear(self._model, self._at_once, window.astype("float32") / 32768, wishes, language)
            for segment in ear.segments():
                beat()
                language = hearing.language = ear.language or hearing.language
                yield segment.moved(number, start / RATE)
                number += 1
            memory.give_back()


def _windows(samples: Any, seconds: int) -> Iterator[tuple[int, Any]]:
    start = 0
    while start < len(samples):
        end = start + seconds * RATE
        if end < len(samples):
            end -= _SEARCH * RATE - _quietest(samples[end - _SEARCH * RATE : end])
        yield start, samples[start:end]
        start = end


def _quietest(samples: Any) -> int:
    """Returns the middle of the quietest tenth of a second."""
    tenth = RATE // 10
    loudness = abs(samples.astype("float32")).reshape(-1, tenth).sum(axis=1)
    return int(loudness.argmin()) * tenth + tenth // 2
