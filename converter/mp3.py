"""MPEG audio layer III as LAME writes it: what a frame's header says, where frames lie in a file, and where their main data lies.

ISO/IEC 11172-3 (MPEG-1) and 13818-3 (MPEG-2; 2.5 is the same at lower sample rates), without CRC words. A frame is a header,
side information and an area for main data. The areas of all frames are one stream of bytes (the bit reservoir): the main
data of a frame begins up to 511 bytes (MPEG-2: 255) before its own area, where frames before it left room.
"""

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.blobs import CHUNK

DELAY = 576
"""Samples of silence that LAME puts in front (`ENCDELAY`)."""

HEADER = 4
"""Bytes."""

_MPEG1 = 0b11
_LAYER3 = 0b01
_RATES = (44100, 48000, 32000)
"""Hz in MPEG-1."""
_SHIFTS = {_MPEG1: 0, 0b10: 1, 0b00: 2}
"""By how many bits the sample rates of each version are lower; 0b10 is MPEG-2, 0b00 MPEG-2.5."""
_BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by whether it is MPEG-1 and by the index in the header; 0 (free format) and 15 are not used."""
HIGHEST = 14
"""Of these indices."""


class Damaged(ValueError):
    """Bytes that are no MP3 frames, or not as LAME writes them."""


def frame_samples(sample_rate: int) -> int:
    """Samples of each channel in a frame at `sample_rate` Hz: MPEG-1 begins at 32 kHz."""
    return 1152 if sample_rate >= _RATES[2] else 576


def padding_period(sample_rate: int) -> int:
    """After how many frames of constant bit rate their sizes repeat: none is longer by a byte at 48, 24 and 12 kHz."""
    return 49 if sample_rate % 11025 == 0 else 1


@dataclass(frozen=True)
class Format:
    """What the headers of all frames of a stream have in common."""

    version: int
    """The two bits of the header."""
    rate_index: int
    mono: bool

    @classmethod
    def of(cls, header: bytes) -> Self:
        """Raises Damaged."""
        if len(header) < HEADER or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
            raise Damaged("no frame begins here")
        version, layer, unprotected, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[1] & 1, header[2] >> 2 & 3
        if version not in _SHIFTS or layer != _LAYER3 or not unprotected or rate == len(_RATES):
            raise Damaged(f"not a frame of LAME's: {header[:HEADER].hex()}")
        return cls(version, rate, header[3] >> 6 == 0b11)

    @property
    def mpeg1(self) -> bool:
        return self.version == _MPEG1

    @property
    def channels(self) -> int:
        return 1 if self.mono else 2

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return _RATES[self.rate_index] >> _SHIFTS[self.version]

    @property
    def samples(self) -> int:
        """Of each channel, in a frame."""
        return frame_samples(self.sample_rate)

    @property
    def front(self) -> int:
        """Bytes of header and side information, behind which the area for main data begins."""
        if self.mpeg1:
            return HEADER + (17 if self.mono else 32)
        return HEADER + (9 if self.mono else 17)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of a frame by the third byte of its header; 0 if no such frame belongs to the stream."""
        return tuple(self._size(byte) for byte in range(256))

    def _size(self, byte: int) -> int:
        index, rate, padding = byte >> 4, byte >> 2 & 3, byte >> 1 & 1
        if not 0 < index <= HIGHEST or rate != self.rate_index:
            return 0
        return self.samples // 8 * 1000 * _BITRATES[self.mpeg1][index] // self.sample_rate + padding


class MainData(NamedTuple):
    """Where a frame's main data lies, ISO/IEC 11172-3, 2.4.1.7."""

    before: int
    """Bytes before the frame's own area at which it begins (`main_data_begin`)."""
    bytes: int
    """What scale factors and Huffman code fill (the sum of `part2_3_length`)."""
    area: int
    """Bytes of the frame's own area."""

    @property
    def free(self) -> int:
        """Bytes at the end of its area, and before, which the frame leaves to those that follow."""
        return self.before + self.area - self.bytes


def main_data(frame: bytes, form: Format) -> MainData:
    side = frame[HEADER : form.front]
    bits, length = int.from_bytes(side, "big"), 8 * len(side)

    def read(position: int, width: int) -> int:
        return bits >> (length - position - width) & ((1 << width) - 1)

    # main_data_begin, private_bits and (MPEG-1) scfsi; then, for each granule and channel, a block led by part2_3_length
    if form.mpeg1:
        begins, first, block, blocks = 9, 18 if form.mono else 20, 59, 2 * form.channels
    else:
        begins, first, block, blocks = 8, 9 if form.mono else 10, 63, form.channels
    used = sum(read(first + number * block, 12) for number in range(blocks))
    return MainData(read(0, begins), -(-used // 8), len(frame) - form.front)


class Frames:
    """A file of frames and nothing else; its first one is number `first` of the whole recording."""

    def __init__(self, path: Path, first: int) -> None:
        """Raises Damaged unless frames of one format follow each other over every byte."""
        self.path, self.first = path, first
        with path.open("rb") as file:
            self.form = Format.of(file.read(HEADER))
            self._starts = array("Q", _walk(file.fileno(), self.form))
        if self._starts[-1] != path.stat().st_size:
            raise Damaged("the last frame is cut short")

    @property
    def end(self) -> int:
        """The number behind that of the last frame."""
        return self.first + len(self._starts) - 1

    def start(self, number: int) -> int:
        """Where frame `number` begins; `end` begins where the file ends."""
        return self._starts[number - self.first]

    def frames(self, first: int, end: int) -> list[bytes]:
        """The frames `first` up to, without, `end`."""
        base = self.start(first)
        with self.path.open("rb") as file:
            data = os.pread(file.fileno(), self.start(end) - base, base)
        return [data[self.start(number) - base : self.start(number + 1) - base] for number in range(first, end)]


def _walk(file: int, form: Format) -> Iterator[int]:
    """Where each frame begins, and where one behind the last would. Raises Damaged."""
    sizes, second, mono, position = form.sizes, 0xE0 | form.version << 3 | _LAYER3 << 1 | 1, form.mono, 0
    while chunk := os.pread(file, CHUNK, position):
        at, last = 0, len(chunk) - HEADER
        while at <= last:
            size = sizes[chunk[at + 2]]
            if chunk[at] != 0xFF or chunk[at + 1] != second or not size or (chunk[at + 3] >= 0xC0) != mono:
                raise Damaged(f"no frame begins at byte {position + at}")
            yield position + at
            at += size
        if not at:
            raise Damaged(f"{len(chunk)} bytes too many at the end")
        position += at
    yield position
