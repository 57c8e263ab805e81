"""Parts of a file: what a Range header asks for, and the bodies that answer it (RFC 9110, section 14). A part is a `range`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from secrets import token_hex
from typing import BinaryIO

from werkzeug.http import parse_range_header

from pipeline.blobs import CHUNK

MOST = 16
"""Parts in one answer. Players and viewers ask for two or three; many are an attack (RFC 9110, 17.15)."""

LONGEST = 4000
"""Characters of a Range header that is looked at."""

_NO_BYTES = re.compile(r"[ \t]*-0+[ \t]*")


class Unsatisfiable(Exception):
    """The file has none of the bytes that are asked for."""


@dataclass(frozen=True)
class Body:
    """The status and headers of an answer, and what it is made of: parts of the file, and bytes between them."""

    status: int
    pieces: Sequence[bytes | range]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return sum(map(len, self.pieces))

    def read(self, file: BinaryIO) -> Iterator[bytes]:
        """Raises EOFError as `read` does."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from read(file, piece)


def read(file: BinaryIO, part: range) -> Iterator[bytes]:
    """The bytes of `part`. Raises EOFError if the file ends before: servers then close the connection, and the client notices."""
    file.seek(part.start)
    left = len(part)
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise EOFError(f"{left} bytes are missing")
        left -= len(chunk)
        yield chunk


def asked(header: str | None, size: int) -> Sequence[range]:
    """The parts of a file of `size` bytes that `header` asks for, or none if the whole is to be sent. Raises Unsatisfiable.

    Parts that overlap or touch are joined (RFC 9110, 15.3.7.2). The whole is sent for other units, what is malformed,
    and more than `MOST` parts (14.2).
    """
    units, _, specs = (header or "").partition("=")
    if units.strip(" \t").lower() != "bytes" or len(specs) > LONGEST:
        return []
    try:
        wanted = [_part(spec, size) for spec in specs.split(",") if spec.strip(" \t")]
    except ValueError:
        return []
    found = _joined([part for part in wanted if part])
    if wanted and not found:
        raise Unsatisfiable
    return found if len(found) <= MOST else []


def _part(spec: str, size: int) -> range:
    """Empty if it lies behind the end. Raises ValueError if `spec` is malformed, or asks for what no answer can express."""
    if _NO_BYTES.fullmatch(spec):  # well-formed, though werkzeug does not think so
        return range(0)
    header = parse_range_header(f"bytes={spec}")
    if header is None:
        raise ValueError(spec)
    start, stop = header.ranges[0]
    if start < 0 and not size:
        raise ValueError("the last bytes of an empty file have no Content-Range")
    return range(size)[start:stop]


def _joined(parts: Sequence[range]) -> Sequence[range]:
    """`parts` as they are if they lie apart, otherwise ascending."""
    spans: list[range] = []
    for part in sorted(parts, key=attrgetter("start")):
        if spans and part.start <= spans[-1].stop:
            spans[-1] = range(spans[-1].start, max(spans[-1].stop, part.stop))
        else:
            spans.append(part)
    return parts if len(spans) == len(parts) else spans


def body(parts: Sequence[range], size: int, media_type: str) -> Body:
    """What answers a request for `parts` of a file of `size` bytes; for none of them, the whole."""
    match parts:
        case []:
            return Body(200, [range(size)])
        case [part]:
            return Body(206, [part], {"Content-Range": _content_range(part, size)})
    return _multipart(parts, size, media_type)


def _multipart(parts: Sequence[range], size: int, media_type: str) -> Body:
    """multipart/byteranges, RFC 9110, 14.6."""
    boundary = token_hex(16)
    pieces: list[bytes | range] = []
    for part in parts:
        lines = [f"--{boundary}", f"Content-Type: {media_type}", f"Content-Range: {_content_range(part, size)}", "", ""]
        pieces += [("\r\n" * bool(pieces) + "\r\n".join(lines)).encode(), part]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return Body(206, pieces, {"Content-Type": f"multipart/byteranges; boundary={boundary}"})


def _content_range(part: range, size: int) -> str:
    return f"bytes {part.start}-{part.stop - 1}/{size}"
