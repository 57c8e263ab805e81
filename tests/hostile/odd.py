"""Recordings that are whole, and unlike all others."""

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from zlib import crc32

from tests.hostile import boxes, ebml
from tests.hostile.broken import DAMAGED, EMPTY, NO_SOUND, UNDECODABLE, sound, written
from tests.hostile.making import Hostile, card, ffmpeg, made, sine

FLOATS = struct.pack("<4f", float("nan"), float("inf"), float("-inf"), 1e38) * 11025
KEY = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")


def little() -> Iterator[Hostile]:
    yield written("pictures alone", made(*card(), kind="mp4"), NO_SOUND)
    drop = ("-c", "copy", "-bsf:a", "noise=drop=1")
    for kind, reason in (("mkv", DAMAGED), ("wav", EMPTY), ("mp4", NO_SOUND)):
        yield written(f"{kind} of no length", _of(sound("wav"), *drop, kind=kind), reason)
    yield written("one sample", made(*sine(), "-af", "atrim=end_sample=1", kind="wav"), "", seconds=0.001)
    yield written("a start behind the end", sound("wav"), "Nothing is left", options={"start": 50})
    yield written("silence", made("-f", "lavfi", "-i", "anullsrc", "-t", "1", kind="wav"), seconds=1)


def _many(count: int, track: bytes) -> bytes:
    return count * boxes.box(b"trak", track)


def much() -> Iterator[Hostile]:
    movie, clip = made(*sine(0.2), kind="mp4"), ebml.cluster(0, bytes(8820))
    for streams in (200, 1001):
        traks = boxes.changed(movie, b"trak", partial(_many, streams))
        yield written(f"{streams} streams", traks, "more than 32 tracks")
        tracks = ebml.tracks(*(ebml.pcm_entry(number) for number in range(1, streams + 1)))
        yield written(f"{streams} streams of Matroska", ebml.matroska(tracks, clip), "", seconds=0.1)
    raw = ("-f", "s16le", "-ar", "8000", "-ac", "64")
    pcm = bytes(8000 * 64 * 2)
    yield written("64 channels", _of(pcm, kind="wav", given=raw), "cannot be mixed")
    yield written("64 channels of Matroska", _of(pcm, kind="mkv", given=raw), "cannot be mixed")
    excuse = ("-metadata", "title=No space left on device")
    asked = {"loudness": -16}
    yield written(
        "64 channels with an excuse", _of(pcm, *excuse, kind="wav", given=raw), "cannot be mixed", options=asked
    )


def _of(content: bytes, *arguments: str, kind: str, given: tuple[str, ...] = ()) -> bytes:
    """What ffmpeg makes of a file."""
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return made(*given, "-i", file.name, *arguments, kind=kind)


def rates() -> Iterator[Hostile]:
    yield written("7,999 Hz", made(*sine(rate=7999), kind="wav"), seconds=1)
    yield written("192 kHz", made(*sine(rate=192000), kind="wav"), seconds=1)
    for hertz in (1, 11):
        yield written(f"{hertz} Hz", wav(hertz, sound=bytes(882)), "", seconds=441 / hertz)
    for hertz, reason in ((0, DAMAGED), (2**31 - 1, EMPTY), (2**31, DAMAGED), (2**32 - 1, DAMAGED)):
        yield written(f"{hertz} Hz", wav(hertz, sound=bytes(882)), reason)
    for channels, reason in ((0, EMPTY), (255, "cannot be mixed"), (65535, EMPTY)):
        yield written(f"{channels} channels that are none", wav(channels=channels), reason)
    for bits in (1, 3):
        yield written(f"samples of {bits} bits", wav(bits=bits), "", seconds=0.2)
    for bits in (0, 64, 65535):
        yield written(f"samples of {bits} bits", wav(bits=bits), UNDECODABLE)
    yield written("blocks of no bytes", wav(align=0), "", seconds=0.1)


def wav(
    hertz: int = 44100, channels: int = 1, bits: int = 16, align: int = 2, form: int = 1, sound: bytes = bytes(8820)
) -> bytes:
    """A WAV file whose header says just this; a tenth of a second if it tells the truth."""
    rate = hertz * align % 2**32
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, form, channels, hertz, rate, align, bits)
    content = b"WAVE" + header + struct.pack("<4sI", b"data", len(sound)) + sound
    return struct.pack("<4sI", b"RIFF", len(content)) + content


def numbers() -> Iterator[Hostile]:
    for name, loudness in (("as they are", "off"), ("at -16 LUFS", -16)):
        options = {"loudness": loudness}
        floats = wav(bits=32, align=4, form=3, sound=FLOATS)
        yield written(f"samples that are no numbers, {name}", floats, UNDECODABLE, options=options)
    doubles = wav(bits=64, align=8, form=3, sound=struct.pack("<d", 1e300) * 44100)
    yield written("samples louder than all", doubles, UNDECODABLE, options={"loudness": -16})


def protected() -> Iterator[Hostile]:
    whole = sound("mp4")
    secret = made(*sine(), "-encryption_scheme", "cenc-aes-ctr", *KEY, kind="mp4")
    yield written("common encryption", secret, "copy-protected")
    bare = secret.replace(b"senc", b"free").replace(b"saiz", b"free")
    yield written("encryption that hides nothing", bare, DAMAGED)
    for kind in (b"drms", b"enca"):
        yield written(f"a sound called {kind.decode()}", whole.replace(b"mp4a", kind, 1), "copy-protected")
    yield written("a sound of unknown name", whole.replace(b"mp4a", b"xxxx", 1), "", seconds=3)


def pictures() -> Iterator[Hostile]:
    cover = made(*card(0.1), "-frames:v", "1", kind="jpg")
    for kind in ("mp3", "m4a", "flac"):
        yield Hostile(f"{kind} with a picture", partial(_with_picture, cover, kind), seconds=1)
    bomb = png(65535, 65535)
    for kind in ("mp3", "flac"):
        yield Hostile(f"{kind} with a picture of four gigapixels", partial(_with_picture, bomb, kind), "", seconds=1)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    yield written("a picture that is a program", id3(_apic("image/svg+xml", svg)) + sound("mp3"), "", seconds=3)
    yield written("a picture that is a page", id3(_apic("image/jpeg", b"<html>" * 100)) + sound("mp3"), "", seconds=3)


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """Black and white, a bit a pixel; `pixels` as zlib packs them."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc32(kind + content))


def _with_picture(picture: bytes, kind: str, path: Path) -> None:
    if kind == "mp3":
        path.write_bytes(id3(_apic("image/png", picture)) + made(*sine(), "-id3v2_version", "0", kind="mp3"))
    elif kind == "flac":
        path.write_bytes(_flac_with(picture))
    else:
        atom = boxes.box(b"covr", boxes.box(b"data", struct.pack(">II", 13, 0) + picture))
        meta = boxes.full(b"meta", tail=boxes.full(b"hdlr", 0, tail=b"mdirappl" + bytes(9)) + boxes.box(b"ilst", atom))
        add = lambda old: boxes.box(b"mvhd", old) + boxes.box(b"udta", meta)  # noqa: E731 - an argument with a name
        path.write_bytes(boxes.changed(made(*sine(), kind="m4a"), b"mvhd", add))


def _flac_with(picture: bytes) -> bytes:
    """PICTURE, RFC 9639, section 8.8, behind STREAMINFO."""
    whole, kind = made(*sine(), kind="flac"), b"image/png"
    block = struct.pack(">II", 3, len(kind)) + kind + struct.pack(">6I", 0, 65535, 65535, 1, 0, len(picture)) + picture
    return whole[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + whole[42:]


def id3(*frames: bytes) -> bytes:
    """An ID3v2.3 tag."""
    content = b"".join(frames)
    size = bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + content


def frame(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">4sIH", kind, len(content), 0) + content


def _apic(media_type: str, picture: bytes) -> bytes:
    return frame(b"APIC", b"\0" + media_type.encode() + b"\0\x03\0" + picture)


def words() -> Iterator[Hostile]:
    evil = "a\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=9\ntitle=forged; # = \\ \x01\x7f\u202e\u2028 <script>"
    tags = [frame(kind, b"\x01" + evil.encode("utf-16")) for kind in (b"TIT2", b"TPE1", b"TYER", b"TXXX", b"COMM")]
    yield written("words that are commands", id3(*tags) + sound("mp3"), seconds=3)
    half = [frame(kind, b"\x01\xff\xfe\x3d\xd8\x00\x00\xff") for kind in (b"TIT2", b"TPE1")]
    yield written("words that are cut", id3(*half) + sound("mp3"), seconds=3)
    titles = "\n".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n}\nEND={n + 1}\ntitle={n}" for n in range(20_000))
    yield Hostile("20,000 chapters", partial(_with_chapters, ";FFMETADATA1\n" + titles), seconds=1)
    yield Hostile(
        "chapters of no time",
        partial(_with_chapters, ";FFMETADATA1\n" + "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=0\n" * 9),
        seconds=1,
    )


def _with_chapters(metadata: str, path: Path) -> None:
    listed = path.with_suffix(".txt")
    listed.write_text(metadata)
    ffmpeg("-f", "ffmetadata", "-i", listed, *sine(), "-map", "1:a", "-map_chapters", "0", "-f", "matroska", path)
    listed.unlink()
