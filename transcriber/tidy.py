"""What models answer, put in order: they are out of order at times, overlap themselves, or go on after the end."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from pipeline.transcript import Segment, Word, fold
from transcriber.parts import Part
from transcriber.tokens import Token, excerpt, shared

_LEAST = 0.001
"""Seconds that a segment lasts."""
_LEFT_OUT = 1.0
"""Seconds of silence between two words that are not in the audio."""


def tidy(segments: Iterable[Segment], part: Part) -> list[Segment]:
    """By their starts, in the bounds of the part. Of one speaker none is empty, overlaps the next, or lasts no time.

    Of two that overlap, the first ends where the second begins: people hear the second begin.
    """
    kept: list[Segment] = []
    last: dict[str | None, int] = {}
    folded = (replace(segment, text=text) for segment in segments if (text := fold(segment.text)))
    bounded = (_bounded(segment, part) for segment in folded)
    for segment in sorted((piece for whole in bounded for piece in _pieces(whole, part)), key=_start):
        if segment.speaker in last:
            before = kept[last[segment.speaker]]
            segment = _begun(segment, before.start + _LEAST)
            kept[last[segment.speaker]] = replace(before, end=min(before.end, segment.start))
        last[segment.speaker] = len(kept)
        kept.append(segment)
    return [replace(segment, words=_words(segment)) for segment in sorted(kept, key=_start)]


def chained(segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments of parts one after the other: also where parts meet, nothing of one speaker overlaps."""
    behind: dict[str | None, float] = {}
    for segment in segments:
        begun = _begun(segment, behind.get(segment.speaker, 0.0))
        behind[segment.speaker] = begun.end
        yield begun if begun == segment else replace(begun, words=_words(begun))


def _start(segment: Segment) -> float:
    return segment.start


def _begun(segment: Segment, earliest: float) -> Segment:
    start = round(max(segment.start, earliest), 3)
    return replace(segment, start=start, end=round(max(segment.end, start + _LEAST), 3))


def _bounded(segment: Segment, part: Part) -> Segment:
    earliest, latest = part.spans[0].start, part.spans[-1].end
    start = min(max(segment.start, earliest), latest - _LEAST)
    return _begun(replace(segment, start=start, end=min(segment.end, latest)), 0.0)


def _words(segment: Segment) -> tuple[Word, ...]:
    """In order, in the bounds of the segment."""
    kept: list[Word] = []
    for word in segment.words:
        start = min(max(word.start, kept[-1].end if kept else segment.start), segment.end)
        kept.append(replace(word, start=start, end=min(max(word.end, start), segment.end)))
    return tuple(kept)


def _pieces(segment: Segment, part: Part) -> Iterator[Segment]:
    """A segment without times of words does not last through a silence that the model did not hear."""
    begin, end = part.heard(segment.start), part.heard(segment.end)
    if segment.words or segment.end - segment.start < end - begin + _LEFT_OUT:
        yield segment
        return
    placed = [_placed(token, part) for token in shared(replace(segment, start=begin, end=end))]
    for first, behind in pairwise([0, *_breaks(placed), len(placed)]):
        piece = placed[first:behind]
        yield _begun(excerpt(segment, piece), 0.0)


def _placed(token: Token, part: Part) -> Token:
    """A word that would last through the silence is where most of it is."""
    for begin, behind in ((token.start, token.end), (token.start, token.middle), (token.middle, token.end)):
        start, end = part.recorded(begin, behind)
        if end - start < behind - begin + _LEFT_OUT:
            break
    return replace(token, start=start, end=end)


def _breaks(placed: Sequence[Token]) -> Iterator[int]:
    for place, (token, following) in enumerate(pairwise(placed), 1):
        if following.start - token.end >= _LEFT_OUT:
            yield place
