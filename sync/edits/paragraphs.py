"""What a person did to a txt file, as a change of the transcript."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, islice

from pipeline.analysis import tokens
from pipeline.correction import LONGEST_NAME
from pipeline.errors import Reject
from pipeline.transcript import Segment, fold, joint
from sync.edits.carrying import Change, Said, Slice, carried
from sync.edits.placing import letters, slices
from sync.edits.words import changes_of_words

_TIME, _NOTHING = re.compile(r"\[\d+:\d\d:\d\d\] ?"), re.compile("")
_OPENING = 3
"""Words by which a paragraph is known again whose speaker has another name."""


def txt(content: str, written: str, segments: Sequence[Segment], duration: float) -> list[Segment]:
    """Paragraphs are those of a line; times in front of them say nothing new. Raises Reject."""
    given, before = _lines(content), _lines(written)
    if given == before:
        return list(segments)
    if not given:
        raise Reject("The edited file has no text left in it.")
    texts = [fold(segment.text) for segment in segments]
    if not any(texts):
        return [Segment(0, duration, fold(" ".join(given)))]
    paragraphs = _paragraphs(before, segments, texts)
    return carried(segments, texts, _changes(given, paragraphs, segments, texts))


def _lines(text: str) -> list[str]:
    return [line for line in map(fold, text.lstrip("\ufeff").splitlines()) if line]


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """As we wrote it: `line` is all of it, `text` what stands behind the time and the speaker."""

    line: str
    text: str
    slices: Sequence[Slice]
    timed: bool


def _paragraphs(lines: Sequence[str], segments: Sequence[Segment], texts: Sequence[str]) -> list[_Paragraph]:
    """All of the transcript in one where the lines are not those of these segments."""
    heads = list(_heads(lines, segments, texts))
    bodies = [line[len(head) :] for line, head in zip(lines, heads, strict=False)]
    lengths = [len(letters(body)) for body in bodies]
    if len(heads) < len(lines) or sum(lengths) < len(letters("".join(texts))):
        whole = [Slice(number, 0, len(text)) for number, text in enumerate(texts) if text]
        return [_Paragraph("", "", whole, all(map(_TIME.match, lines)))]
    found = zip(lines, heads, bodies, slices(lengths, texts), strict=True)
    return [_Paragraph(line, body, of, bool(_TIME.match(head))) for line, head, body, of in found]


def _heads(lines: Sequence[str], segments: Sequence[Segment], texts: Sequence[str]) -> Iterator[str]:
    """The times and speakers that stand in front of what was said, as far as the lines are those of the segments."""
    said = [letters(text) for text in texts]
    ends, whole, at = list(accumulate(map(len, said))), "".join(said), 0
    for line in lines:
        number = bisect_right(ends, at)
        name = fold(segments[number].speaker or "") if number < len(segments) else ""
        fitting = (head for head in _possible(line, name) if whole.startswith(letters(line[len(head) :]), at))
        head = next(fitting, None)
        if head is None:
            return
        yield head
        at += len(letters(line[len(head) :]))


def _possible(line: str, name: str) -> Iterator[str]:
    for time in filter(None, (_TIME.match(line), _NOTHING.match(line))):
        speaker = f"{name}: " if name and line.startswith(f"{name}: ", time.end()) else ""
        yield time[0] + speaker


def _changes(
    given: Sequence[str], before: Sequence[_Paragraph], segments: Sequence[Segment], texts: Sequence[str]
) -> Iterator[Change]:
    """Words are compared only where lines differ."""
    found = list(_blocks(changes_of_words([paragraph.line for paragraph in before], given)))
    changed = [paragraph for begin, end, _, _ in found for paragraph in before[begin:end]]
    heads = _Heads(any(paragraph.timed for paragraph in before), segments, changed)
    heads.learn(line for _, _, first, behind in found for line in given[first:behind])
    for begin, end, first, behind in found:
        said = [heads.said(line) for line in given[first:behind]]
        if begin == end:
            yield _insertion(before, begin, said, texts)
        else:
            yield Change([piece for paragraph in before[begin:end] for piece in paragraph.slices], said)


def _blocks(changes: Iterable[tuple[str, int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Lines that differ: from which to behind which before, and after."""
    for same, of in groupby(changes, lambda change: change[0] == "equal"):
        if not same:
            together = list(of)
            yield together[0][1], together[-1][2], together[0][3], together[-1][4]


def _insertion(before: Sequence[_Paragraph], place: int, said: list[Said], texts: Sequence[str]) -> Change:
    """Behind the paragraph in front of it."""
    if not place:
        return Change([replace(before[0].slices[0], end=0)], said)
    last = before[place - 1].slices[-1]
    space = joint(texts[last.segment][: last.end], said[0].text)
    return Change([replace(last, begin=last.end)], [replace(said[0], text=space + said[0].text), *said[1:]])


class _Heads:
    """What may stand in front of a paragraph."""

    def __init__(self, timed: bool, segments: Sequence[Segment], changed: Sequence[_Paragraph]) -> None:
        self._timed = timed
        self._names = {fold(segment.speaker) for segment in segments if segment.speaker}
        spoken = (paragraph for paragraph in changed if _without_time(paragraph) != paragraph.text)
        self._openings = {_opening(paragraph.text) for paragraph in spoken}

    def learn(self, lines: Iterable[str]) -> None:
        """New names, where the paragraphs are known by how they go on."""
        for line in map(self._untimed, lines):
            name, _, text = line.partition(": ")
            known = _opening(text) in self._openings and _opening(line) not in self._openings
            if text and known and len(name) <= LONGEST_NAME:
                self._names.add(name)

    def said(self, line: str) -> Said:
        line = self._untimed(line)
        name, _, text = line.partition(": ")
        return Said(text, name) if text and name in self._names else Said(line)

    def _untimed(self, line: str) -> str:
        return _TIME.sub("", line, count=1) if self._timed and _TIME.match(line) else line


def _without_time(paragraph: _Paragraph) -> str:
    return _TIME.sub("", paragraph.line, count=1) if paragraph.timed else paragraph.line


def _opening(text: str) -> tuple[str, ...]:
    return tuple(token.word for token in islice(tokens(text), _OPENING))
