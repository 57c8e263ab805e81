"""Small files that want to become large, long or slow."""

import os
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fastcrc import crc8, crc16

from tests.hostile import boxes, ebml
from tests.hostile.broken import index_first, sound, written
from tests.hostile.making import Hostile, card, ffmpeg, made, sine
from tests.hostile.odd import frame, id3, png

DAY = 24 * 3600
MEGABYTE = 2**20


def long() -> Iterator[Hostile]:
    day = {"audio": ("flac",), "waveform": False}
    yield written("a day of silence", silence(DAY, 1), "", seconds=DAY, options=day)
    yield written("the end of a day of silence", silence(DAY, 1), "", seconds=10, options={"start": DAY - 10})
    yield written("five days of silence", silence(5 * DAY, 2), "longer than 100 hours")
    days = (ebml.cluster(day * DAY * 1000, bytes(2 * ebml.FRAMES)) for day in range(100))
    pauses = ebml.matroska(ebml.tracks(ebml.pcm_entry()), *days)
    yield written("a hundred pauses of a day", pauses, "longer than 100 hours")
    for years in (1, 30, 10_000):
        late = ebml.cluster(int(years * 365 * DAY * 1000), bytes(2 * ebml.FRAMES))
        first = ebml.cluster(0, bytes(2 * ebml.FRAMES))
        gap = ebml.matroska(ebml.tracks(ebml.pcm_entry()), first, late)
        yield written(f"a pause of {years} years", gap, "", seconds=400_000, either=True, options={"audio": ("flac",)})


def silence(seconds: int, channels: int) -> bytes:
    """FLAC (RFC 9639) of 8 kHz in frames of 2 seconds, each of which is one number: a day in some hundred kilobytes."""
    whole = made("-f", "lavfi", "-i", f"anullsrc=r=8000:cl={channels}c:d=0.1", kind="flac")
    info = bytearray(whole[8:42])
    info[:4] = struct.pack(">HH", _BLOCK, _BLOCK)
    info[10:18] = (int.from_bytes(info[10:18], "big") >> 36 << 36 | seconds * 8000).to_bytes(8, "big")
    frames = (_silent_frame(number, channels) for number in range(seconds * 8000 // _BLOCK))
    return b"fLaC\x80\0\0\x22" + bytes(info) + b"".join(frames)


_BLOCK = 16000


def _silent_frame(number: int, channels: int) -> bytes:
    """16 bits, subframes constant (sections 9.1 and 9.2)."""
    size = struct.pack(">H", _BLOCK - 1)
    head = b"\xff\xf8\x74" + bytes([channels - 1 << 4 | 8]) + chr(number).encode("utf-8", "surrogatepass") + size
    frame = head + bytes([crc8.smbus(head)]) + bytes(3 * channels)
    return frame + crc16.umts(frame).to_bytes(2, "big")


def sparse() -> Iterator[Hostile]:
    yield Hostile("twenty gigabytes of nothing", partial(_with_hole, b"", 20 * 2**30, b""))
    movie = made(*sine(), kind="mp4")
    hole = struct.pack(">I4sQ", 1, b"free", 20 * 2**30)
    yield Hostile("a movie with a hole", partial(_with_hole, movie + hole, 20 * 2**30 - 16, b""), seconds=1)
    yield Hostile(
        "a movie behind a hole",
        partial(_with_hole, movie[:32] + hole, 20 * 2**30 - 16, movie[32:]),
        "",
        seconds=1,
        either=True,
    )
    yield Hostile(
        "a talk with a hole", partial(_with_hole, sound("mp3"), 2**28, sound("mp3")), "", seconds=7, either=True
    )
    yield Hostile("a sound with a hole", partial(_with_hole, sound("ogg"), 2**30, b""), "", seconds=3, either=True)


def _with_hole(before: bytes, size: int, after: bytes, path: Path) -> None:
    with path.open("wb") as file:
        file.write(before)
        file.seek(size, os.SEEK_CUR)
        file.write(after)
        file.truncate()


def moving() -> Iterator[Hostile]:
    yield Hostile("a picture of 16,384 by 16,384", _huge_picture, seconds=0.1)
    yield Hostile("a million pictures a second", _fast_pictures, seconds=0.1)
    for kind in ("gif", "apng"):
        yield written(f"an endless {kind}", made(*card(), "-f", kind, *_ENDLESS[kind], kind=kind), "")


_ENDLESS = {"gif": ("-loop", "0"), "apng": ("-plays", "0")}


def _huge_picture(path: Path) -> None:
    """A video whose one picture and whose header say so."""
    ffmpeg(
        *card(0.1, "1000x1000"), *sine(), "-frames:v", "1", "-c:v", "png", "-pix_fmt", "monob", "-f", "matroska", path
    )
    video = path.read_bytes()
    for width in (b"\xb0\x82", b"\xba\x82"):  # PixelWidth and PixelHeight
        video = video.replace(width + struct.pack(">H", 1000), width + struct.pack(">H", 16384))
    path.write_bytes(video.replace(png(1000, 1000)[8:33], png(16384, 16384)[8:33]))


def _fast_pictures(path: Path) -> None:
    ffmpeg(*card(0.02, "16x16", 1_000_000), *sine(0.1), "-c:v", "rawvideo", "-pix_fmt", "gray", "-f", "avi", path)


def words() -> Iterator[Hostile]:
    words = b"A" * (100 * MEGABYTE)
    yield Hostile(
        "a hundred megabytes of words, ID3",
        lambda path: path.write_bytes(id3(frame(b"TXXX", b"\0" + words)) + sound("mp3")),
        seconds=3,
    )
    yield Hostile(
        "a hundred megabytes of title, ID3",
        lambda path: path.write_bytes(id3(frame(b"TIT2", b"\0" + words)) + sound("mp3")),
        seconds=3,
    )
    yield Hostile(
        "a hundred megabytes of title, Matroska", lambda path: path.write_bytes(_matroska_with(words)), seconds=0.1
    )
    yield Hostile(
        "a hundred megabytes of title, MP4", lambda path: path.write_bytes(_mp4_with(words)), "", seconds=3, either=True
    )
    yield Hostile(
        "a hundred megabytes of title, FLAC",
        lambda path: path.write_bytes(_flac_with(b"TITLE=" + words[: 15 * MEGABYTE])),
        seconds=3,
    )
    yield Hostile(
        "ten thousand tags",
        lambda path: path.write_bytes(id3(*[frame(b"TXXX", b"\0%d\0x" % n) for n in range(10_000)]) + sound("mp3")),
        "",
        seconds=3,
        either=True,
    )


def _matroska_with(words: bytes) -> bytes:
    title = ebml.element(ebml.TAG_NAME, b"TITLE") + ebml.element(ebml.TAG_STRING, words)
    tags = ebml.element(ebml.TAGS, ebml.element(ebml.TAG, ebml.element(ebml.SIMPLE_TAG, title)))
    return ebml.matroska(ebml.tracks(ebml.pcm_entry()), tags, ebml.cluster(0, bytes(2 * ebml.FRAMES)))


def _mp4_with(words: bytes) -> bytes:
    name = boxes.box(b"\xa9nam", struct.pack(">HH", len(words) % 2**16, 0) + words)
    return boxes.changed(sound("mp4"), b"mvhd", lambda old: boxes.box(b"mvhd", old) + boxes.box(b"udta", name))


def _flac_with(comment: bytes) -> bytes:
    """VORBIS_COMMENT, RFC 9639, section 8.6, seven times behind STREAMINFO."""
    block = struct.pack("<III", 0, 1, len(comment)) + comment
    whole = sound("flac")
    return whole[:42] + 7 * (b"\x04" + len(block).to_bytes(3, "big") + block) + whole[42:]


def tables() -> Iterator[Hostile]:
    movie = index_first()
    edits = struct.pack(">III", 3000, 0, 0x10000) * 100_000
    yield written(
        "a hundred thousand edits",
        boxes.replaced(movie, b"elst", 100_000, tail=edits),
        "",
        seconds=300_000,
        either=True,
        options={"audio": ("flac",)},
    )
    steps = struct.pack(">II", 1, 1) * 10**6
    yield written(
        "a million steps of time", boxes.replaced(movie, b"stts", 10**6, tail=steps), "", seconds=3, either=True
    )
    sizes = struct.pack(">I", 1) * (5 * 10**6)
    yield written(
        "five million samples of a byte",
        boxes.replaced(movie, b"stsz", 0, 5 * 10**6, tail=sizes),
        "",
        seconds=300,
        either=True,
    )
    pages = sound("ogg")
    yield written("a thousand recordings in a row", made(*sine(0.02), kind="ogg") * 1000, "", seconds=30, either=True)
    yield written("a header for every page", pages[:4096] * 500, "", seconds=1600, either=True)


def packed() -> Iterator[Hostile]:
    yield written(
        "an index that unpacks to gigabytes",
        boxes.box(b"ftyp", b"qt  \0\0\0\0qt  ") + boxes.box(b"moov", _cmov(2**31 - 1)),
        "memory",
    )
    yield written(
        "an index that unpacks to what fits",
        boxes.box(b"ftyp", b"qt  \0\0\0\0qt  ") + boxes.box(b"moov", _cmov(200 * MEGABYTE)),
        "no sound",
    )
    tracks = ebml.tracks(ebml.pcm_entry(1, ebml.zipped()))
    for megabytes in (10, 1000):
        blocks = [ebml.cluster(0, ebml.zeros(megabytes * MEGABYTE))]
        yield written(
            f"blocks that unpack to {megabytes} megabytes", ebml.matroska(tracks, *blocks), "", seconds=120, either=True
        )
    many = [ebml.cluster(at * 1000, ebml.zeros(10 * MEGABYTE)) for at in range(50)]
    yield written(
        "many blocks that unpack",
        ebml.matroska(tracks, *many),
        "",
        seconds=6000,
        either=True,
        options={"audio": ("flac",)},
    )
    yield written("a word that unpacks", id3(_packed_frame(200 * MEGABYTE)) + sound("mp3"), "", seconds=3)


def _cmov(size: int) -> bytes:
    """A compressed index (QuickTime File Format, "Compressed movie resources") that says to be `size` bytes."""
    packed = struct.pack(">I", size) + ebml.zeros(200 * MEGABYTE)
    return boxes.box(b"cmov", boxes.box(b"dcom", b"zlib") + boxes.box(b"cmvd", packed))


def _packed_frame(size: int) -> bytes:
    """A compressed frame (ID3v2.3, section 3.3.1)."""
    content = struct.pack(">I", size) + ebml.zeros(size)
    return struct.pack(">4sIH", b"TXXX", len(content), 0x80) + content
