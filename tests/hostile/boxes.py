"""Boxes of ISO/IEC 14496-12 (MP4, MOV), as far as lies about them need."""

import struct
from collections.abc import Callable

HEADER = 8
CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta")


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", HEADER + len(content), kind) + content


def full(kind: bytes, *numbers: int, tail: bytes = b"") -> bytes:
    """A box that begins with version and flags, both 0, and then has 32-bit `numbers`."""
    return box(kind, struct.pack(f">{len(numbers) + 1}I", 0, *numbers) + tail)


def nested(kind: bytes, depth: int) -> bytes:
    """A box in a box in a box, each as long as what is in it."""
    return b"".join(struct.pack(">I4s", HEADER * level, kind) for level in range(depth, 0, -1))


def changed(movie: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """`movie` with every box of `kind` replaced by what `change` makes of its content; all lengths fit."""
    rest, pieces = movie, []
    while rest:
        length, found = struct.unpack_from(">I4s", rest)
        content, rest = rest[HEADER:length], rest[length:]
        if found == kind:
            pieces.append(change(content))
        else:
            pieces.append(box(found, changed(content, kind, change) if found in CONTAINERS else content))
    return b"".join(pieces)


def replaced(movie: bytes, kind: bytes, *numbers: int, tail: bytes = b"") -> bytes:
    """`movie` with every box of `kind` a full box of `numbers`."""
    return changed(movie, kind, lambda _: full(kind, *numbers, tail=tail))


def patched(movie: bytes, kind: bytes, offset: int, value: bytes) -> bytes:
    """`movie` with `value` written at `offset` into the content of every box of `kind`."""
    return changed(movie, kind, lambda old: box(kind, old[:offset] + value + old[offset + len(value) :]))
