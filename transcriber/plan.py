"""Where a recording is cut into parts that a speech service takes. Times are frames of `transcriber.levels`."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Final

from transcriber.levels import FRAME
from transcriber.parts import Channel, Part, Span
from transcriber.silence import Stretch, audible, silent

_OVERLAP: Final = int(2.5 / FRAME)
_SHORTEST_PAUSE: Final = int(0.3 / FRAME)
"""Frames; within words, before a p or a t, it is quiet for half of that."""
_SHORTEST_SPEECH: Final = int(0.1 / FRAME)
"""Frames; less is refused by services, and holds no word."""
_BREATH: Final = int(0.75 / FRAME)
"""Frames; of pauses that are as long or longer, the one is best that makes parts most alike."""
_WINDOW: Final = 0.25
"""How much shorter or longer than all alike a part may be, for the sake of a better place to cut."""
_CLOSE: Final = 6
"""dB above a noise at which it is still the noise."""
_DEEP: Final = 10
"""dB that a pause is below speech, at least."""


@dataclass(frozen=True)
class _Cut:
    """A part of what is audible, put together; its first `overlap` frames are the last ones of the part before."""

    begin: int
    end: int
    overlap: int


def parts(levels: bytes, most: float, channel: Channel | None = None, first: int = 0) -> Iterator[Part]:
    """The parts of a channel, none longer than `most` seconds, as equal as pauses allow, counted from `first`.

    What `silence` leaves out is in none; all else is in one, or in two where they overlap.
    """
    silence = silent(levels)
    stretches = audible(silence)
    offsets = list(accumulate((stretch.end - stretch.start for stretch in stretches), initial=0))
    heard, hushed = _joined(levels, stretches), _joined(silence, stretches)
    for cut in _cuts(heard, hushed, int(most / FRAME)):
        if hushed.count(0, cut.begin, cut.end) >= _SHORTEST_SPEECH:
            spans = tuple(_spans(stretches, offsets, cut))
            yield Part(part=first, spans=spans, overlap=round(cut.overlap * FRAME, 3), channel=channel)
            first += 1


def _joined(frames: bytes, stretches: Sequence[Stretch]) -> bytes:
    return b"".join(frames[stretch.start : stretch.end] for stretch in stretches)


def _cuts(heard: bytes, hushed: bytes, most: int) -> Iterator[_Cut]:
    begin = overlap = 0
    while (left := len(heard) - begin) > most:
        alike = left / ceil(left / most)
        window = slice(begin + int(alike * (1 - _WINDOW)), begin + min(most, int(alike * (1 + _WINDOW))))
        wanted = begin + int(alike)
        pause = _pause(heard[window], hushed[window], wanted - window.start)
        end = wanted if pause is None else window.start + pause
        yield _Cut(begin, end, overlap)
        overlap = min(_OVERLAP, int(alike) // 2) if pause is None else 0
        begin = end - overlap
    if left:
        yield _Cut(begin, len(heard), overlap)


def _pause(heard: bytes, hushed: bytes, wanted: int) -> int | None:
    """The middle of the best pause, a long one near frame `wanted`: silence, or only the noise that speech stands out of."""
    ordered = sorted(heard)
    loud, noise = (ordered[int(share * len(ordered))] for share in (0.05, 0.95))
    quiet = bytes(level >= max(noise - _CLOSE, loud + _DEEP) or hush for level, hush in zip(heard, hushed, strict=True))
    pauses = [pause.span() for pause in re.finditer(rb"\x01{%d,}" % _SHORTEST_PAUSE, quiet)]
    best = max(
        pauses, key=lambda pause: (min(pause[1] - pause[0], _BREATH), -abs(sum(pause) // 2 - wanted)), default=None
    )
    return best and sum(best) // 2


def _spans(stretches: Sequence[Stretch], offsets: Sequence[int], cut: _Cut) -> Iterator[Span]:
    """`offsets`: where each stretch begins when all are put together."""
    index = bisect_right(offsets, cut.begin) - 1
    while index < len(stretches) and offsets[index] < cut.end:
        stretch, offset = stretches[index], offsets[index]
        start = stretch.start + max(cut.begin - offset, 0)
        end = min(stretch.start + cut.end - offset, stretch.end)
        yield Span(start=round(start * FRAME, 3), end=round(end * FRAME, 3))
        index += 1
