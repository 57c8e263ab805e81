import base64
import hashlib
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from converter.cover import Picture
from converter.tags import Tags, id3, tagged
from pipeline.audio import AudioFormat
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.ffmpeg import binary
from pipeline.options import Options
from pipeline.recording import Chapter, Track
from pipeline.work import Artifact, Task

ENCODERS: dict[AudioFormat, str] = {
    "mp3": "libmp3lame",
    "m4a": "aac",
    "opus": "libopus",
    "ogg": "libvorbis",
    "flac": "flac",
    "wav": "pcm_s16le",
}
COPIED: tuple[AudioFormat, ...] = ("m4a", "opus", "ogg", "flac", "wav")
WITH_CHAPTERS: tuple[AudioFormat, ...] = ("mp3", "m4a", "opus", "ogg", "flac")
HOSTILE = "a=b;c#d\\e\nf\rg\0h \u202e\u05d0\u05d1 \x1b[31m [CHAPTER] 🎧\\"
SHOWN = "a=b;c#d\\e f gh \u202e\u05d0\u05d1 [31m [CHAPTER] 🎧\\"
CHAPTERS = [
    Chapter(start=0, title="Zürich; = #1 \\"),
    Chapter(start=0.4, title="שלום"),
    Chapter(start=1.1, title="End"),
]


def quiet(percent: float, speed: float | None = None) -> None:
    pass


def ffmpeg(*arguments: object) -> bytes:
    command = [binary(), "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def heard(path: Path) -> str:
    """A digest of the decoded samples."""
    return hashlib.sha256(ffmpeg("-i", path, "-map", "0:a", "-f", "s16le", "-")).hexdigest()


def task(**options: Any) -> Task:
    return Task("t", "j", "encode", 0, 1, "talk.mp4", {}, Options.model_validate(options), "running", None, [])


def tags_of(given: Task, **facts: Any) -> Tags:
    track = Track(**{"stream": 0, "seconds": 100, "codec": "aac", "channels": 2, "sample_rate": 44100} | facts)
    return Tags.of(given, track, given.options.profile(128))


def times(tags: Tags) -> list[tuple[float, str]]:
    return [(chapter.start, chapter.title) for chapter in tags.chapters]


class Desk:
    def __init__(self, root: Path) -> None:
        self.blobs = DirectoryBlobs(root / "blobs")
        self.folder = root / "attempt"
        self.folder.mkdir()

    def encoded(self, form: AudioFormat, seconds: float = 1.7, *metadata: str) -> Path:
        """An odd number of samples, so that what is cut from the last packet shows."""
        path = self.folder / f"audio.{form}"
        tone = f"sine=440:sample_rate=48000:duration={seconds},aformat=channel_layouts=stereo"
        ffmpeg("-f", "lavfi", "-i", tone, "-c:a", ENCODERS[form], "-id3v2_version", "0", *metadata, path)
        return path

    def cover(self, data: bytes) -> Artifact:
        path = self.folder.with_name("front")
        path.write_bytes(data)
        size, sha256 = store(self.blobs, "cover-1", path)
        return Artifact("front", "cover", "image/jpeg", size, sha256, "cover-1")

    def finish(self, form: AudioFormat, tags: Tags) -> Path:
        """What a user would get."""
        if form != "mp3":
            return tagged(tags, self.blobs, self.folder, f"audio.{form}", form, quiet)
        path = self.folder / "tagged.mp3"
        path.write_bytes(id3(tags, self.blobs, self.folder, quiet) + (self.folder / "audio.mp3").read_bytes())
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def picture(kind: str, size: str = "64x48") -> bytes:
    image = ("-f", "image2pipe", "-c:v", {"jpg": "mjpeg", "png": "png"}[kind])
    return ffmpeg("-f", "lavfi", "-i", f"testsrc=size={size}", "-frames:v", "1", *image, "-")


def whole(desk: Desk, **changes: Any) -> Tags:
    known: dict[str, Any] = {
        "title": SHOWN,
        "artist": "Ž",
        "date": "2026-11-21",
        "chapters": CHAPTERS,
        "seconds": 1.7,
        "cover": None,
    }
    return Tags(**(known | changes))


def read(path: Path) -> tuple[dict[str, str], list[tuple[float, str]], list[bytes]]:
    """Metadata, chapters and pictures, as PyAV finds them."""
    with av.open(str(path)) as file:
        metadata = {
            key.lower(): value.rstrip() for key, value in (file.metadata or file.streams.audio[0].metadata).items()
        }
        chapters = [
            (float(c["start"] * (c["time_base"] or 1)), c["metadata"].get("title", "").rstrip())
            for c in file.chapters()
        ]
        pictures = [bytes(packet) for packet in file.demux() if packet.size and packet.stream.type == "video"]
        return metadata, chapters, pictures


def frames(block: bytes) -> list[tuple[str, bytes]]:
    """Of an ID3v2.3 block (sections 3.1 and 3.3), up to its padding."""
    assert block[:6] == b"ID3\x03\0\0"
    found, at = [], 10
    while at < len(block) and block[at]:
        size = int.from_bytes(block[at + 4 : at + 8])
        found.append((block[at : at + 4].decode(), block[at + 10 : at + 10 + size]))
        at += 10 + size
    assert not any(block[at:])
    return found


def test_what_the_owner_gave_goes_before_what_the_recording_says() -> None:
    facts = {"tags": {"title": "Its own", "artist": "Maker", "date": "2019"}}
    mine = tags_of(task(title="Mine: a/b", artist="Me", date="2026-11"), **facts)
    assert (mine.title, mine.artist, mine.date) == ("Mine: a/b", "Me", "2026-11")
    found = tags_of(task(), **facts)
    assert (found.title, found.artist, found.date) == ("Its own", "Maker", "2019")
    unknown = tags_of(task())
    assert (unknown.title, unknown.artist, unknown.date) == ("talk", "", "")


@pytest.mark.parametrize(
    ("said", "kept"),
    [("2009-05-01T12:00:00Z", "2009-05-01"), ("2009", "2009"), ("yesterday", ""), ("20090501", ""), ("", "")],
)
def test_only_a_date_is_a_date(said: str, kept: str) -> None:
    assert tags_of(task(), tags={"date": said}).date == kept


def test_chapters_of_the_recording_follow_the_trim_and_the_speed() -> None:
    own = [Chapter(start=start, title=str(start)) for start in (0, 10, 30, 60, 90)]
    cut = tags_of(task(start=20, end=80, speed=2), chapters=own)
    assert times(cut) == [(0, "10"), (5, "30"), (20, "60")]
    assert cut.seconds == 30


def test_chapters_are_given_as_lines() -> None:
    given = tags_of(task(chapters="0:00 Welcome\n0:01:05.5 - Break\n1:10 Questions\n9:59:59 Never"), seconds=4000)
    assert times(given) == [(0, "Welcome"), (65.5, "Break"), (70, "Questions")]


def test_no_chapters_are_wanted() -> None:
    assert not tags_of(task(chapters=()), chapters=[Chapter(start=0, title="a")]).chapters


def test_chapters_are_left_out_where_silence_is_cut() -> None:
    assert tags_of(task(silence=1), chapters=[Chapter(start=0, title="a")]).chapters == []


def test_the_last_chapter_ends_where_the_measured_sound_ends() -> None:
    measured = replace(task(), args={"seconds": 1.5})
    tags = tags_of(measured, chapters=[Chapter(start=0, title="a"), Chapter(start=1.6, title="b")])
    assert (tags.seconds, times(tags)) == (1.5, [(0, "a")])


@pytest.mark.parametrize("form", ENCODERS)
def test_every_format_carries_its_tags_and_sounds_as_before(desk: Desk, form: AudioFormat) -> None:
    before = heard(desk.encoded(form))
    cover = picture("jpg")
    path = desk.finish(form, whole(desk, cover=desk.cover(cover)))
    metadata, chapters, pictures = read(path)
    assert metadata["title"] == SHOWN
    assert metadata["artist"] == "Ž"
    assert metadata["date"] == "2026-11-21"
    assert chapters == ([(c.start, c.title) for c in CHAPTERS] if form in WITH_CHAPTERS else [])
    assert pictures == ([cover] if form != "wav" else [])
    assert heard(path) == before


@pytest.mark.parametrize("form", WITH_CHAPTERS)
def test_of_two_pictures_in_one_file_the_first_is_the_cover(desk: Desk, form: AudioFormat) -> None:
    before = heard(desk.encoded(form))
    first = picture("jpg")
    path = desk.finish(form, whole(desk, cover=desk.cover(first + picture("jpg", "16x16"))))
    assert read(path)[2][0].startswith(first)
    assert heard(path) == before


@pytest.mark.parametrize("form", WITH_CHAPTERS)
def test_a_png_is_a_cover_too(desk: Desk, form: AudioFormat) -> None:
    desk.encoded(form)
    cover = picture("png")
    assert read(desk.finish(form, whole(desk, cover=desk.cover(cover))))[2] == [cover]


SECOND_DECODERS: dict[AudioFormat, Callable[[Path, Path], list[object]]] = {
    "mp3": lambda path, out: ["mpg123", "-q", "-w", out, path],
    "m4a": lambda path, out: ["faad", "-q", "-o", out, path],
    "opus": lambda path, out: ["opusdec", "--quiet", "--force-wav", path, out],
    "ogg": lambda path, out: ["oggdec", "-Q", "-o", out, path],
    "flac": lambda path, out: ["flac", "-s", "-d", "-f", "-o", out, path],
}


@pytest.mark.parametrize("form", SECOND_DECODERS)
def test_other_decoders_hear_no_difference(desk: Desk, form: AudioFormat) -> None:
    def decoded(path: Path) -> bytes:
        out = path.with_suffix(".out.wav")
        subprocess.run(list(map(str, SECOND_DECODERS[form](path, out))), check=True, capture_output=True)
        return ffmpeg("-i", out, "-f", "s16le", "-")

    before = decoded(desk.encoded(form))
    assert len(before) > 4 * 48000
    assert decoded(desk.finish(form, whole(desk, cover=desk.cover(picture("jpg"))))) == before


@pytest.mark.parametrize("form", ENCODERS)
def test_nothing_else_that_a_maker_wrote_goes_on(desk: Desk, form: AudioFormat) -> None:
    place = [f"-metadata{stream}" for stream in ("", ":s:a")]
    said = [word for option in place for key in ("comment", "location", "title") for word in (option, f"{key}=Berlin")]
    desk.encoded(form, 0.5, *said)
    if form == "mp3":
        (desk.folder / "audio.mp3").unlink()
        desk.encoded(form, 0.5)
    path = desk.finish(form, whole(desk, title="Talk"))
    assert read(path)[0]["title"] == "Talk"
    assert b"Berlin" not in path.read_bytes()


@pytest.mark.parametrize("form", WITH_CHAPTERS)
@pytest.mark.parametrize("rubbish", [b"\xff\xd8\xff\xe0rubbish", b"\xff\xd8", b"\x89PNG\r\n\x1a\nrubbish", b""])
def test_a_broken_cover_is_left_out(desk: Desk, form: AudioFormat, rubbish: bytes) -> None:
    before = heard(desk.encoded(form, 0.3))
    path = desk.finish(form, whole(desk, cover=desk.cover(rubbish)))
    metadata, _, pictures = read(path)
    assert (metadata["title"], pictures, heard(path)) == (SHOWN, [], before)


@pytest.mark.parametrize("form", WITH_CHAPTERS)
def test_a_cover_too_large_to_be_shown_is_left_out(desk: Desk, form: AudioFormat) -> None:
    before = heard(desk.encoded(form, 0.3))
    claims = bytearray(picture("png"))
    claims[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    path = desk.finish(form, whole(desk, cover=desk.cover(bytes(claims))))
    assert (read(path)[0]["title"], heard(path)) == (SHOWN, before)


def test_a_picture_says_how_large_it_is() -> None:
    for kind in ("jpg", "png"):
        found = Picture.of(picture(kind, "320x200"))
        assert found is not None
        assert (found.width, found.height, found.depth) == (320, 200, 24)
    assert Picture.of(b"<html>") is None


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_flac_says_how_large_its_cover_is(desk: Desk, kind: str) -> None:
    desk.encoded("flac")
    data = desk.finish("flac", whole(desk, cover=desk.cover(picture(kind, "320x200")))).read_bytes()
    described = data[data.index(b"image/") :][len("image/jpeg" if kind == "jpg" else "image/png") :]
    length = int.from_bytes(described[:4])
    assert struct.unpack(">II", described[4 + length : 12 + length]) == (320, 200)


def test_the_picture_of_an_opus_file_is_a_block_of_flac(desk: Desk) -> None:
    found = Picture.of(picture("png", "320x200"))
    assert found is not None
    block = base64.b64decode(found.block)
    assert block == struct.pack(">II9sIIIIII", 3, 9, b"image/png", 0, 320, 200, 24, 0, len(found.data)) + found.data


def test_an_mp3_has_the_frames_that_players_expect(desk: Desk) -> None:
    cover = picture("jpg")
    block = id3(whole(desk, title="Zürich", artist="Plain", cover=desk.cover(cover)), desk.blobs, desk.folder, quiet)
    found = dict(frames(block))
    assert found["TIT2"] == b"\x01" + "\ufeffZürich\0".encode("utf-16-le")
    assert found["TPE1"] == b"\0Plain\0"
    assert (found["TYER"], found["TDAT"]) == (b"\x002026\0", b"\x002111\0")
    assert found["APIC"] == b"\0image/jpeg\0\x03\0" + cover
    assert found["CTOC"] == b"toc\0\x03\x03ch0\0ch1\0ch2\0"
    marks = [body for name, body in frames(block) if name == "CHAP"]
    assert [struct.unpack(">IIII", mark[4:20]) for mark in marks] == [
        (0, 400, 2**32 - 1, 2**32 - 1),
        (400, 1100, 2**32 - 1, 2**32 - 1),
        (1100, 1700, 2**32 - 1, 2**32 - 1),
    ]
    assert marks[1][20:24] == b"TIT2"
    assert marks[1][30:] == b"\x01" + f"\ufeff{CHAPTERS[1].title}\0".encode("utf-16-le")


@pytest.mark.parametrize(("date", "expected"), [("2026", {"TYER"}), ("2026-11", {"TYER"}), ("", set())])
def test_an_mp3_of_a_year_or_a_month_has_its_year(desk: Desk, date: str, expected: set[str]) -> None:
    found = {name for name, _ in frames(id3(whole(desk, date=date), desk.blobs, desk.folder, quiet))}
    assert found & {"TYER", "TDAT", "TDRC"} == expected


def test_the_contents_of_an_mp3_count_no_more_chapters_than_a_byte_can(desk: Desk) -> None:
    many = [Chapter(start=number, title=str(number)) for number in range(500)]
    found = frames(id3(whole(desk, chapters=many, seconds=500), desk.blobs, desk.folder, quiet))
    assert dict(found)["CTOC"][5] == 255
    marks = [body for name, body in found if name == "CHAP"]
    assert len(marks) == 255
    assert struct.unpack(">II", marks[-1][6:14]) == (254000, 255000)


@pytest.mark.parametrize("form", ["m4a", "opus", "flac"])
def test_five_hundred_chapters_and_long_titles_stay_whole(desk: Desk, form: AudioFormat) -> None:
    desk.encoded(form)
    many = [Chapter(start=number / 400, title=f"{number} {'ü' * 290}") for number in range(500)]
    many = [chapter for chapter in many if chapter.start < 1.7]
    path = desk.finish(form, whole(desk, chapters=many, title="ש" * 300))
    metadata, chapters, _ = read(path)
    assert metadata["title"] == "ש" * 300
    assert [title for _, title in chapters] == [chapter.title for chapter in many]


def test_hostile_titles_become_one_line() -> None:
    given = task(title=HOSTILE)
    assert tags_of(given).title == SHOWN
    assert tags_of(task(), chapters=[Chapter(start=0, title=HOSTILE)]).chapters[0].title == SHOWN
    assert tags_of(task(), tags={"title": "\0\n"}).title == "talk"


def test_an_mp3_with_a_vbr_header_is_read_by_everybody(desk: Desk) -> None:
    plain = desk.encoded("mp3")
    cover = picture("png")
    path = desk.finish("mp3", whole(desk, cover=desk.cover(cover)))
    with av.open(str(path)) as file:
        assert file.duration == pytest.approx(1.7e6, abs=1000)
    listing = subprocess.run(["mpg123", "-t", "-v", path], check=True, capture_output=True, text=True).stderr
    assert SHOWN.split()[0] in listing
    assert path.read_bytes().endswith(plain.read_bytes())
    assert read(path)[2] == [cover]
