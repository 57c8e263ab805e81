"""EBML (RFC 8794) and Matroska (RFC 9559), as far as lies about them need."""

import struct
import zlib

EBML, DOC_TYPE = 0x1A45DFA3, 0x4282
SEGMENT, CLUSTER, TIMESTAMP, SIMPLE_BLOCK = 0x18538067, 0x1F43B675, 0xE7, 0xA3
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
TAGS, TAG, SIMPLE_TAG, TAG_NAME, TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487
TRACKS, TRACK, NUMBER, UID, TYPE, CODEC = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86
AUDIO, RATE, CHANNELS, BIT_DEPTH = 0xE1, 0xB5, 0x9F, 0x6264
ENCODINGS, ENCODING, COMPRESSION, ALGORITHM = 0x6D80, 0x6240, 0x5034, 0x4254
UNKNOWN = b"\x01" + b"\xff" * 7
"""A size that only the end of the file tells."""

FRAMES = 4410
"""Of PCM in a block."""


def element(id: int, content: bytes | int, size: bytes | None = None) -> bytes:
    if isinstance(content, int):
        content = struct.pack(">Q", content)
    return _id(id) + (size or struct.pack(">Q", 1 << 56 | len(content))) + content


def _id(id: int) -> bytes:
    return id.to_bytes((id.bit_length() + 7) // 8, "big")


def matroska(*content: bytes) -> bytes:
    """A file of that content in a segment of unknown size."""
    return element(EBML, element(DOC_TYPE, b"matroska")) + element(SEGMENT, b"".join(content), UNKNOWN)


def nested(id: int, depth: int) -> bytes:
    """An element in an element in an element, none of which says where it ends."""
    return (_id(id) + UNKNOWN) * depth


def tracks(*entries: bytes) -> bytes:
    return element(TRACKS, b"".join(entries))


def pcm_entry(number: int = 1, *extra: bytes) -> bytes:
    """A track: mono, 16 bits, 44100 Hz."""
    audio = element(AUDIO, element(RATE, struct.pack(">d", 44100.0)) + element(CHANNELS, 1) + element(BIT_DEPTH, 16))
    named = element(NUMBER, number) + element(UID, number) + element(TYPE, 2) + element(CODEC, b"A_PCM/INT/LIT")
    return element(TRACK, named + audio + b"".join(extra))


def zipped() -> bytes:
    """That a track's blocks are compressed by zlib."""
    return element(ENCODINGS, element(ENCODING, element(COMPRESSION, element(ALGORITHM, 0))))


def cluster(at: int, block: bytes) -> bytes:
    """One block at `at` milliseconds."""
    return element(CLUSTER, element(TIMESTAMP, at) + element(SIMPLE_BLOCK, b"\x81\x00\x00\x80" + block))


def zeros(size: int) -> bytes:
    """`size` zero bytes, compressed; made in pieces."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(size >> 20)), packer.flush()])


def seek_head(*positions: int) -> bytes:
    """Says that more of its kind stand at `positions` of the segment."""
    seeks = (element(SEEK, element(SEEK_ID, _id(SEEK_HEAD)) + element(SEEK_POSITION, at)) for at in positions)
    return element(SEEK_HEAD, b"".join(seeks))
