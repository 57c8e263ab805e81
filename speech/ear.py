"""Hears some minutes with faster-whisper: again what the model is unsure of, and again what it left out."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from speech.audio import RATE
from speech.model import Segment, Wishes, Word
from speech.phrases import phrases

_TOKENS = 216
"""The most that half a minute becomes, as with OpenAI's own code: more are a loop. With the longest prompt they stay below its 448."""

_LEAST_LOGPROB, _MOST_REPEATED, _MOST_NO_SPEECH = -1.0, 2.4, 0.6
"""A piece beyond the first two bounds is heard once more: the model is unsure, or says the same again and again. Beyond the last one
nobody seems to speak. All are OpenAI's own."""

_MOST_COMPRESSION = 4.0
"""Beyond it, text goes round in a circle; what really is said three times in half a minute stays below."""

_SHORTER: dict[str, Any] = {"chunk_length": 20, "vad_parameters": {"min_silence_duration_ms": 2000}}
"""How it is heard then, with the pauses left in. Of a sentence said twelve times, half minutes had 7 to 27 words of 264 wrong, these
at most one, and 15 s no fewer. Of what is said once they have more wrong: 45 words of 1480, half minutes 26."""

_HOTTER = (0.4,)
"""And how after that: only then is anything left to chance."""

_LONGEST_WORD, _LETTER, _WORD = 1.8, 0.15, 0.7
"""Seconds. What is said to last longer than the first, or than the second a letter, is a word before a pause, or before what was
left out, which it was given; it ends after the third. Numbers are words of many words."""

_LEFT_OUT = 1.5
"""Seconds of speech without a word. Between words that are heard there was one at most, where a voice is fast or another one
begins the model left out up to 10, and was sure of what it said."""


@dataclass
class Ear:
    """Hears one window, `sound` as floats from -1 to 1; `language` is known once the first segment has come."""

    model: Any
    at_once: int
    sound: Any
    wishes: Wishes
    language: str | None
    _speech: Sequence[tuple[float, float]] = field(default=(), init=False)
    """Where somebody speaks, in seconds."""

    def segments(self) -> Iterator[Segment]:
        """All that is said, by phrases, in order."""
        if self.wishes.temperature:  # only one by one are they drawn by chance
            yield from self._phrases(self._one_by_one(0.0, self.sound, (self.wishes.temperature,)))
            return
        end = 0.0
        for phrase in self._phrases(self._pieces()):
            yield from self._left_out(end, phrase.start)
            yield phrase
            end = max(end, phrase.end)
        yield from self._left_out(end, len(self.sound) / RATE)

    def _pieces(self) -> Iterator[Segment]:
        heard, about = self._in_batches(0.0, self.sound)
        speech = about.transcription_options.clip_timestamps
        self._speech = [(clip["start"] / RATE, clip["end"] / RATE) for clip in speech]
        for first in heard:
            sure = _is_sure(first, _MOST_REPEATED)
            yield from [first] if sure else self._once_more(first, self._stretch(first.start, first.end))

    def _once_more(self, first: Segment, sound: Any) -> Sequence[Segment]:
        """What is better the second or third time, or else `first`: its words are the likeliest."""
        for again in (
            self._in_batches(first.start, sound, **_SHORTER)[0],
            self._one_by_one(first.start, sound, _HOTTER),
        ):
            heard = list(again)
            if heard and all(_is_sure(each, _MOST_COMPRESSION) for each in heard):
                return heard
        return [first]

    def _left_out(self, start: float, end: float) -> Iterator[Segment]:
        """What is said from `start` to `end`, where no word was heard."""
        spoken = [(max(start, begin), min(end, over)) for begin, over in self._speech if begin < end and start < over]
        if sum(over - begin for begin, over in spoken) < _LEFT_OUT:
            return
        first, last = spoken[0][0], spoken[-1][1]
        heard, _ = self._in_batches(first, self._stretch(first, last), **_SHORTER)
        sure = (piece for piece in heard if _is_sure(piece, _MOST_REPEATED) and piece.no_speech_prob <= _MOST_NO_SPEECH)
        yield from self._phrases(sure)

    def _phrases(self, pieces: Iterable[Segment]) -> Iterator[Segment]:
        """By their words, since models that are asked for no times of their own lose none; the figures of each are its piece's.

        Only how much it repeats is told of each phrase by itself, unless the whole is a circle: a refrain is no fault.
        """
        for piece in pieces:
            for words in phrases(piece.words):
                text = "".join(word.word for word in words)
                tokens = self.model.hf_tokenizer.encode(text, add_special_tokens=False).ids
                said = {"start": words[0].start, "end": words[-1].end, "text": text, "tokens": tokens, "words": words}
                if _repetition(piece) <= _MOST_COMPRESSION:
                    said["compression_ratio"] = _compression(text)
                yield piece.model_copy(update=said)

    def _in_batches(self, start: float, sound: Any, **pieces: Any) -> tuple[Iterator[Segment], Any]:
        from faster_whisper import BatchedInferencePipeline

        # Asked for times, the model would lose what it begins at the end of a half minute and does not end.
        heard, about = BatchedInferencePipeline(self.model).transcribe(
            sound, batch_size=self.at_once, **pieces, **self._options()
        )
        self.language = about.language
        return (_segment(each, start) for each in heard), about

    def _one_by_one(self, start: float, sound: Any, temperatures: tuple[float, ...]) -> Iterator[Segment]:
        heard, about = self.model.transcribe(
            sound,
            temperature=temperatures,
            condition_on_previous_text=False,
            **self._options(),
        )
        self.language = about.language
        return (_segment(each, start) for each in heard)

    def _options(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "task": self.wishes.task,
            "initial_prompt": self.wishes.prompt,
            "word_timestamps": True,
            "vad_filter": True,
            "max_new_tokens": _TOKENS,
        }

    def _stretch(self, start: float, end: float) -> Any:
        return self.sound[int(start * RATE) : int(end * RATE)]


def _is_sure(piece: Segment, most_compression: float) -> bool:
    return piece.avg_logprob >= _LEAST_LOGPROB and _repetition(piece) <= most_compression


def _repetition(piece: Segment) -> float:
    """Its compression, but of letters: in UTF-8 most scripts take two or three bytes, which get small by themselves."""
    letters = piece.text.strip().encode("utf-16-le")[::2]  # within a script, the lower bytes tell them apart
    return piece.compression_ratio * _times_smaller(letters) / _compression(piece.text)


def _compression(text: str) -> float:
    """As Whisper reckons it."""
    return _times_smaller(text.strip().encode())


def _times_smaller(text: bytes) -> float:
    return max(len(text), 1) / len(zlib.compress(text))


def _segment(heard: Any, offset: float) -> Segment:
    figures = {name: getattr(heard, name) for name in Segment.model_fields if name != "words"}
    words = [
        Word(word=word.word, start=word.start, end=_end(word), probability=word.probability)
        for word in heard.words or ()
    ]
    return Segment.model_validate(figures | {"words": words}).moved(heard.id, offset)


def _end(word: Any) -> float:
    is_number = any(character.isdigit() for character in word.word)
    longest = max(_LONGEST_WORD, _LETTER * len(word.word))
    return float(word.end if is_number or word.end - word.start <= longest else word.start + _WORD)
