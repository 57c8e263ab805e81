"""What a service heard, put into one shape whatever the format of its answer; times are seconds of the audio that was sent."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

from pipeline.transcript import Segment, Word, fold
from transcriber.answer import Answer, Piece, TimedWord, share
from transcriber.tokens import letters

_SENTENCE = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])")
_NEAR = 8
"""Words before and behind the time at which a segment is said to begin, among which its text is looked for."""

Place = Callable[[float, float], tuple[float, float]]
"""Tells, of what begins and ends in the audio, when it began and ended in what the audio is made of."""


@dataclass(frozen=True)
class Heard:
    """A sentence or so."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    confidence: float | None = None
    logprob: float | None = None
    """Of a token, on the average; this and what follows as Whisper tells of them, where the service does."""
    compression: float | None = None
    """How many times its text, and what was said around it, gets smaller."""
    no_speech: float | None = None
    """The probability that nobody speaks."""
    doubtful: bool = False

    def at(self, place: Place) -> "Heard":
        """With other times."""
        start, end = place(self.start, self.end)
        return replace(self, start=start, end=end, words=tuple(_word_at(word, place) for word in self.words))

    def segment(self) -> Segment:
        return Segment(self.start, self.end, self.text, self.words, self.speaker, self.confidence, self.doubtful)


def heard(answer: Answer, seconds: float) -> list[Heard]:
    """What is in the answer to audio of `seconds`, in order: its segments, or else its sentences with times that are shared out."""
    if not answer.segments:
        return _sentences(fold(answer.text), seconds, answer.confidence)
    pieces = [_piece(piece, seconds) for piece in sorted(answer.segments, key=lambda piece: piece.start)]
    told = [piece for piece in pieces if piece.text]
    words = _shared_out(_Row(tuple(_words(answer.words or (), seconds))), told)
    over = [0.0, *(group[-1].end if group else 0.0 for group in words)]
    return list(map(_with_words, told, words, over))


def _piece(piece: Piece, seconds: float) -> Heard:
    start = min(max(piece.start, 0.0), seconds)
    return Heard(
        start,
        min(max(piece.end, start), seconds),
        fold(piece.text),
        speaker=fold(piece.speaker or "") or None,
        confidence=share(piece.avg_logprob),
        logprob=piece.avg_logprob,
        compression=piece.compression_ratio,
        no_speech=piece.no_speech_prob,
    )


def _words(words: Iterable[TimedWord], seconds: float) -> Iterator[Word]:
    for word in sorted(words, key=lambda word: word.start):
        start = min(max(word.start, 0.0), seconds)
        sure = None if word.probability is None else min(max(word.probability, 0.0), 1.0)
        if text := fold(word.word):
            yield Word(start, min(max(word.end, start), seconds), text, sure)


@dataclass(frozen=True)
class _Row:
    """The words of a whole answer, by their starts."""

    words: tuple[Word, ...]

    @cached_property
    def letters(self) -> list[str]:
        return [letters(word.text) for word in self.words]

    def bound(self, first: int, text: str, following: str, start: float) -> int:
        """Behind which word a piece ends, given with which one it begins: the texts of it and of the following one tell.

        Only where they do not, time does: when that one is said to start.
        """
        spelt = self._spelt(text, first)
        least = first if spelt is None else spelt
        by_time = self._before(start, least, marks=spelt is not None)
        near = range(max(least, by_time - _NEAR), min(by_time + _NEAR, len(self.words)) + 1)
        nearest = sorted(near, key=lambda place: abs(place - by_time))
        return next((place for place in nearest if self._spelt(following, place) is not None), by_time)

    def _spelt(self, text: str, first: int) -> int | None:
        """Behind which word the words from `first` on have spelt the letters `text`, if they do."""
        behind = 0
        for place in range(first, len(self.words) + 1):
            if behind == len(text):
                return place
            if place == len(self.words) or not text.startswith(self.letters[place], behind):
                return None
            behind += len(self.letters[place])
        return None

    def _before(self, start: float, first: int, *, marks: bool) -> int:
        """Behind which word those from `first` on end whose middle is before `start`, or only the `marks` among them."""
        for place in range(first, len(self.words)):
            word = self.words[place]
            if (word.start + word.end) / 2 >= start or (marks and self.letters[place]):
                return place
        return len(self.words)


def _shared_out(row: _Row, pieces: Sequence[Heard]) -> list[tuple[Word, ...]]:
    """The words of each piece."""
    texts = [letters(piece.text) for piece in pieces]
    bounds = [0]
    for text, following, piece in zip(texts, texts[1:], pieces[1:], strict=False):
        bounds.append(row.bound(bounds[-1], text, following, piece.start))
    return [row.words[first:behind] for first, behind in pairwise([*bounds, len(row.words)])]


def _with_words(piece: Heard, words: tuple[Word, ...], over: float) -> Heard:
    """Both tell when it was said; words may begin a moment before their segment, or end after it.

    Nor does it begin before the words of the one before are `over`, if its own do not: they would be cut off where it begins.
    """
    if not words:
        return piece
    start = min(max(piece.start, over), words[0].start)
    return replace(piece, words=words, start=start, end=max(piece.end, words[-1].end))


def _sentences(text: str, seconds: float, confidence: float | None) -> list[Heard]:
    """Each lasts as long as its share of the text."""
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence]
    whole = sum(map(len, sentences))
    ends = accumulate((seconds * len(sentence) / whole for sentence in sentences), initial=0.0)
    return [
        Heard(start, end, sentence, confidence=confidence)
        for sentence, (start, end) in zip(sentences, pairwise(ends), strict=True)
    ]


def _word_at(word: Word, place: Place) -> Word:
    start, end = place(word.start, word.end)
    return replace(word, start=start, end=end)
