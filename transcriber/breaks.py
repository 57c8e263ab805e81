"""Where text is broken into cues and lines: a price is on every break, and the cheapest way is taken."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

from transcriber.phrases import CONJUNCTIONS, LEANING
from transcriber.profile import Profile
from transcriber.units import Unit, text_of

_CUE = 6.0
"""What a cue costs by itself: the price of a break in the middle of a phrase."""
_INSIDE_A_WORD = 12.0
_MIXED = 10.0
"""The end of one sentence and a piece of the next in one cue."""
_LINE = 0.5
"""A break between two lines costs so much of one between two cues."""
_UNEVEN = 8.0
"""How much a line that is longer than the other by all its width costs."""
_QUIET = 250.0
"""Milliseconds of silence that make a break half as dear."""


def price(before: Unit, after: Unit) -> float:
    """Of a break between two units."""
    if not before.whole:
        return _INSIDE_A_WORD
    if before.ends:
        return 0.0
    dear = 1.0 if before.rests else _price_of_words(_bare(before.text), _bare(after.text))
    return dear / (1 + max(0, after.start - before.end) / _QUIET)


def _price_of_words(before: str, after: str) -> float:
    if before in LEANING:
        return 9.0
    return 3.0 if after in CONJUNCTIONS else 6.0


def _bare(text: str) -> str:
    return text.strip("\"'«»“”„‘’¿¡()[]").casefold()  # noqa: RUF001


class Breaks:
    """The cheapest cues of what somebody says without a pause."""

    def __init__(self, said: Sequence[Unit], profile: Profile) -> None:
        self._said, self._profile = said, profile
        self._prices = [*map(price, said, said[1:]), 0.0]
        self._sums = list(accumulate((len(unit.joint) + unit.width for unit in said), initial=0))

        self._sentences = list(accumulate((unit.ends for unit in said), initial=0))

    def cues(self) -> list[tuple[int, int]]:
        """From which unit to behind which."""
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(self._said) + 1):
            best.append(min(self._ways(best, end)))
        ends = [len(self._said)]
        while ends[-1]:
            ends.append(best[ends[-1]][1])
        return list(zip(ends[:0:-1], ends[-2::-1], strict=True))

    def lines(self, start: int, end: int) -> tuple[str, ...]:
        """As few as can be, and of those the best."""
        count = next(count for count in range(1, self._profile.lines + 1) if self._fits(start, end, count))
        ends = self._best_lines(start, end, count)[1]
        return tuple(text_of(self._said[first:last]) for first, last in zip((start, *ends), ends, strict=False))

    def _ways(self, best: Sequence[tuple[float, int]], end: int) -> Iterator[tuple[float, int]]:
        """Prices of all up to unit `end`, each with where its last cue begins. A unit alone is a cue, however long it is."""
        for start in range(end - 1, -1, -1):
            if start < end - 1 and not (self._fits(start, end, self._profile.lines) and self._lasts(start, end)):
                return
            yield best[start][0] + self._price(start, end), start

    def _lasts(self, start: int, end: int) -> bool:
        return self._said[end - 1].end - self._said[start].start <= self._profile.longest

    def _price(self, start: int, end: int) -> float:
        """Of a cue with the break behind it."""
        profile, columns = self._profile, self._width(start, end)
        shown = max(1, self._shown(start, end))
        hurry = columns * 1000 / shown
        short = max(0.0, 1 - shown / profile.shortest)
        fast = max(0.0, hurry / profile.speed - 1)
        too_fast = max(0.0, hurry / profile.fastest - 1)
        mixed = _MIXED if self._prices[end - 1] and self._sentences[end] > self._sentences[start] else 0.0
        small = max(0.0, 1 - columns / profile.line)
        return _CUE + self._prices[end - 1] + mixed + 6 * small + 20 * short + 5 * fast + 30 * too_fast

    def _shown(self, start: int, end: int) -> int:
        """Milliseconds that the cue can stay; a silence follows all that is said."""
        begin = self._said[start].start
        if end == len(self._said):
            return self._said[-1].end - begin + self._profile.pause - self._profile.gap
        return self._said[end].start - begin - self._profile.gap

    def _width(self, start: int, end: int) -> int:
        return self._sums[end] - self._sums[start] - len(self._said[start].joint)

    def _fits(self, start: int, end: int, count: int) -> bool:
        """Whether `count` lines hold it, each filled as far as it goes."""
        for _ in range(count):
            if start >= end:
                break
            room = self._sums[start] + len(self._said[start].joint) + self._profile.line
            start = max(start + 1, bisect_right(self._sums, room, start) - 1)
        return start >= end

    def _best_lines(self, start: int, end: int, count: int) -> tuple[float, tuple[int, ...]]:
        """Their price, and behind which units they end. Lines of one length are read best."""
        if count == 1:
            return 0.0, (end,)
        even, ways = self._width(start, end) / count, []
        for middle in range(start + 1, end):
            if self._fits(start, middle, 1) and self._fits(middle, end, count - 1):
                rest, ends = self._best_lines(middle, end, count - 1)
                uneven = abs(self._width(start, middle) - even) / self._profile.line
                ways.append((rest + _LINE * self._prices[middle - 1] + _UNEVEN * uneven, (middle, *ends)))
        return min(ways)
