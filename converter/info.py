"""The first frame of an MP3, which tells players how long it is, where to seek, and which samples are only the encoder's.

Xing's header with LAME's extension, as described at http://gabriel.mp3-tech.org/mp3infotag.html; `Info` instead of `Xing`
where the bit rate is constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fastcrc import crc16

from converter.mp3 import DELAY, HIGHEST, Damaged, Format

_BYTES = 156
"""Of the tag, from its name on."""
_FRAMES_BYTES_TOC_QUALITY = 0b1111
ENTRIES = 100
"""Of the table of places."""
_METHOD = {True: 1, False: 4}
"""By whether the bit rate is constant."""
_MOST = 4095
"""Samples of delay or padding that the tag has room for."""


@dataclass(frozen=True)
class Contents:
    """What the frame tells of all that follow it."""

    header: bytes
    """Of the first of them."""
    frames: int
    bytes: int
    samples: int
    """Of sound, of each channel."""
    constant: bool
    """All of them have the same bit rate."""
    places: Sequence[int]
    """Bytes before the first frame of each hundredth of them."""
    crc: int
    """CRC-16/ARC of all their bytes."""


def info_frame(contents: Contents) -> bytes:
    """Raises Damaged if so many frames cannot hold just these samples."""
    form = Format.of(contents.header)
    padding = contents.frames * form.samples - DELAY - contents.samples
    if not 0 <= padding <= _MOST:
        raise Damaged(f"{contents.frames} frames do not hold {contents.samples} samples")
    header = _header(contents, form)
    size = form.sizes[header[2]]
    front = header + bytes(form.front - len(header))
    tag = _tag(contents, size + contents.bytes, size, padding)
    crc = crc16.arc(front + tag)
    return (front + tag + crc.to_bytes(2, "big")).ljust(size, b"\0")


def _header(contents: Contents, form: Format) -> bytes:
    """That of a frame which is large enough, at the bit rate of the others where it can be."""
    first, second, third, fourth = contents.header
    fits = (index for index in range(1, HIGHEST + 1) if form.sizes[index << 4 | third & 0x0C] >= form.front + _BYTES)
    index = max(third >> 4 if contents.constant else 0, next(fits))
    return bytes([first, second, index << 4 | third & 0x0C, fourth & 0xCF])  # no padding, no joint stereo


def _tag(contents: Contents, total: int, size: int, padding: int) -> bytes:
    """All of it but its own CRC, which is the last two bytes. `total` and `size`: bytes of the MP3 and of this frame."""
    seek = bytes(min(255, 256 * (size + place) // total) if place else 0 for place in contents.places)
    return b"".join(
        [
            b"Info" if contents.constant else b"Xing",
            _FRAMES_BYTES_TOC_QUALITY.to_bytes(4, "big"),
            contents.frames.to_bytes(4, "big"),
            total.to_bytes(4, "big"),
            seek,
            bytes(4),  # quality, which LAME does not tell here through ffmpeg either
            b"LAME3.100",
            bytes([_METHOD[contents.constant]]),
            bytes(11),  # low-pass, replay gain, flags, bit rate: not known
            (DELAY << 12 | padding).to_bytes(3, "big"),
            bytes(4),  # source, gain, preset
            total.to_bytes(4, "big"),
            contents.crc.to_bytes(2, "big"),
        ]
    )
