"""Whisper through faster-whisper and CTranslate2, several half minutes at once, from files that are there already."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech import memory
from speech.audio import RATE
from speech.model import Hearing, Segment, Unusable, Wishes, Word
from speech.phrases import phrases

WINDOW = 300
"""Seconds heard at once: five minutes more take 100 MB. Where two windows meet, the last half minute is not full."""

HOT_WINDOW = 120
"""The same where half minutes are heard one by one: there each minute takes 50 MB of spectrogram."""

_SEARCH = 30
"""Seconds at a window's end in which its quietest moment is looked for, so that no word is cut."""

_ON_CPU, _ON_GPU = 2, 16
"""Half minutes at once. On two cores 4 were a tenth faster than 2, and took 150 MB more."""

_TOKENS = 216
"""The most that half a minute becomes, as with OpenAI's own code: more are a loop. With the longest prompt they stay below its 448."""

_LEAST_LOGPROB, _MOST_REPEATED = -1.0, 2.4
"""A piece beyond these bounds, OpenAI's own, is heard once more: the model is unsure, or says the same again and again."""

_MOST_COMPRESSION = 4.0
"""Beyond it, text goes round in a circle; what really is said three times in half a minute stays below."""

_SHORTER: dict[str, Any] = {"chunk_length": 20, "vad_parameters": {"min_silence_duration_ms": 2000}}
"""How it is heard then, with the pauses left in. Of a sentence said twelve times, half minutes had 7 to 27 words of 264 wrong, these
at most one, and 15 s no fewer. Of what is said once they have more wrong: 45 words of 1480, half minutes 26."""

_HOTTER = (0.4,)
"""And how after that: only then is anything left to chance."""


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
            ear = _Ear(self._model, self._at_once, window.astype("float32") / 32768, wishes, language)
            for piece in ear.pieces():
                beat()
                language = ear.language
                hearing.language = language or hearing.language
                for segment in self._cut(piece) if wishes.timed else [piece]:
                    yield _moved(segment, number, start / RATE)
                    number += 1
            memory.give_back()

    def _cut(self, piece: Segment) -> Iterator[Segment]:
        """By its words, since models that are asked for no times of their own lose none; its figures are those of each phrase.

        Only how much it repeats is told of each phrase by itself, unless the whole is a circle: a refrain is no fault.
        """
        for words in phrases(piece.words):
            text = "".join(word.word for word in words)
            tokens = self._model.hf_tokenizer.encode(text, add_special_tokens=False).ids
            said = {"start": words[0].start, "end": words[-1].end, "text": text, "tokens": tokens, "words": words}
            if piece.compression_ratio <= _MOST_COMPRESSION:
                said["compression_ratio"] = _compression(text)
            yield piece.model_copy(update=said)


@dataclass
class _Ear:
    """Hears one window, `sound` as floats from -1 to 1."""

    model: Any
    at_once: int
    sound: Any
    wishes: Wishes
    language: str | None

    def pieces(self) -> Iterator[Segment]:
        if self.wishes.temperature:  # only one by one are they drawn by chance
            yield from self._one_by_one(0.0, self.sound, (self.wishes.temperature,))
            return
        for first in self._in_batches(0.0, self.sound):
            sure = _is_sure(first, _MOST_REPEATED)
            yield from [first] if sure else self._once_more(first, self.sound[_samples(first)])

    def _once_more(self, first: Segment, sound: Any) -> Sequence[Segment]:
        """What is better the second or third time, or else `first`: its words are the likeliest."""
        for again in (
            self._in_batches(first.start, sound, **_SHORTER),
            self._one_by_one(first.start, sound, _HOTTER),
        ):
            heard = list(again)
            if heard and all(_is_sure(each, _MOST_COMPRESSION) for each in heard):
                return heard
        return [first]

    def _in_batches(self, start: float, sound: Any, **pieces: Any) -> Iterator[Segment]:
        from faster_whisper import BatchedInferencePipeline

        # Asked for times, the model would lose what it begins at the end of a half minute and does not end.
        heard, about = BatchedInferencePipeline(self.model).transcribe(
            sound, batch_size=self.at_once, **pieces, **self._options()
        )
        self.language = about.language
        for each in heard:
            yield _segment(each, start)

    def _one_by_one(self, start: float, sound: Any, temperatures: tuple[float, ...]) -> Iterator[Segment]:
        heard, about = self.model.transcribe(
            sound,
            temperature=temperatures,
            condition_on_previous_text=False,
            **self._options(),
        )
        self.language = about.language
        for each in heard:
            yield _segment(each, start)

    def _options(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "task": self.wishes.task,
            "initial_prompt": self.wishes.prompt,
            "word_timestamps": self.wishes.timed,
            "vad_filter": True,
            "max_new_tokens": _TOKENS,
        }


def _is_sure(piece: Segment, most_compression: float) -> bool:
    return piece.avg_logprob >= _LEAST_LOGPROB and piece.compression_ratio <= most_compression


def _samples(piece: Segment) -> slice:
    return slice(int(piece.start * RATE), int(piece.end * RATE))


def _compression(text: str) -> float:
    """As Whisper reckons it."""
    written = text.strip().encode()
    return len(written) / len(zlib.compress(written))


def _segment(heard: Any, offset: float) -> Segment:
    figures = {name: getattr(heard, name) for name in Segment.model_fields if name != "words"}
    words = [
        Word(word=word.word, start=word.start, end=word.end, probability=word.probability) for word in heard.words or ()
    ]
    return _moved(Segment.model_validate(figures | {"words": words}), heard.id, offset)


def _moved(segment: Segment, number: int, offset: float) -> Segment:
    def later(time: float) -> float:
        return round(time + offset, 3)

    words = [word.model_copy(update={"start": later(word.start), "end": later(word.end)}) for word in segment.words]
    times = {"start": later(segment.start), "end": later(segment.end), "seek": segment.seek + round(offset * 100)}
    return segment.model_copy(update={"id": number, "words": words, **times})


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
