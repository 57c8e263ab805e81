"""Subtitles out of what was said: what is on the screen from when to when."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain, pairwise

from pipeline.transcript import Layer
from transcriber.breaks import Breaks
from transcriber.profile import Profile, profile_for, width
from transcriber.units import Unit, units

_MOST = 200
"""Units that are looked at together, about a minute of speech: more makes no break better, and memory has its bound."""
_OPEN = 3
"""Of them, the last cues are broken again with what comes next."""


@dataclass(frozen=True, slots=True)
class Cue:
    """`start` and `end` in milliseconds of the recording."""

    start: int
    end: int
    lines: tuple[str, ...]
    speaker: str | None = None


def cues(layer: Layer, profile: Profile | None = None) -> Iterator[Cue]:
    """Every word of the layer, in cues that follow each other without overlap, each of one speaker.

    None begins before its words are said. It is late only where people talk at once, or where the one before would be gone at a
    glimpse. It stays for as long as it takes to be read, if nothing comes after it; people who speak faster than that are not cut
    short. `profile` is that of the layer's script if None.
    """
    profile = profile or profile_for(segment.text for segment in layer.segments())
    spoken = _in_order(_spoken(units(layer.segments()), profile))
    return _on_screen(spoken, round(layer.about.duration * 1000), profile)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What a cue is made of."""

    said: list[Unit]
    lines: tuple[str, ...]

    @property
    def cue(self) -> Cue:
        """From its first word to its last."""
        return Cue(self.said[0].start, max(unit.end for unit in self.said), self.lines, self.said[0].speaker)


def _spoken(said: Iterable[Unit], profile: Profile) -> Iterator[_Spoken]:
    block: list[Unit] = []
    for unit in said:
        if block and _are_apart(block[-1], unit, profile):
            yield from _broken(block, profile)
            block = []
        elif len(block) >= _MOST:
            done = _broken(block, profile)[:-_OPEN]
            yield from done
            block = block[sum(len(piece.said) for piece in done) :]
        block.append(unit)
    if block:
        yield from _broken(block, profile)


def _are_apart(before: Unit, after: Unit, profile: Profile) -> bool:
    return before.speaker != after.speaker or after.start - before.end >= profile.pause


def _broken(block: Sequence[Unit], profile: Profile) -> list[_Spoken]:
    breaks = Breaks(block, profile)
    return [_Spoken(list(block[first:last]), breaks.lines(first, last)) for first, last in breaks.cues()]


def _in_order(spoken: Iterable[_Spoken]) -> Iterator[Cue]:
    """By their beginning, also where people talk at once; segments are in that order already."""
    waiting: list[tuple[int, int, Cue]] = []
    for number, piece in enumerate(spoken):
        while waiting and waiting[0][0] <= piece.said[0].since:
            yield heappop(waiting)[2]
        heappush(waiting, (piece.cue.start, number, piece.cue))
    while waiting:
        yield heappop(waiting)[2]


def _on_screen(spoken: Iterable[Cue], duration: int, profile: Profile) -> Iterator[Cue]:
    free = 0
    for cue, following in pairwise(chain(spoken, [None])):
        if cue:
            start = max(cue.start, free)
            until = following.start - profile.gap if following else max(duration, cue.end)
            end = _end(cue, start, until, profile)
            yield replace(cue, start=start, end=end)
            free = end + profile.gap


def _end(cue: Cue, start: int, until: int, profile: Profile) -> int:
    """`until` is when the next cue has to come, unless people talk at once: then each gets what it needs, less what it is late."""
    reading = round(sum(map(width, cue.lines)) * 1000 / profile.speed)
    needed = min(max(reading, profile.shortest), profile.longest)
    own = min(needed, cue.end - cue.start - profile.gap) - (start - cue.start)
    wanted = min(max(cue.end, start + needed), start + profile.longest)
    return max(min(wanted, until), start + max(own, profile.glimpse))
