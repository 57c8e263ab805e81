"""The pieces that text can be broken between, each with its time."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from icu4py.breakers import LineBreaker

from pipeline.transcript import Segment, Word, fold, joint
from transcriber.profile import width
from transcriber.scripts import UNSPACED

_CLOSING = "\"'”’»)]」』】）"  # noqa: RUF001
_ENDS = tuple(".!?…。．！？؟।॥։۔")  # noqa: RUF001
_RESTS = tuple(",;:،؛、，；：—–")  # noqa: RUF001
_UNSPACED = re.compile(f"[{UNSPACED}]")
_HELD = re.compile(r"(?<=\w) (?=[»?!:;%—–]{1,3}(?: |\Z))|(?<=«) (?=\w)")  # noqa: RUF001
"""Spaces that French and dashes have, and at which no line is broken."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A word with its punctuation, or of scripts without spaces a character or so. Times in milliseconds."""

    text: str
    start: int
    end: int
    joint: str = ""
    """What goes between it and the one before: a space or nothing."""
    whole: bool = True
    """A word ends with it, and not only a line may."""
    since: int = 0
    """When its segment begins."""
    speaker: str | None = None

    @property
    def width(self) -> int:
        """Columns; also of what is invisible one, so that nothing endless fits a line."""
        return max(1, width(self.text))

    @property
    def ends(self) -> bool:
        """A sentence ends with it."""
        return self.text.rstrip(_CLOSING).endswith(_ENDS)

    @property
    def rests(self) -> bool:
        """A speaker would take breath after it."""
        return self.text.rstrip(_CLOSING).endswith(_RESTS)


def units(segments: Iterable[Segment]) -> Iterator[Unit]:
    """All of the text, in order. Times of a segment do not go back, and stay within it.

    They are those of the segment's words, also where its text was changed since; without words they are shared out by length.
    """
    before = ""
    for segment in segments:
        for place, unit in enumerate(_units(segment)):
            yield unit if place else replace(unit, joint=joint(before, unit.text))
            before = unit.text


def _units(segment: Segment) -> Iterator[Unit]:
    pieces = list(_pieces(fold(segment.text)))
    times = _times(segment, [text for text, _, _ in pieces])
    for (text, space, whole), (start, end) in zip(pieces, times, strict=True):
        yield Unit(text, start, end, space, whole, round(segment.start * 1000), segment.speaker)


def text_of(said: Sequence[Unit]) -> str:
    return "".join(unit.joint + unit.text for unit in said).removeprefix(said[0].joint)


def _pieces(text: str) -> Iterator[tuple[str, str, bool]]:
    """Text, the space before it, and whether a word ends there. UAX #14 tells of scripts without spaces where lines may end."""
    for word in _HELD.sub("\N{NO-BREAK SPACE}", text).split(" "):
        if not _UNSPACED.search(word):
            yield from [(word, " ", True)] if word else []
            continue
        space, said, ends = " ", 0, set(accumulate(map(len, LineBreaker(word, "ja@lb=strict;lw=phrase"))))
        for piece in LineBreaker(word, "ja@lb=strict"):
            said += len(piece)
            yield piece, space, said in ends
            space = ""


def _times(segment: Segment, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A letter of the text has the time of the same letter of the words: services leave punctuation out of one of them."""
    letters = [_letters(text) for text in texts]
    clock = _Clock(segment, "".join(letters))
    said, now = 0, clock.first
    for text in letters:
        start, end = clock.start(said), clock.end(said + len(text))
        said += len(text)
        now = max(now, start)
        yield now, (now := max(now, end))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())) or text


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    differs = (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return next(differs, min(len(one), len(other)))


class _Clock:
    """When each letter of a segment is said. Its text and its words are equal but for what was changed in between."""

    def __init__(self, segment: Segment, text: str) -> None:
        self.first, self.last = round(segment.start * 1000), round(max(segment.start, segment.end) * 1000)
        told = [(word, _letters(word.text.strip())) for word in segment.words if word.text.strip()]
        told = told or [(Word(segment.start, segment.end, ""), text)]
        self._words = [word for word, _ in told]
        self._sums = list(accumulate((len(letters) for _, letters in told), initial=0))
        words = "".join(letters for _, letters in told)
        self._head = _alike(text, words)
        tail = _alike(text[self._head :][::-1], words[self._head :][::-1])
        self._ends = len(text) - tail, len(words) - tail

    def start(self, letter: int) -> int:
        place = self._place(letter)
        return self._time(bisect_right(self._sums, place, hi=len(self._words)) - 1, place)

    def end(self, letter: int) -> int:
        """Of what goes before `letter`."""
        place = self._place(letter)
        return self._time(max(0, bisect_left(self._sums, place) - 1), place)

    def _place(self, letter: int) -> float:
        """Of a letter of the text, among the letters of the words; what was changed is stretched."""
        changed, told = (end - self._head for end in self._ends)
        if letter <= self._head:
            return letter
        if letter >= self._ends[0]:
            return letter + told - changed
        return self._head + (letter - self._head) * told / changed

    def _time(self, number: int, place: float) -> int:
        word, begin, end = self._words[number], self._sums[number], self._sums[number + 1]
        share = min(1.0, (place - begin) / (end - begin))
        time = round((word.start + (word.end - word.start) * share) * 1000)
        return min(max(time, self.first), self.last)
