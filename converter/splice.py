"""Frames of several MP3s as one: what of each is taken, where every frame lies, and what the Info frame tells of them all."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fastcrc import crc16

from converter.info import ENTRIES, Contents
from converter.mp3 import Format, Frames
from converter.seams import NoSeam, seam
from pipeline.blobs import CHUNK

_STRIDE = 64
"""Every how many frames it is noted where one begins; between them they are nearly equal."""


@dataclass(frozen=True)
class Stretch:
    """Bytes `start` up to, without, `end` of a file."""

    path: Path
    start: int
    end: int


@dataclass
class Splice:
    """Frames of several files, one after the other, as they stand or mended. Nothing is read before it is needed."""

    format: Format
    pieces: list[bytes | Stretch] = field(default_factory=list)
    frames: int = 0
    size: int = 0
    """Bytes."""
    _numbers: list[int] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)

    def add(self, part: Frames, first: int, end: int) -> None:
        """Frames `first` up to, without, `end` of a part."""
        start = part.start(first)
        noted = range(first, end, _STRIDE)
        self._numbers += (self.frames + number - first for number in noted)
        self._places += (self.size + part.start(number) - start for number in noted)
        self.pieces.append(Stretch(part.path, start, part.start(end)))
        self.frames += end - first
        self.size += part.start(end) - start

    def mend(self, frames: Sequence[bytes]) -> None:
        """Frames that stand in no file."""
        self.pieces.append(b"".join(frames))
        self.frames += len(frames)
        self.size += sum(map(len, frames))

    def places(self) -> list[int]:
        """Bytes before the first frame of each hundredth."""
        wanted = [self.frames * entry // ENTRIES for entry in range(ENTRIES)]
        found = np.interp(wanted, [*self._numbers, self.frames], [*self._places, self.size])
        return [int(place) for place in found]

    def read(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Stretch):
                yield from _read(piece)
            else:
                yield piece

    def contents(self, chunks: Iterable[bytes], samples: int, *, constant: bool) -> Contents:
        """What the Info frame tells of it. `chunks` are all that `read` gives; `samples` of sound; `constant` bit rate."""
        crc, header = 0, b""
        for chunk in chunks:
            header = header or chunk[:4]
            crc = crc16.arc(chunk, crc)
        return Contents(header, self.frames, self.size, samples, constant, self.places(), crc)


def _read(stretch: Stretch) -> Iterator[bytes]:
    with stretch.path.open("rb") as file:
        for start in range(stretch.start, stretch.end, CHUNK):
            yield os.pread(file.fileno(), min(CHUNK, stretch.end - start), start)


def splice(parts: Iterable[Frames], seams: Sequence[int]) -> Splice:
    """The parts with a seam at each of `seams`, or a little behind. Two parts are looked at at a time. Raises NoSeam, Damaged."""
    following = iter(parts)
    left, first = next(following), 0
    whole = Splice(left.form)
    for right, nominal in zip(following, seams, strict=True):
        found = seam(left, right, nominal)
        if found.since < first:
            raise NoSeam(f"the part before frame {nominal} is too short")
        whole.add(left, first, found.since)
        whole.mend(found.mended)
        left, first = right, found.frame
    whole.add(left, first, left.end)
    return whole
