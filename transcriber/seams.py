"""Puts two parts together that overlap, so that every word said in both is there once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.transcript import Segment
from transcriber.parts import Span
from transcriber.tokens import Token, rebuilt, tokens

APART: Final = 1.0
"""Seconds that two models' times of one word may differ, of which one of them may be late by `_LATE` all the time."""
APART_SHARED: Final = 2.0
"""The same, where the times of words are shared out."""
_RIGHT: Final = 2.0
_WRONG: Final = -1.0
_WRONG_TIMED: Final = -0.25
"""Points for a word that is the same at both sides, and for one that is not, or is only at one of them: where there are times,
a word that is the same at the same time is hardly chance."""
_LATE: Final = (0.0, -0.2, 0.2, -0.4, 0.4, -0.6, 0.6, -0.8, 0.8)
_RARELY: Final = 6.0
"""Points less for each second of that, once for a seam: it takes several words to tell that from one that is said again."""
_SLOPE: Final = 4.0
_SLOPE_SHARED: Final = 0.5
"""Points less for each second that times of a word differ: of a word said three times, each is the right one."""
_WINDOW: Final = 30
"""Words near a seam, where nothing else tells what is near: 2.5 s hold about ten, or twenty characters of Chinese."""
_ENOUGH: Final = 3.0
"""The score of two words in a row and an error: with less, and without times, it may be chance."""


class _Pairs(NamedTuple):
    """The same words at both sides: the last pair, by their places in both, and those before."""

    left: int
    right: int
    before: "_Pairs | None"


_Path = tuple[float, _Pairs | None]


@dataclass(frozen=True)
class Seam:
    """`overlap`: what of the recording is in both parts. `timed`: whether the models told times."""

    overlap: Span
    timed: bool = True

    def join(self, left: Sequence[Segment], right: Sequence[Segment]) -> tuple[list[Segment], list[Segment]]:
        """What stays of each side; both are in order."""
        last, first = list(tokens(left)), list(tokens(right))
        ends, begins = self._cut(last, first)
        return list(rebuilt(left, last, last[:ends])), list(rebuilt(right, first, first[begins:]))

    def _cut(self, last: Sequence[Token], first: Sequence[Token]) -> tuple[int, int]:
        """How many words stay of the left side, and with which one the right side begins."""
        near_left = [place for place in range(len(last)) if self._near(last, place, len(last) - 1 - place)]
        near_right = [place for place in range(len(first)) if self._near(first, place, place)]
        tail, head = [last[place] for place in near_left], [first[place] for place in near_right]
        pairs = self._same(tail, head)
        if pairs:
            left, right = self._middle(pairs, tail)
            return near_left[left] + 1, near_right[right] + 1
        if not self.timed or not tail or not head:
            return len(last), 0
        return self._by_time(last, first)

    def _near(self, side: Sequence[Token], place: int, far: int) -> bool:
        token = side[place]
        if not token.key:
            return False
        if not self.timed:
            return far < _WINDOW
        slack = _apart(token)
        return token.end > self.overlap.start - slack and token.start < self.overlap.end + slack

    def _same(self, tail: Sequence[Token], head: Sequence[Token]) -> list[tuple[int, int]]:
        score, pairs = self._aligned(tail, head)
        if not self.timed and score < _ENOUGH:
            return []
        found = []
        while pairs:
            found.append((pairs.left, pairs.right))
            pairs = pairs.before
        return found

    def _aligned(self, tail: Sequence[Token], head: Sequence[Token]) -> _Path:
        if not self.timed:
            return _aligned(tail, head, None)
        paths = ((_aligned(tail, head, late), _RARELY * abs(late)) for late in _LATE)
        return max(((score - less, pairs) for (score, pairs), less in paths), key=_score)

    def _middle(self, pairs: Sequence[tuple[int, int]], tail: Sequence[Token]) -> tuple[int, int]:
        """The pair that is farthest from both edges, where words are cut in half."""
        if not self.timed:
            return pairs[len(pairs) // 2]
        middle = (self.overlap.start + self.overlap.end) / 2
        return min(pairs, key=lambda pair: abs(tail[pair[0]].middle - middle))

    def _by_time(self, last: Sequence[Token], first: Sequence[Token]) -> tuple[int, int]:
        """Both sides heard other words: one ends, and the other begins, in the middle, with one that lies there at most once."""
        middle = (self.overlap.start + self.overlap.end) / 2
        ends = sum(token.middle < middle for token in last)
        begins = sum(token.middle < middle for token in first)
        if ends > 0 and begins < len(first) and last[ends - 1].is_at(first[begins]):
            return ends, begins + 1
        if ends < len(last) and begins > 0 and last[ends].is_at(first[begins - 1]):
            return ends + 1, begins
        return ends, begins


def _apart(token: Token) -> float:
    return APART if token.word else APART_SHARED


def _aligned(tail: Sequence[Token], head: Sequence[Token], late: float | None) -> _Path:
    """The best alignment of an end of `tail` with a beginning of `head`, as reads of DNA are put together.

    `late`: seconds that `head` is; None where there are no times.

    Needleman and Wunsch, 1970 (doi:10.1016/0022-2836(70)90057-4), where what lies before in `tail`, and behind in `head`,
    counts nothing.
    """
    wrong = _WRONG if late is None else _WRONG_TIMED
    row: list[_Path] = [(wrong * place, None) for place in range(len(head) + 1)]
    for left, token in enumerate(tail):
        above, row = row, [(0.0, None)]
        for right, other in enumerate(head):
            likeness = _likeness(token, other, late)
            score, pairs = above[right]
            both = (score + wrong, pairs) if likeness is None else (score + likeness, _Pairs(left, right, pairs))
            one = max(above[right + 1], row[right], key=_score)
            row.append(max(both, (one[0] + wrong, one[1]), key=_score))
    return max(row, key=_score)


def _score(path: _Path) -> float:
    return path[0]


def _likeness(token: Token, other: Token, late: float | None) -> float | None:
    """Points for the same word; None for another one."""
    if token.key != other.key:
        return None
    if late is None:
        return _RIGHT
    most, slope = (APART, _SLOPE) if token.word and other.word else (APART_SHARED, _SLOPE_SHARED)
    apart = abs(token.start + late - other.start)
    return _RIGHT - slope * apart if apart <= most else None
