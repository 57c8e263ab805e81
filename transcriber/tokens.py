"""The words of segments, each with its piece of the text: where a segment is cut, its text is cut with it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from operator import attrgetter
from typing import Final

from pipeline.transcript import Segment, Word
from transcriber.scripts import UNSPACED

_PIECE: Final = re.compile(rf"\s*(?:[{UNSPACED}]|[^\s{UNSPACED}]+)[^\w\s]*\s*")


@dataclass(frozen=True, slots=True)
class Token:
    start: float
    end: float
    text: str
    """With what is before or behind it in the segment; those of all tokens make up the segment's text."""
    segment: int
    """The place of its segment among those that were asked about."""
    word: Word | None = None
    """None where its times are shared out by the length of the text."""

    @property
    def key(self) -> str:
        """The same for the same word, however it is written down; empty for none."""
        return letters(self.text)

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def is_at(self, other: "Token") -> bool:
        """Whether both may be one word: a third of the longer one is said at once."""
        common = min(self.end, other.end) - max(self.start, other.start)
        return 3 * common > max(self.end - self.start, other.end - other.start)


def letters(text: str) -> str:
    """And digits, all that services agree upon: words come with other marks and cases than the text that they are of."""
    return "".join(character for character in text.casefold() if character.isalnum())


def tokens(segments: Iterable[Segment]) -> Iterator[Token]:
    for place, segment in enumerate(segments):
        yield from _timed(segment, place) if segment.words else shared(segment, place)


def shared(segment: Segment, place: int = 0) -> Iterator[Token]:
    """Its words with times by the length of their text."""
    pieces = _PIECE.findall(segment.text) or [segment.text]
    lengths = accumulate(map(len, pieces), initial=0)
    pace = (segment.end - segment.start) / max(1, sum(map(len, pieces)))
    times = (round(segment.start + pace * length, 3) for length in lengths)
    for piece, (start, end) in zip(pieces, pairwise(times), strict=True):
        yield Token(start, end, piece, place)


def _timed(segment: Segment, place: int) -> Iterator[Token]:
    """Words of models may come without the punctuation that the text has around them."""
    begins = list(_begins(segment)) or [0]
    bounds = [0, *begins[1:], len(segment.text)]
    if len(bounds) != len(segment.words) + 1:
        texts = [f"{word.text} " for word in segment.words]
    else:
        texts = [segment.text[start:end] for start, end in pairwise(bounds)]
    for text, word in zip(texts, segment.words, strict=True):
        yield Token(word.start, word.end, text, place, word)


def _begins(segment: Segment) -> Iterator[int]:
    """Where in the text each word begins, with what stands before it without a blank; fewer than words, if one is not found."""
    behind = 0
    for word in segment.words:
        found = segment.text.find(word.text.strip(), behind)
        if found < 0:
            return
        yield max(behind, segment.text.rfind(" ", behind, found) + 1)
        behind = found + len(word.text.strip())


def rebuilt(segments: Sequence[Segment], whole: Sequence[Token], kept: Sequence[Token]) -> Iterator[Segment]:
    """The segments, of which all tokens are `whole`, with what is kept of them."""
    sizes = Counter(token.segment for token in whole)
    for place, group in groupby(kept, attrgetter("segment")):
        stays = list(group)
        yield segments[place] if len(stays) == sizes[place] else excerpt(segments[place], stays)


def excerpt(segment: Segment, kept: Sequence[Token]) -> Segment:
    return replace(
        segment,
        start=kept[0].start,
        end=kept[-1].end,
        text="".join(token.text for token in kept).strip(),
        words=tuple(token.word for token in kept if token.word),
    )
