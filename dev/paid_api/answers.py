"""What the stand-in hears: a word every half second, a sentence every five, and two speakers who take turns."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SAID = "abcdefghijklmnop"
_STRIDE = 40503
"""Odd, so that no two of 65,536 words are the same."""
_WORD, _SENTENCE = 0.5, 5.0
"""Seconds."""


@dataclass(frozen=True)
class Sentence:
    start: float
    end: float
    words: tuple[tuple[float, float, str], ...]

    @property
    def text(self) -> str:
        return " ".join(word for _, _, word in self.words)


def word(number: int) -> str:
    """The word at second `number` / 2: every one is another, so that a test sees which was lost or doubled.

    In no order, because text of words that are alike gets as small as one that repeats itself.
    """
    return "".join(_SAID[int(digit, 16)] for digit in f"{number * _STRIDE % 16**4:04x}")


def heard(seconds: float) -> list[Sentence]:
    """In audio that lasts so long."""
    spoken = [(n * _WORD, (n + 1) * _WORD, word(n)) for n in range(int(seconds / _WORD))]
    size = int(_SENTENCE / _WORD)
    return [_sentence(spoken[first : first + size]) for first in range(0, len(spoken), size)]


def _sentence(words: list[tuple[float, float, str]]) -> Sentence:
    *rest, (start, end, last) = words
    return Sentence(words[0][0], end, (*rest, (start, end, last + ".")))


def body(form: Mapping[str, list[str]], seconds: float, task: str) -> tuple[str, bytes]:
    """The media type and the bytes of an answer."""
    sentences, wanted = heard(seconds), form.get("response_format", ["json"])[0]
    text = " ".join(sentence.text for sentence in sentences)
    if wanted in ("text", "srt", "vtt"):
        return "text/plain; charset=utf-8", text.encode()
    answer: dict[str, Any] = {"text": text}
    if wanted == "verbose_json":
        answer |= {"task": task, "language": "english", "duration": seconds}
        answer["segments"] = [_segment(number, sentence) for number, sentence in enumerate(sentences)]
    if "word" in form.get("timestamp_granularities[]", ()):
        answer["words"] = [_timed(*one) for sentence in sentences for one in sentence.words]
    if wanted == "diarized_json":
        answer |= {"task": task, "duration": seconds, "segments": list(map(_turn, range(len(sentences)), sentences))}
    if "logprobs" in form.get("include[]", ()):
        answer["logprobs"] = [{"token": one, "logprob": -0.1, "bytes": list(one.encode())} for one in text.split()]
    return "application/json", json.dumps(answer).encode()


def _segment(number: int, sentence: Sentence) -> dict[str, Any]:
    text = " " + sentence.text
    return {
        "id": number,
        "seek": int(100 * sentence.start),
        "start": sentence.start,
        "end": sentence.end,
        "text": text,
        "tokens": [50364, 50614],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": len(text) / len(zlib.compress(text.encode())),
        "no_speech_prob": 0.01,
    }


def _timed(start: float, end: float, text: str) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end}


def _turn(number: int, sentence: Sentence) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{number:03}",
        "start": sentence.start,
        "end": sentence.end,
        "text": " " + sentence.text,
        "speaker": "AB"[number % 2],
    }
