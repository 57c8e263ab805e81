"""A person's change of what a file says, carried over to the segments that the file was made of."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise

from pipeline.alignment import aligned, counterparts
from pipeline.correction import LONGEST_TEXT
from pipeline.errors import Reject
from pipeline.transcript import Segment, Word, fold, joint
from sync.edits.words import changes_of_words, pieces

_LEAST = 0.001
"""Seconds that a piece of a segment lasts."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Characters `begin` to `end` of the text of segment number `segment`, with the space behind them."""

    segment: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Said:
    """`speaker` is empty for nobody, and None where nothing is told of it: then it is who it was."""

    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """In place of `slices`, which follow each other, stands what is `said`."""

    slices: Sequence[Slice]
    said: Sequence[Said] = ()
    cut: bool = False
    """What is before them and what is behind them is no longer one segment."""


def carried(segments: Sequence[Segment], texts: Sequence[str], changes: Iterable[Change]) -> list[Segment]:
    """The segments after the changes; those that no change touches are the same.

    Words that were put in go with those before them; a segment that has none left is gone. `texts` are those of the segments on
    one line. Raises Reject.
    """
    edits: dict[int, list[_Edit]] = defaultdict(list)
    for change in changes:
        for piece, placed in zip(change.slices, _placed(change, texts), strict=True):
            edits[piece.segment].append(_Edit(piece.begin, piece.end, placed, change.cut))
    made: list[Segment] = []
    for number, (segment, text) in enumerate(zip(segments, texts, strict=True)):
        made.extend(_rebuilt(segment, text, edits[number]) if number in edits else [segment])
    return made


@dataclass(frozen=True, slots=True)
class _Piece:
    """Of a new text, with the characters of the old one in whose place it stands."""

    begin: int
    end: int
    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class _Edit:
    begin: int
    end: int
    pieces: Sequence[_Piece]
    cut: bool


def _placed(change: Change, texts: Sequence[str]) -> list[list[_Piece]]:
    """What stands in the place of each of the slices."""
    before = [
        (number, piece.begin + token.start, piece.begin + token.end, token.word)
        for number, piece in enumerate(change.slices)
        for token in pieces(texts[piece.segment][piece.begin : piece.end])
    ]
    before = before or [(0, change.slices[0].begin, change.slices[0].end, "")]
    after = list(_said(change, texts))
    placed: list[list[_Piece]] = [[] for _ in change.slices]
    matched = changes_of_words([word for *_, word in before], [word for word, _, _ in after])
    for place, (_, text, speaker) in zip(counterparts(matched), after, strict=True):
        number, begin, end, _ = before[place]
        placed[number].append(_Piece(begin, end, text, speaker))
    return placed


def _said(change: Change, texts: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Words as they are compared, and as they are written with the space behind them; who says them."""
    if not change.said:
        return
    spaces = [joint(one.text, other.text) for one, other in pairwise(change.said)]
    spaces.append(_space(change.slices[-1], change.said[-1], texts))
    for said, space in zip(change.said, spaces, strict=True):
        found = list(pieces(said.text))
        for number, token in enumerate(found, 1):
            text = said.text[token.start : token.end]
            yield token.word, text + space if number == len(found) else text, said.speaker


def _space(piece: Slice, said: Said, texts: Sequence[str]) -> str:
    """Behind the last of what is said: as there was, or as there has to be before what it is put in front of."""
    text = texts[piece.segment]
    if piece.begin == piece.end == 0:
        return joint(said.text, text)
    return " " if piece.end == len(text) or text[: piece.end].endswith(" ") else ""


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece of a segment without cuts in which one person speaks; what its text was, and what it is."""

    begin: int
    end: int
    text: str
    speaker: str | None


def _rebuilt(segment: Segment, text: str, edits: Sequence[_Edit]) -> Iterator[Segment]:
    for run in _runs(segment, text, sorted(edits, key=lambda edit: edit.begin)):
        if run.text:
            yield _made(segment, text, run)


def _runs(segment: Segment, text: str, edits: Sequence[_Edit]) -> Iterator[_Run]:
    begin, speaker = 0, segment.speaker
    said: list[str] = []
    for piece in _all(text, edits):
        who = _who(piece, segment)
        if piece.text and (not said or who == speaker):
            said.append(piece.text)
            speaker = who
            continue
        yield _Run(begin, piece.begin, fold("".join(said)), speaker)
        begin, speaker, said = (piece.begin, who, [piece.text]) if piece.text else (piece.end, segment.speaker, [])
    yield _Run(begin, len(text), fold("".join(said)), speaker)


def _all(text: str, edits: Sequence[_Edit]) -> Iterator[_Piece]:
    """With what was not changed; a cut is a piece without text."""
    at = 0
    for edit in edits:
        if edit.begin > at:
            yield _Piece(at, edit.begin, text[at : edit.begin])
        yield from [_Piece(edit.begin, edit.end, "")] if edit.cut else edit.pieces
        at = edit.end
    if at < len(text):
        yield _Piece(at, len(text), text[at:])


def _who(piece: _Piece, segment: Segment) -> str | None:
    if piece.speaker is None or piece.speaker == fold(segment.speaker or ""):
        return segment.speaker
    return piece.speaker or None


def _made(segment: Segment, text: str, run: _Run) -> Segment:
    """What was changed is not what the model was sure of, or in doubt."""
    if len(run.text) > max(LONGEST_TEXT, len(text)):
        raise Reject(
            f"A piece of the text that begins with “{run.text[:40]}” is longer than {LONGEST_TEXT} characters."
        )
    whole, same = (run.begin, run.end) == (0, len(text)), run.text == text[run.begin : run.end].strip()
    if whole:
        if same:
            return replace(segment, speaker=run.speaker)
        return Segment(segment.start, segment.end, run.text, aligned(run.text, segment.words), run.speaker)
    start, end = _moment(segment, text, run.begin), _moment(segment, text, run.end)
    end = round(max(end, start + _LEAST), 3)
    words = tuple(word for word in segment.words if start <= word.start < end)
    if same:
        return replace(segment, start=start, end=end, text=run.text, words=words, speaker=run.speaker)
    return Segment(start, end, run.text, aligned(run.text, words), run.speaker)


def _moment(segment: Segment, text: str, place: int) -> float:
    """Seconds at which character `place` is said: by the words, or else by its share of the text."""
    if not 0 < place < len(text):
        return segment.start if place <= 0 else segment.end
    share = _letters(text[:place]) / max(1, _letters(text))
    sums = list(accumulate(_letters(word.text) for word in segment.words))
    if not sums or not sums[-1]:
        return round(segment.start + share * (segment.end - segment.start), 3)
    number = bisect_right(sums, share * sums[-1] + 0.5)
    return min(max(segment.words[min(number, len(sums) - 1)].start, segment.start), segment.end)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


class Heard:
    """What is known of any stretch of the recording."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = sorted(segments, key=lambda segment: segment.start)
        self._begins = [segment.start for segment in self._segments]
        spoken = chain.from_iterable(segment.words for segment in self._segments)
        self._words = sorted(spoken, key=lambda word: word.start)
        self._starts = [word.start for word in self._words]

    def segment(self, start: float, end: float, said: Said) -> Segment:
        """A new one with the times of the words that were heard meanwhile; `Said.speaker` None is who spoke then."""
        speaker = self._speaker((start + end) / 2) if said.speaker is None else said.speaker or None
        return Segment(start, end, said.text, aligned(said.text, self._spoken(start, end, said.text)), speaker)

    def _spoken(self, start: float, end: float, text: str) -> Sequence[Word]:
        """None where there are so many that they cannot be those of the text."""
        first, behind = bisect_right(self._starts, start - _LEAST), bisect_right(self._starts, end)
        if behind - first > 3 * len(list(pieces(text))):
            return ()
        return [replace(word, end=min(word.end, end)) for word in self._words[first:behind]]

    def _speaker(self, at: float) -> str | None:
        """Who began last, if they have not ended."""
        number = bisect_right(self._begins, at) - 1
        return self._segments[number].speaker if number >= 0 and self._segments[number].end >= at else None
