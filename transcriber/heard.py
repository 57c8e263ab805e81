"""What a service heard, put into one shape whatever the format of its answer; times are seconds of the audio that was sent."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from pipeline.transcript import Segment, Word, fold
from transcriber.answer import Answer, Piece, TimedWord, share

_SENTENCE = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])")

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
    return list(map(_with_words, told, _shared_out(_words(answer.words or (), seconds), told)))


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


def _shared_out(words: Iterable[Word], pieces: Sequence[Heard]) -> list[tuple[Word, ...]]:
    """The words of each piece: those whose middle comes before the next piece begins."""
    groups: list[list[Word]] = [[] for _ in pieces]
    number = 0
    for word in words:
        while number + 1 < len(pieces) and (word.start + word.end) / 2 >= pieces[number + 1].start:
            number += 1
        groups[number].append(word)
    return [tuple(group) for group in groups]


def _with_words(piece: Heard, words: tuple[Word, ...]) -> Heard:
    """Both tell when it was said; words may begin a moment before their segment, or end after it."""
    if not words:
        return piece
    return replace(piece, words=words, start=min(piece.start, words[0].start), end=max(piece.end, words[-1].end))


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
