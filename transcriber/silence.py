"""Where in a recording nothing can be heard. Levels are as in `transcriber.levels`: dB below full scale, more is quieter."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from transcriber.levels import FRAME
from transcriber.parts import MARGIN

_LOUDEST_SILENCE: Final = 50
_FAINTEST_SPEECH: Final = 75
"""What is fainter has hardly three of its 16 bits left."""
_RANGE: Final = 40
"""dB that the faintest speech is below the loudest, at most: a quiet word costs more than some noise that is sent."""
_ENOUGH: Final = int(2 / FRAME)
"""Frames of speech that tell how loud it is, also in a day of silence."""
_STEADY: Final = 6
"""dB in which noise stays for seconds, and speech never does."""
_LONGEST_PAUSE: Final = int(2 / FRAME)
"""Frames; what is longer is left out but for its margins."""
_LONG: Final = re.compile(rb"\x01{%d,}" % (_LONGEST_PAUSE + 1))
_MARGIN: Final = int(MARGIN / FRAME)


@dataclass(frozen=True)
class Stretch:
    """Frames from `start` up to, without, `end`."""

    start: int
    end: int


def silent(levels: bytes) -> bytes:
    """A byte for each frame: 1 where there is nothing, or only faint and steady noise; 0 for all else."""
    marks = bytearray(levels.translate(_at_least(_threshold(levels))))
    for level in range(_LOUDEST_SILENCE, _FAINTEST_SPEECH):
        steady = levels.translate(bytes(level <= other <= level + _STEADY for other in range(256)))
        for noise in _LONG.finditer(steady):
            marks[noise.start() : noise.end()] = noise[0]
    return bytes(marks)


def audible(silence: bytes) -> list[Stretch]:
    """All that is to be heard: everything but long silences, of which `MARGIN` stays at each side."""
    bounds = [0, *_left_out(silence), len(silence)]
    stretches = (Stretch(start, end) for start, end in zip(bounds[::2], bounds[1::2], strict=True))
    return [stretch for stretch in stretches if stretch.start < stretch.end]


def _threshold(levels: bytes) -> int:
    """The level from which on a frame is silent, however it changes."""
    enough, reached = min(1 + len(levels) // 100, _ENOUGH), 0
    for loud in range(256):
        reached += levels.count(loud)
        if reached >= enough:
            break
    return max(_LOUDEST_SILENCE, min(loud + _RANGE, _FAINTEST_SPEECH))


def _at_least(level: int) -> bytes:
    return bytes(other >= level for other in range(256))


def _left_out(silence: bytes) -> Iterator[int]:
    for pause in _LONG.finditer(silence):
        yield pause.start() + (_MARGIN if pause.start() else 0)
        yield pause.end() - (_MARGIN if pause.end() < len(silence) else 0)
