"""Where one encoder's frames may go on with another's, and how: gapless, with the bit reservoir as it is.

Both have encoded the same samples around the seam, frame by frame. A frame of the right part begins its main data in the
areas of the frames before it, which the left part's frames do not fill: those bytes are copied over, and nothing that any
frame says has to change. Decoders do not complain of main data that is wrong, so nothing may be left to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from converter.mp3 import HEADER, HIGHEST, Format, Frames, MainData, main_data

SEARCH = 12
"""Frames behind the nominal seam among which a place is looked for."""
FLUSH = 4
"""Frames at the end of a part that know nothing of the sound that follows."""
_AROUND = 16
"""Frames behind a seam that are looked at once it is made: no main data reaches farther back than this in most streams."""


class NoSeam(Exception):
    """The parts do not fit together."""


@dataclass(frozen=True)
class Seam:
    """The right part's frames come from number `frame` on, the left's up to `since`, and `mended` between them."""

    since: int
    frame: int
    mended: Sequence[bytes]


def seam(left: Frames, right: Frames, nominal: int) -> Seam:
    """At frame `nominal` or a few behind it; where the frames of both are the same, if there is such a place. Raises NoSeam."""
    if left.form != right.form:
        raise NoSeam("the parts are of different formats")
    places = range(nominal, min(nominal + SEARCH, left.end - FLUSH, right.end - 1) + 1)
    fitting = [number for number in places if _needed(right, number) <= _last(left, number).free]
    if fitting:
        same = (number for number in fitting if _side(left, number) == _side(right, number))
        return _mended(left, right, next(same, fitting[0]), room=0)
    for number in places:
        room = _needed(right, number) - _last(left, number).free
        if _raised(left.frames(number - 1, number)[0], left.form, room):
            return _mended(left, right, number, room)
    raise NoSeam(f"nowhere within {len(places)} frames of frame {nominal}")


def _side(part: Frames, number: int) -> bytes:
    """The side information of a frame: two encoders that give it the same have come to the same state."""
    (frame,) = part.frames(number, number + 1)
    return frame[HEADER : part.form.front]


def _needed(right: Frames, number: int) -> int:
    """Bytes before the area of frame `number` that its main data begins at."""
    return main_data(right.frames(number, number + 1)[0], right.form).before


def _last(left: Frames, number: int) -> MainData:
    """Of the last frame before `number`."""
    return main_data(left.frames(number - 1, number)[0], left.form)


def _mended(left: Frames, right: Frames, number: int, room: int) -> Seam:
    """With the last frame of the left larger by at least `room` bytes."""
    reservoir = _reservoir(right, number)
    frames = _tail(left, number, max(len(reservoir), 1))
    if room:
        frames[-1] = _raised(frames[-1], left.form, room)
    mended = _filled(frames, left.form, reservoir)
    if not fits([*mended, *right.frames(number, min(number + _AROUND, right.end))], left.form):
        raise NoSeam(f"main data overlaps at frame {number}")
    return Seam(number - len(mended), number, mended)


def _reservoir(right: Frames, number: int) -> bytes:
    """What lies before the area of frame `number`, from the beginning of its main data on."""
    needed = _needed(right, number)
    areas = b"".join(frame[right.form.front :] for frame in _tail(right, number, needed))
    return areas[len(areas) - needed :]


def _tail(part: Frames, number: int, needed: int) -> list[bytes]:
    """The frames before `number` whose areas hold `needed` bytes. Raises NoSeam."""
    first, found = number, 0
    while found < needed:
        if first == part.first:
            raise NoSeam(f"main data of frame {number} begins before its part")
        first -= 1
        found += part.start(first + 1) - part.start(first) - part.form.front
    return part.frames(first, number)


def _raised(frame: bytes, form: Format, room: int) -> bytes:
    """The frame at the next bit rate that makes it larger by `room` bytes or more; empty if there is none."""
    for index in range((frame[2] >> 4) + 1, HIGHEST + 1):
        third = index << 4 | frame[2] & 0x0F
        if form.sizes[third] >= len(frame) + room:
            return (frame[:2] + bytes([third]) + frame[3:]).ljust(form.sizes[third], b"\0")
    return b""


def _filled(frames: Sequence[bytes], form: Format, reservoir: bytes) -> list[bytes]:
    """The frames with the end of their areas, taken as one, replaced by `reservoir`."""
    kept: list[bytes] = []
    left = len(reservoir)
    for frame in reversed(frames):
        taken = min(left, len(frame) - form.front)
        kept.append(frame[: len(frame) - taken] + reservoir[left - taken : left])
        left -= taken
    return kept[::-1]


def fits(frames: Sequence[bytes], form: Format) -> bool:
    """Whether the main data of no frame reaches into that of the one before it, or out of its own area."""
    area = 0
    end: int | None = None
    for data in (main_data(frame, form) for frame in frames):
        begin = area - data.before
        area += data.area
        if (end is not None and begin < end) or begin + data.bytes > area:
            return False
        end = begin + data.bytes
    return True
