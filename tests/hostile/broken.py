"""Files that are no recordings, or were ones before something happened to them."""

import random
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.hostile import boxes, ebml
from tests.hostile.making import Hostile, card, made, sine

UNREADABLE = "cannot be read as a recording"
NO_INDEX = "its index (moov) is missing"
NO_SOUND = "no sound"
DAMAGED = "it is damaged"
EMPTY = "sound track of this recording is empty"
UNDECODABLE = "cannot be decoded"
MANY, LARGE = 0xFFFFFFFF, 0x7FFFFFFF
SECONDS = 3
PROMISING = ("mp4", "mkv", "flac", "wav", "w64", "wma", "avi", "flv", "aiff", "caf")
MOVING = ("mp4", "mkv", "webm", "avi", "flv", "wmv")
SILENT = ("mp3", "ts")
"""Kinds whose beginning says how long they are, as sound alone and with pictures, and others."""


@cache
def sound(kind: str, *arguments: str) -> bytes:
    return made(*sine(SECONDS), *arguments, kind=kind)


@cache
def video(kind: str) -> bytes:
    first = ("-movflags", "faststart") if kind == "mp4" else ()
    return made(*sine(SECONDS), *card(SECONDS), "-ar", "44100" if kind == "flv" else "48000", *first, kind=kind)


@cache
def index_first() -> bytes:
    return sound("mp4", "-movflags", "faststart")


def written(name: str, content: bytes, reason: str = UNREADABLE, **expected: object) -> Hostile:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return Hostile(name, write, reason, **expected)  # type: ignore[arg-type]


def no_media() -> Iterator[Hostile]:
    dice = random.Random(7)
    yield written("nothing", b"", "empty")
    yield written("one byte", b"\0")
    yield written("zeros", bytes(2**20))
    yield written("noise", dice.randbytes(2**20))
    yield written("text", b"Call me Ishmael. " * 10_000)
    yield written("half of Unicode", "\ufeff🎬".encode("utf-16") * 10_000)
    yield written("a program", b"\x7fELF\x02\x01\x01" + dice.randbytes(10_000))
    yield written("only a beginning", index_first()[:32])
    yield written("nothing but comments", b"<!--\0-->" * 128)
    yield written("ID3 and nothing else", b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + bytes(1000))


def cut() -> Iterator[Hostile]:
    for tenth in (5, 6, 7):
        for kind in PROMISING:
            whole = index_first() if kind == "mp4" else sound(kind)
            yield written(f"{tenth} tenths of {kind}", whole[: len(whole) * tenth // 10], "breaks off")
        for kind in SILENT:
            whole = sound(kind)
            yield written(
                f"{tenth} tenths of {kind}", whole[: len(whole) * tenth // 10], "", seconds=SECONDS * tenth / 10
            )
        pages = sound("ogg")
        yield written(
            f"{tenth} tenths of ogg", pages[: len(pages) * tenth // 10], "", seconds=SECONDS, either=True
        )  # of which each page is whole or none
    for kind in MOVING:
        whole = video(kind)
        yield written(f"half of {kind} with pictures", whole[: len(whole) // 2], "breaks off")
    last = sound("mp4")
    yield written("an index that never came", last[: last.index(b"moov")], NO_INDEX)
    yield written(
        "an index of nothing", boxes.box(b"ftyp", b"isom\0\0\2\0isom") + last[last.index(b"moov") - 4 :], "breaks off"
    )
    yield written("an index at the wrong end", last[len(last) // 2 :])


def lying_tables() -> Iterator[Hostile]:
    movie = index_first()
    lies = {
        DAMAGED: {
            "more sizes than bytes": boxes.replaced(movie, b"stsz", 0, MANY),
            "descending chunks": boxes.replaced(movie, b"stsc", 2, MANY, 1, 1, 1, 1, 1),
            "no description": boxes.replaced(movie, b"stsd", 0),
            "four billion descriptions": boxes.replaced(movie, b"stsd", MANY),
        },
        EMPTY: {
            "samples of two gigabytes": boxes.replaced(movie, b"stsz", LARGE, 44),
            "a billion samples of one size": boxes.replaced(movie, b"stsz", 1, 10**9),
            "more chunks than bytes": boxes.replaced(movie, b"stco", MANY),
            "chunks behind the end": boxes.replaced(movie, b"stco", 2, LARGE, MANY),
            "no chunks": boxes.replaced(movie, b"stco", 0),
            "chunks of four billion samples": boxes.replaced(movie, b"stsc", 1, 1, MANY, 1),
            "four billion samples in no time": boxes.replaced(movie, b"stts", 1, MANY, 0),
        },
        UNDECODABLE: {
            "chunks that are the header": boxes.replaced(movie, b"stco", 1, 0),
            "samples of half a day": boxes.replaced(movie, b"stts", 1, 44, LARGE),
            "more edits than bytes": boxes.replaced(movie, b"elst", MANY),
            "an edit before all time": boxes.replaced(movie, b"elst", 1, 1000, 0x80000000, 0x10000),
        },
        "breaks off": {
            "no time scale": boxes.patched(movie, b"mdhd", 12, struct.pack(">I", 0)),
            "a time scale beyond all": boxes.patched(movie, b"mdhd", 12, struct.pack(">I", MANY)),
        },
    }
    for reason, files in lies.items():
        for name, lie in files.items():
            yield written(name, lie, reason)
    ages = boxes.patched(movie, b"mdhd", 16, struct.pack(">I", MANY))
    yield written("a track that lasts for ages", ages, "", seconds=SECONDS)
    long = movie[:4] + movie[4:].replace(struct.pack(">I", 0), b"\x7f\xff\xff\xff", 3)
    yield written("boxes longer than the file", long, "", seconds=SECONDS)
    yield written("more samples than were recorded", _flac_that_promises(2**36 - 1), "breaks off")


def _flac_that_promises(samples: int) -> bytes:
    """STREAMINFO, RFC 9639, section 8.2: the count is the lower 36 bits before the checksum."""
    whole = bytearray(sound("flac"))
    packed = int.from_bytes(whole[18:26], "big") >> 36 << 36 | samples
    whole[18:26] = packed.to_bytes(8, "big")
    return bytes(whole)


def deep() -> Iterator[Hostile]:
    movie, depth = index_first(), 20_000
    for kind in (b"moov", b"udta", b"trak", b"meta"):
        yield written(f"{depth} times {kind.decode()}", movie[:32] + boxes.nested(kind, depth))
    inner = boxes.changed(movie, b"mvhd", lambda old: boxes.box(b"mvhd", old) + boxes.nested(b"udta", depth))
    yield written("deep user data", inner, DAMAGED)
    for name, id, reason in (
        ("segments", ebml.SEGMENT, DAMAGED),
        ("tags", ebml.SIMPLE_TAG, DAMAGED),
        ("clusters", ebml.CLUSTER, NO_SOUND),
    ):
        yield written(f"{depth} {name} in each other", ebml.matroska(ebml.nested(id, depth)), reason)
    yield from _cyclic()


def _cyclic() -> Iterator[Hostile]:
    """Seek heads that name themselves and each other, before a good recording."""
    track, sound = ebml.tracks(ebml.pcm_entry()), ebml.cluster(0, bytes(2 * ebml.FRAMES))
    heads = ebml.seek_head(0), ebml.seek_head(0, len(ebml.seek_head(0)), 0)
    for count in (1, 2):
        yield written(
            f"{count} seek heads that go in a circle", ebml.matroska(*heads[:count], track, sound), "", seconds=0.1
        )
    many = ebml.seek_head(*range(0, 50_000, 7))
    yield written("seek heads everywhere", ebml.matroska(many, track, sound), "", seconds=0.1)
    yield written(
        "tags that never end",
        ebml.matroska(
            track, sound, ebml.element(ebml.TAGS, ebml.nested(ebml.TAG, 1) + ebml.nested(ebml.SIMPLE_TAG, 5000))
        ),
        "breaks off",
    )
