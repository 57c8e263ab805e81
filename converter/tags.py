"""What a sound file says of itself: title, artist, date, chapters, cover. Encoders write none of it; it is put in afterwards."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import ffmpeg

from converter.cover import Picture
from pipeline.audio import AudioFormat, Profile, seconds_of
from pipeline.blobs import BlobStore
from pipeline.ffmpeg import GUARDS, FFmpegFailed, run, source
from pipeline.names import stem
from pipeline.recording import Chapter, Track
from pipeline.work import Artifact, Progress, Task

_FILE = "tags.txt"
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?(?!\d)")
_SPECIAL = re.compile(r"([=;#\\])")
_MOST_IN_CONTENTS = 255
"""Chapters of an MP3: the table of contents counts them in one byte (ID3v2 Chapter Frame Addendum 1.0, section 3.2)."""
_ID3_HEADER = 10
_SLOWEST_COPYING = 4 * 2**20
"""Bytes a second; what is slower is stuck."""
_CHAPTERS_AS_COMMENTS: tuple[AudioFormat, ...] = ("flac", "ogg")
"""Where ffmpeg writes no chapters; for Opus it writes these comments itself."""
_PICTURES_AS_COMMENTS: tuple[AudioFormat, ...] = ("opus", "ogg")
_PICTURES_AS_STREAMS: tuple[AudioFormat, ...] = ("mp3", "m4a", "flac")
_MUXING: Mapping[AudioFormat, Mapping[str, Any]] = {
    "mp3": {"id3v2_version": 3},
    "m4a": {"movflags": "+faststart"},
    "wav": {"rf64": "auto"},
}


@dataclass(frozen=True)
class Tags:
    title: str
    artist: str
    date: str
    """Year, month or day, as 2026-11-21; empty like the others where nothing is known."""
    chapters: Sequence[Chapter]
    """In the seconds of the sound file, ascending."""
    seconds: float
    """Where the last chapter ends."""
    cover: Artifact | None

    @classmethod
    def of(cls, task: Task, track: Track, profile: Profile) -> Self:
        """What the owner gave goes before what the recording says. Chapters go where silence is cut: nobody knows when they are."""
        options = task.options
        date = _DATE.match(options.date or track.tags.get("date", ""))
        given = track.chapters if options.chapters is None else map(_chapter, options.chapters)
        seconds = task.args.get("seconds") or profile.seconds(track.seconds)
        return cls(
            title=_line(options.title or track.tags.get("title", "")) or stem(task.title),
            artist=_line(options.artist or track.tags.get("artist", "")),
            date=date.group() if date else "",
            chapters=[] if profile.silence else list(_moved(given, profile, seconds)),
            seconds=seconds,
            cover=next((artifact for artifact in task.artifacts if artifact.kind == "cover"), None),
        )


def _line(text: str) -> str:
    """One line without control characters, for formats that end a text at NUL and a field at a line's end."""
    kept = (" " if character.isspace() else character for character in text)
    return " ".join(
        "".join(character for character in kept if unicodedata.category(character) not in ("Cc", "Cs")).split()
    )


def _chapter(line: str) -> Chapter:
    time, title = line.split(maxsplit=1)
    return Chapter(start=seconds_of(time), title=title)


def _moved(chapters: Iterable[Chapter], profile: Profile, seconds: float) -> Iterator[Chapter]:
    """The chapters that are in the sound file, at its own times; of several that would begin at the same time, the last."""
    places = {}
    for chapter in sorted(chapters, key=lambda chapter: chapter.start):
        start = round(max(0.0, chapter.start - profile.start) / profile.speed, 3)
        places[start] = Chapter(start=start, title=_line(chapter.title))
    return (chapter for chapter in places.values() if chapter.start < seconds)


def id3(tags: Tags, blobs: BlobStore, folder: Path, progress: Progress) -> bytes:
    """The ID3v2.3 block that goes in front of the frames of an MP3, as ffmpeg writes it. Raises FFmpegFailed."""
    silence = ffmpeg.input("anullsrc=duration=0.1", format="lavfi")
    _write(tags, _picture(tags, blobs, folder), _Sound(silence, "libmp3lame", "mp3", "tags.mp3"), folder, progress)
    block = (folder / "tags.mp3").read_bytes()
    return block[: _ID3_HEADER + _syncsafe(block[6:_ID3_HEADER])]


def _syncsafe(size: bytes) -> int:
    """Seven bits of each byte (ID3v2.3, section 3.1)."""
    return sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))


def tagged(tags: Tags, blobs: BlobStore, folder: Path, name: str, form: AudioFormat, progress: Progress) -> Path:
    """Copies the untagged sound file `name` of `folder`, as it is, to one that has the tags. Raises FFmpegFailed."""
    copied = _Sound(source(name)["a"], "copy", form, f"tagged-{name}", (folder / name).stat().st_size)
    _write(tags, _picture(tags, blobs, folder), copied, folder, progress)
    return folder / copied.name


def _picture(tags: Tags, blobs: BlobStore, folder: Path) -> Picture | None:
    if tags.cover is None:
        return None
    path = folder / "cover"
    if not path.exists():
        blobs.fetch(tags.cover.blob, path)
    return Picture.of(path.read_bytes())


@dataclass(frozen=True)
class _Sound:
    """What is written into `name`, and how."""

    stream: Any
    codec: str
    form: AudioFormat
    name: str
    bytes: int = 0


def _write(tags: Tags, picture: Picture | None, sound: _Sound, folder: Path, progress: Progress) -> None:
    """A picture that ffmpeg does not take is left out."""
    (folder / _FILE).write_text(_metadata(tags, picture, sound.form), encoding="utf-8", newline="\n")
    pictures = [_cover(picture)] if picture and sound.form in _PICTURES_AS_STREAMS else []
    try:
        run(
            _output(sound, pictures),
            folder=folder,
            duration=tags.seconds,
            deadline=60 + sound.bytes / _SLOWEST_COPYING,
            progress=progress,
            output_limit=2**25 + 2 * sound.bytes,
        )
    except FFmpegFailed as failed:
        if failed.kind != "error" or not pictures:
            raise
        _write(tags, None, sound, folder, progress)


def _output(sound: _Sound, pictures: Sequence[Any]) -> Any:
    """The tags are the second input, and all that is told: nothing of what a stream says goes on."""
    kept = {"map_metadata": 1, "map_metadata:s": -1, "map_chapters": 1}
    shown = {"vcodec": "copy", "disposition:v": "attached_pic", "metadata:s:v": "comment=Cover (front)"}
    return ffmpeg.output(
        sound.stream,
        _own(_FILE, "ffmetadata")["?"],  # an input that needs no streams
        *pictures,
        f"file:{sound.name}",
        acodec=sound.codec,
        **kept,
        **(shown if pictures else {}),
        **_MUXING.get(sound.form, {}),
    )


def _own(name: str, form: str, **options: Any) -> Any:
    """An input that is of one kind and nothing else."""
    return ffmpeg.input(f"file:{name}", format=form, **{**GUARDS, "format_whitelist": form}, **options)


def _cover(picture: Picture) -> Any:
    """Its size is told, so that nothing has to be decoded to find it out."""
    return _own("cover", f"{picture.form}_pipe", video_size=(picture.width, picture.height))["v"]


def _metadata(tags: Tags, picture: Picture | None, form: AudioFormat) -> str:
    """A file of https://ffmpeg.org/ffmpeg-formats.html#Metadata-2."""
    chapters = tags.chapters[:_MOST_IN_CONTENTS] if form == "mp3" else tags.chapters
    fields = {"title": tags.title, "artist": tags.artist, "date": tags.date}
    if form in _CHAPTERS_AS_COMMENTS:
        fields |= _comments(chapters)
    if picture and form in _PICTURES_AS_COMMENTS:
        fields["METADATA_BLOCK_PICTURE"] = picture.block
    ends = chain((chapter.start for chapter in tags.chapters[1:]), [tags.seconds])
    sections = (_section(chapter, end) for chapter, end in zip(chapters, ends, strict=False))
    return ";FFMETADATA1\n" + _lines(fields) + "".join(sections)


def _comments(chapters: Sequence[Chapter]) -> dict[str, str]:
    """Chapters in Vorbis comments: https://wiki.xiph.org/Chapter_Extension."""
    fields = {}
    for number, chapter in enumerate(chapters):
        minutes, seconds = divmod(chapter.start, 60)
        fields[f"CHAPTER{number:03}"] = f"{int(minutes // 60):02}:{int(minutes % 60):02}:{seconds:06.3f}"
        fields[f"CHAPTER{number:03}NAME"] = chapter.title
    return fields


def _section(chapter: Chapter, end: float) -> str:
    times = f"\n[CHAPTER]\nTIMEBASE=1/1000\nSTART={round(1000 * chapter.start)}\nEND={round(1000 * end)}\n"
    return times + _lines({"title": chapter.title})


def _lines(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}={_escaped(text)}\n" for name, text in fields.items() if text)


def _escaped(text: str) -> str:
    """ffmpeg takes the next line for more of one that ends with a backslash, escaped or not."""
    return _SPECIAL.sub(r"\\\1", text) + (" " if text.endswith("\\") else "")
