"""The program that looks into a stranger's file: `pipeline.probe` runs it by its path, as a process of its own.

Arguments: the file, and libav's options as JSON. Prints one JSON object, or ends with status 1; what libav said is on stderr.
It imports nothing of the pipeline, so that it starts quickly.
"""

import json
import re
import struct
import sys
from fractions import Fraction
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

import av
from av.format import Flags
from av.stream import Disposition

_PROMISING = {"mov", "matroska", "wav", "w64", "aiff", "caf", "flac", "avi", "flv", "asf", "mxf"}
"""Formats whose header says how long the recording is; of others libav guesses from bit rate or last page."""

_INDEXED = "mov"
"""The format that lists every packet, with its place in the file."""

_EXACT = {"aac", "alac", "flac"}
"""Codecs whose packets need at most the one before; in an index whose times step evenly, any sample is found."""

_PLAIN = {"wav", "w64", "aiff", "flac"}
"""Formats in which any sample is found without an index, if the codec is FLAC or PCM."""

_SHORTEST_RATE = 24000
"""Hz; AAC at this rate or below may have its upper half in an extension (SBR) that shows only when it is decoded."""

_PROTECTED = {"drms", "enca", "aavd"}
"""Codec tags of Apple's, the common (ISO/IEC 23001-7) and Audible's encryption."""

_STREAMED = 0x7FFF0000
"""Bytes; as large as this or larger is the size in a WAV whose writer did not know it."""

_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_PROPERTIES = struct.Struct("<24xQ16xQ8xQI")
"""What follows that name: bytes of the file, play duration in 100 ns, preroll in ms, flags of which the lowest is a broadcast's."""

_FLASH_SIZE = b"\0\x08filesize\0"
"""A name in the script data of FLV, and the type of its value: a number (Adobe Flash Video File Format 10.1, annex E.4.4)."""

_LARGEST = 2**53
"""Bytes."""

_HEAD = 4096
"""First bytes of a file that are looked at for its length."""

_TAGS = ("title", "artist", "date")
_LONGEST_TEXT = 300
_MOST_CHAPTERS = 500
_MOST_PACKETS = 2_000_000
"""12 hours of AAC."""
_LOOKED_AT = 1000
"""Packets among which the first of the sound is looked for, and those of an MP3 that are compared."""
_SAID = 20
"""Messages of libav that are passed on."""


def describe(container: Any) -> dict[str, Any]:
    seconds = container.duration / av.time_base if container.duration else None
    form = container.format.name.split(",")[0]
    first, shown = first_sound(container)
    begins = start(container)
    if form != _INDEXED:  # elsewhere pictures without a decoder may be unknown to that
        begins = min(begins, shown)
    return {
        "format": container.format.name,
        "duration": seconds,
        "encrypted": encrypted(container, first),
        "begins": begins,
        "missing": missing(container),
        "besides": sum(besides(stream) for stream in container.streams),
        "sound": [sound(stream, form, seconds, begins) for stream in container.streams.audio],
        "picture": picture(container),
        "tags": tags(container),
        "chapters": chapters(container),
    }


def sound(stream: Any, form: str, seconds: float | None, begins: float) -> dict[str, Any]:
    return {
        "index": stream.index,
        "duration": promised(stream, seconds) if form in _PROMISING else None,
        "late": (late := late_by(stream, begins)),
        "early": late if stream.container.format.flags & Flags.ts_discont.value else start(stream.container) - begins,
        "default": bool(stream.disposition & Disposition.default),
        "language": text(stream.metadata.get("language")),
        "title": text(stream.metadata.get("title")),
        **(coded(stream, stream.codec_context, form) if stream.codec_context else {}),
    }


def start(container: Any) -> float:
    """Seconds of the clock at which what libav knows of the recording begins."""
    return (container.start_time or 0) / av.time_base


def late_by(stream: Any, begins: float) -> float:
    """Seconds of the recording, which begins where its clock shows `begins`, before the first sound."""
    return max(0.0, float(stream.start_time * stream.time_base) - begins) if stream.start_time else 0.0


def coded(stream: Any, codec: Any, form: str) -> dict[str, Any]:
    """What is known only of a codec that libav has."""
    size, steady = index(stream, codec.sample_rate) if form == _INDEXED else (None, False)
    begins = stream.start_time or stream.container.start_time
    plain = form in _PLAIN and (codec.name == "flac" or codec.name.startswith("pcm_"))
    return {
        "codec": codec.name,
        "channels": codec.channels,
        "sample_rate": codec.sample_rate,
        "bits": codec.format.bits if codec.format else None,
        "bit_rate": codec.bit_rate or None,
        "constant": form == "mp3" and constant(stream),
        "bytes": size,
        "steady": steady,
        "exact": not begins and (plain or (steady and codec.name in _EXACT and not perhaps_extended(codec))),
    }


def promised(stream: Any, container_seconds: float | None) -> float | None:
    """Seconds of sound that the header promises. A container's length may be that of its pictures, so it counts only without any."""
    if stream.container.format.name == "asf":
        return windows_media(stream.container) if len(stream.container.streams) == 1 else None
    if stream.duration:
        return float(stream.duration * stream.time_base)
    late = float((stream.start_time or 0) * stream.time_base)
    if container_seconds and (own := clock(stream.metadata.get("DURATION", ""))):
        return min(container_seconds, own) - late
    return container_seconds - late if container_seconds and len(stream.container.streams) == 1 else None


def missing(container: Any) -> float:
    """How many times larger a file is by its header than it is, which libav hides: where one breaks off, it counts what is there."""
    told = _TOLD.get(container.format.name)
    return max(1.0, float(told(head(container)) / container.size)) if told else 1.0


def riff(head: bytes) -> int:
    """Bytes that a WAV or AVI file should have, 0 if that is not told."""
    form, size = struct.unpack_from("<4sI", head)
    return size + 8 if form == b"RIFF" and size < _STREAMED else 0


def wave64(head: bytes) -> int:
    """Bytes that a Sony Wave64 file should have: its first chunk is all of it."""
    return int(struct.unpack_from("<16xQ", head)[0])


def core_audio(head: bytes) -> int:
    """Bytes up to the end of the sound in a CAF file (Apple Core Audio Format Specification), 0 if that is not told."""
    place = 8
    while place + 12 <= len(head):
        kind, size = struct.unpack_from(">4sq", head, place)
        place += 12 + max(0, size)
        if kind == b"data":
            return place if size > 0 else 0
    return 0


def flash(head: bytes) -> int:
    """Bytes that an FLV file should have, 0 if that is not told."""
    number = head.partition(_FLASH_SIZE)[2][:8]
    size = struct.unpack(">d", number)[0] if len(number) == 8 else 0.0
    return int(size) if 0 < size < _LARGEST else 0


def windows_media_size(head: bytes) -> int:
    """Bytes that an ASF file should have, 0 if that is not told."""
    size, _, _, flags = file_properties(head)
    return 0 if flags & 1 else size


_TOLD = {"wav": riff, "avi": riff, "w64": wave64, "caf": core_audio, "flv": flash, "asf": windows_media_size}


def windows_media(container: Any) -> float | None:
    """Seconds, which libav doubts where a file breaks off."""
    _, play, preroll, flags = file_properties(head(container))
    return None if flags & 1 else max(0.0, play / 1e7 - preroll / 1e3)


def file_properties(head: bytes) -> tuple[int, ...]:
    """Those of the File Properties Object (ASF Specification, section 3.2); of a broadcast if there is none."""
    properties = head.partition(_FILE_PROPERTIES)[2]
    return _PROPERTIES.unpack_from(properties) if len(properties) >= _PROPERTIES.size else (0, 0, 0, 1)


def head(container: Any) -> bytes:
    with Path(container.name.removeprefix("file:")).open("rb") as file:
        return file.read(_HEAD)


def clock(text: str) -> float | None:
    """Seconds of Matroska's statistics tag DURATION, such as `00:00:11.023000000`."""
    found = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)", text)
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) if found else None


def index(stream: Any, rate: int) -> tuple[int | None, bool]:
    """Bytes of a stream by its index, None if that lacks packets; and whether they follow each other evenly and are all there."""
    entries = stream.index_entries
    if not 0 < len(entries) <= _MOST_PACKETS or len(entries) != stream.frames:
        return None, False
    size, end, last = 0, 0, None
    steps: set[int] = set()
    for entry in entries:
        size += entry.size
        end = max(end, entry.pos + entry.size)
        if last is not None and len(steps) < 2:
            steps.add(entry.timestamp - last)
        last = entry.timestamp
    even = len(steps) < 2 and min(steps, default=1) > 0
    return size, even and stream.time_base == Fraction(1, rate or 1) and end <= stream.container.size


def perhaps_extended(codec: Any) -> bool:
    return codec.name == "aac" and (codec.profile not in ("LC", None) or codec.sample_rate <= _SHORTEST_RATE)


def first_sound(container: Any) -> tuple[Any, float]:
    """The first packet of sound, None if there is none soon, and the earliest time, in seconds, of the pictures before it."""
    earliest = inf
    for packet in islice(container.demux(), _LOOKED_AT):
        if packet.stream.type == "audio":
            return packet, earliest
        if packet.stream.type == "video" and packet.pts is not None:
            earliest = min(earliest, float(packet.pts * packet.time_base))
    return None, earliest


def encrypted(container: Any, first: Any) -> bool:
    """Whether a codec is one of encryption, or the `first` packet of sound is encrypted (ISO/IEC 23001-7)."""
    if any(stream.codec_context and stream.codec_context.codec_tag in _PROTECTED for stream in container.streams.audio):
        return True
    return first is not None and first.has_sidedata("encryption_info")


def constant(stream: Any) -> bool:
    """Packets that differ by no more than the byte by which frames are padded (ISO/IEC 11172-3, 2.4.2.3); the last one may be cut."""
    sizes = [packet.size for packet in islice(stream.container.demux(stream), _LOOKED_AT)][:-2]
    return bool(sizes) and max(sizes) - min(sizes) <= 1


def besides(stream: Any) -> bool:
    """Neither sound nor a picture of it, nor data such as the titles of chapters."""
    return stream.type not in ("audio", "data") and not stream.disposition & Disposition.attached_pic


def picture(container: Any) -> int | None:
    """The first attached picture of a kind that players show."""
    return next((stream.index for stream in container.streams.video if shows(stream)), None)


def shows(stream: Any) -> bool:
    codec = stream.codec_context
    return bool(stream.disposition & Disposition.attached_pic and codec and codec.name in ("mjpeg", "png"))


def tags(container: Any) -> dict[str, str]:
    """In Ogg they belong to the stream."""
    own = [dict(stream.metadata) for stream in container.streams.audio[:1] if container.format.name == "ogg"]
    found = {name.lower(): value for tags in (*own, container.metadata) for name, value in tags.items()}
    return {name: value for name in _TAGS if (value := text(found.get(name)))}


def chapters(container: Any) -> list[dict[str, Any]]:
    return [
        {"start": float(chapter["start"] * chapter["time_base"]), "title": text(chapter["metadata"].get("title")) or ""}
        for chapter in islice(container.chapters(), _MOST_CHAPTERS)
    ]


def text(given: str | None) -> str | None:
    """On one line, and no longer than a person reads."""
    line = "".join(letter if letter.isprintable() else " " for letter in (given or "")[: 4 * _LONGEST_TEXT])
    return " ".join(line.split())[:_LONGEST_TEXT] or None


def look(file: str, options: dict[str, str]) -> dict[str, Any]:
    """Tags of old programs are in any encoding: what is no UTF-8 is replaced."""
    with av.open(file, options=options, metadata_errors="replace") as container:
        return describe(container)


def pass_on(said: list[tuple[int, str, str]]) -> None:
    """That decoders of pictures may not be opened is no news."""
    news = [message.strip() for _, _, message in said if not message.startswith(("Codec (", "Failed to open codec"))]
    sys.stderr.writelines(f"{line[:500]}\n" for line in news[:_SAID])


def main(file: str, options: dict[str, str]) -> int:
    av.logging.set_level(av.logging.WARNING)
    with av.logging.Capture() as said:
        try:
            print(json.dumps(look(file, options), ensure_ascii=False))  # noqa: T201
        except (av.FFmpegError, MemoryError) as error:
            said.append((0, "", f"{type(error).__name__}: {error}"))
            return 1
        finally:
            pass_on(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
