"""The picture on the front of a sound file: a JPEG or PNG of strangers, of which nothing is read but how large it is."""

import base64
import struct
from dataclasses import dataclass
from typing import Literal, Self

_FRONT = 3
"""Picture type, RFC 9639, section 8.8."""

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a pixel, by colour type (PNG, section 11.2.1)."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin a frame header (ITU-T T.81, table B.1)."""


@dataclass(frozen=True)
class Picture:
    form: Literal["jpeg", "png"]
    width: int
    height: int
    depth: int
    """Bits of a pixel."""
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """None if it is neither JPEG nor PNG, or does not say how large it is."""
        if data.startswith(_PNG):
            picture = cls("png", *_png_header(data), data)
        else:
            picture = cls("jpeg", *_jpeg_header(data), data)
        return picture if picture.width and picture.height else None

    @property
    def block(self) -> str:
        """METADATA_BLOCK_PICTURE of Vorbis comments: the picture block of FLAC (RFC 9639, section 8.8) in base64."""
        media_type = f"image/{self.form}".encode()
        fields = struct.pack(">4xIIIII", self.width, self.height, self.depth, 0, len(self.data))
        block = struct.pack(">II", _FRONT, len(media_type)) + media_type + fields + self.data
        return base64.b64encode(block).decode("ascii")


def _png_header(data: bytes) -> tuple[int, int, int]:
    """Width, height, depth; zeros if there is none."""
    if len(data) < len(_PNG) + 10:
        return 0, 0, 0
    width, height, depth, colour = struct.unpack_from(">IIBB", data, len(_PNG))
    return width, height, depth * _SAMPLES.get(colour, 0)


def _jpeg_header(data: bytes) -> tuple[int, int, int]:
    """Width, height, depth; zeros if there is none. From segment to segment (ITU-T T.81, annex B)."""
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while len(data) >= at + 10 and data[at] == 0xFF:
        marker, length, depth, height, width, samples = struct.unpack_from(">xBHBHHB", data, at)
        if marker in _FRAMES:
            return width, height, depth * samples
        at += 1 if marker == 0xFF else 2 + length
    return 0, 0, 0
