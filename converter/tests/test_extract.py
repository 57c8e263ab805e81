"""`extract` on real recordings: what it refuses, what it finds, and that what is made of its track is whole."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from converter.encode import encode
from converter.extract import extract
from converter.plan import Planner
from converter.tests.studio import TALK, Bench, heard, quiet
from pipeline.blobs import store
from pipeline.errors import Interrupted, Reject
from pipeline.ffmpeg import binary
from pipeline.recording import Track
from pipeline.work import Artifact, ArtifactKind, Progress, Result

SECOND = 44100
SILENCE = ("-f", "lavfi", "-i", "anullsrc")
TONE = ("-f", "lavfi", "-i", "sine=d=2")
CARD = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10")
COPY = ("-c", "copy")
JPEG = ("-f", "lavfi", "-i", "testsrc=size=64x64:d=0.04", "-frames:v", "1")
PICTURED = {
    "a.mp4": ("-c:v", "libx264", "-c:a", "aac", "-movflags", "faststart"),
    "a.mkv": ("-c:v", "libx264", "-c:a", "libvorbis"),
    "a.webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "a.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "a.flv": ("-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"),
    "a.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "a.mxf": ("-c:v", "mpeg2video", "-r", "25", "-c:a", "pcm_s16le", "-ar", "48000"),
}
"""Videos whose header says how long they are, or how large, and how they are made."""
PLANNER = Planner(bitrate_kbit=128, part_minutes=5, most_parts=16)

Make = Callable[..., Path]


class Uploads(Bench):
    """Its attempts begin with an original."""

    def stored(self, path: Path, kind: ArtifactKind = "original") -> Artifact:
        blob = f"{kind}-{self.attempts}"
        size, sha256 = store(self.blobs, blob, path)
        return Artifact(path.name, kind, "video/mp4", size, sha256, blob)

    def extract(
        self, path: Path, progress: Progress = quiet, beside: Sequence[Artifact] = (), **options: Any
    ) -> Result:
        task = self.attempt("extract", [self.stored(path), *beside], path.name, **options)
        return extract(task, self.blobs, self.folder(), progress, planner=PLANNER)

    def encode(self, extracted: Result, title: str = "talk.mp4", progress: Progress = quiet, **options: Any) -> Path:
        task = self.attempt("encode", extracted.artifacts, title, **options)
        (audio,) = encode(task, self.blobs, self.folder(), progress, bitrate_kbit=128).artifacts
        return self.kept(audio)


@pytest.fixture
def bench(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str, *arguments: str | Path) -> Path:
        subprocess.run([binary(), "-v", "error", "-nostdin", "-y", *arguments, tmp_path / name], check=True)
        return tmp_path / name

    return made


def half(path: Path) -> Path:
    cut = path.with_name(f"half-{path.name}")
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return cut


def samples(path: Path) -> int:
    command = [binary(), "-v", "error", "-nostdin", "-i", str(path), "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout) // 2


def only(result: Result, kind: ArtifactKind) -> Artifact:
    (found,) = [artifact for artifact in result.artifacts if artifact.kind == kind]
    return found


def facts(result: Result) -> Track:
    return Track.model_validate(only(result, "track").facts)


def reason(bench: Uploads, path: Path, **options: Any) -> str:
    with pytest.raises(Reject) as rejected:
        bench.extract(path, **options)
    return rejected.value.reason


def test_of_a_video_the_sound_alone_goes_on_as_it_was(bench: Uploads) -> None:
    result = bench.extract(TALK)
    track = only(result, "track")
    assert (track.name, track.type) == ("track.m4a", "audio/mp4")
    assert [(task.kind, task.args) for task in result.next] == [("encode", {}), ("cut", {})]
    assert result.seconds == facts(result).seconds == pytest.approx(11.0, abs=0.03)
    known = facts(result)
    assert (known.codec, known.channels, known.sample_rate, known.exact, known.container) == (
        "aac",
        2,
        44100,
        True,
        None,
    )
    assert known.bit_rate == pytest.approx(96000, rel=0.01)
    with av.open(TALK) as before, av.open(bench.kept(track)) as after:
        assert [stream.codec_context.name for stream in after.streams] == ["aac"]
        assert [bytes(packet) for packet in after.demux()] == [bytes(packet) for packet in before.demux(audio=0)]


def test_what_comes_of_a_track_has_every_sample_of_the_recording(bench: Uploads, make: Make) -> None:
    alone = make("alone.m4a", "-i", TALK, "-vn", *COPY)
    for recording in (TALK, make("talk.mov", "-i", TALK, "-c:v", "copy", "-c:a", "alac"), alone):
        assert samples(bench.encode(bench.extract(recording))) == samples(recording) == 11 * SECOND


@pytest.mark.parametrize("name", ["a.m4a", "a.mp3", "a.flac", "a.wav", "a.ogg", "a.opus", "a.mka", "a.aac", "a.ts"])
def test_a_recording_of_sound_alone_is_its_own_track(bench: Uploads, make: Make, name: str) -> None:
    recording = make(name, "-i", TALK, "-vn", "-t", "2")
    result = bench.extract(recording)
    assert only(result, "track").blob == f"original-{bench.attempts - 1}"
    assert facts(result).seconds == pytest.approx(2.0, abs=0.06)
    assert facts(result).container
    assert [blob.id for blob in bench.blobs.list()] == [only(result, "track").blob]
    made = bench.encode(result, audio="wav", sample_rate=48000 if name == "a.opus" else 44100)
    assert samples(made) == pytest.approx(samples(recording), abs=2)


def test_a_video_that_is_mostly_sound_is_its_own_track(bench: Uploads, make: Make) -> None:
    slides = make(
        "slides.mp4", *CARD, "-i", TALK, "-map", "1:a", "-map", "0:v", "-t", "4", "-c:v", "libx264", "-b:v", "1k"
    )
    result = bench.extract(slides)
    assert only(result, "track").blob == "original-0"
    assert (facts(result).stream, facts(result).container) == (0, None)
    assert samples(bench.encode(result, audio="wav")) == samples(slides)


@pytest.mark.parametrize("kind", ["m4a", "wav", "flac", "mka", "aiff", "avi", "w64", "caf"])
def test_a_recording_of_sound_that_breaks_off_is_refused(bench: Uploads, make: Make, kind: str) -> None:
    index_first = ("-movflags", "faststart") if kind == "m4a" else ()
    cut = half(make(f"a.{kind}", "-i", TALK, "-vn", *index_first))
    assert reason(bench, cut).startswith("The recording breaks off after 5 of 1")


@pytest.mark.parametrize("name", ["index-first.mp4", "talk.mkv"])
def test_a_recording_that_breaks_off_is_refused(bench: Uploads, make: Make, name: str) -> None:
    whole = make(name, "-i", TALK, *COPY, *(("-movflags", "+faststart") if name.endswith("mp4") else ()))
    expected = f"The recording breaks off after 5 of {11 if name.endswith('mp4') else 12} seconds; the file seems to be cut short."
    assert reason(bench, half(whole)) == expected


def test_a_recording_that_breaks_off_is_taken_if_its_owner_says_so(bench: Uploads, make: Make) -> None:
    for whole in (TALK, make("talk.flac", "-i", TALK, "-vn")):
        first = make(
            f"first{whole.suffix}", "-i", whole, *COPY, *(("-movflags", "+faststart") if whole == TALK else ())
        )
        result = bench.extract(half(first), partial=True)
        assert facts(result).partial
        assert facts(result).seconds == pytest.approx(5.5, abs=0.8)
        assert not facts(bench.extract(whole, partial=True)).partial


def test_only_the_makers_title_artist_and_date_go_on(bench: Uploads, make: Make) -> None:
    told = ("-metadata", "title=A\u202etalk\n", "-metadata", "artist=Ada", "-metadata", "date=1961-01-20")
    secrets = ("-metadata", "comment=at home", "-metadata", "location=+48.1+011.5/")
    result = bench.extract(make("tagged.mp4", "-i", TALK, *COPY, *told, *secrets))
    assert facts(result).tags == {"title": "A talk", "artist": "Ada", "date": "1961-01-20"}
    track = bench.kept(only(result, "track")).read_bytes()
    assert b"at home" not in track
    assert b"+48.1" not in track


@pytest.mark.parametrize("name", ["tagged.ogg", "tagged.mp3", "tagged.mkv", "tagged.wma", "tagged.flac"])
def test_tags_are_found_in_every_kind(bench: Uploads, make: Make, name: str) -> None:
    told = ("-metadata", "title=Grüße", "-metadata", "artist=Ada")
    found = facts(bench.extract(make(name, "-i", TALK, "-vn", "-t", "1", *told))).tags
    assert (found["title"], found["artist"]) == ("Grüße", "Ada")


def test_tags_in_an_old_encoding_do_no_harm(bench: Uploads, make: Make) -> None:
    old = make("old.wav", "-i", TALK, "-vn", "-t", "1", "-metadata", "title=Gr__e")
    old.write_bytes(old.read_bytes().replace(b"Gr__e", "Grüße".encode("latin-1")))
    assert facts(bench.extract(old)).tags["title"].startswith("Gr")


def test_chapters_of_the_recording_are_kept(bench: Uploads, make: Make, tmp_path: Path) -> None:
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    words = ";FFMETADATA1\n" + chapter.format(0, 4000, "Welcome") + chapter.format(4000, 11000, "Questions")
    (tmp_path / "words").write_text(words)
    found = facts(bench.extract(make("talk.mkv", "-i", TALK, "-i", tmp_path / "words", "-map_chapters", "1", *COPY)))
    assert [(chapter.start, chapter.title) for chapter in found.chapters] == [(0, "Welcome"), (4, "Questions")]


@pytest.mark.parametrize(
    ("kind", "recording"), [("png", "a.mp3"), ("jpg", "a.m4a"), ("jpg", "a.flac"), ("png", "a.flac")]
)
def test_an_attached_picture_goes_on_as_it_is(bench: Uploads, make: Make, kind: str, recording: str) -> None:
    picture = make(f"front.{kind}", *JPEG)
    songs = make(recording, "-i", TALK, "-i", picture, "-map", "0:a", "-map", "1", "-t", "1", "-c:v", "copy",
                 "-disposition:v", "attached_pic")  # fmt: skip
    result = bench.extract(songs)
    cover = only(result, "cover")
    assert bench.kept(cover).read_bytes() == picture.read_bytes()
    assert cover.type == ("image/jpeg" if kind == "jpg" else "image/png")
    assert facts(result).container
    given = bench.stored(picture, "cover")
    assert not [found for found in bench.extract(songs, beside=[given]).artifacts if found.kind == "cover"]


def test_a_picture_that_is_too_large_or_none_is_left_out(bench: Uploads, make: Make, tmp_path: Path) -> None:
    picture = make("front.jpg", *JPEG)
    for number, content in enumerate((picture.read_bytes() + bytes(6_000_000), b"\xff\xd8\xff" + bytes(500))):
        picture.write_bytes(content)
        song = tmp_path / f"song{number}.mp3"
        frame = b"\0image/jpeg\0\3\0" + content
        header = b"APIC" + len(frame).to_bytes(4) + b"\0\0" + frame
        size = bytes(len(header) >> shift & 127 for shift in (21, 14, 7, 0))
        song.write_bytes(b"ID3\3\0\0" + size + header + make("plain.mp3", *TONE, "-id3v2_version", "0").read_bytes())
        result = bench.extract(song)
        assert [artifact.kind for artifact in result.artifacts] == ["track"]
        assert facts(result).seconds == pytest.approx(2, abs=0.1)


@pytest.fixture
def languages(make: Make) -> Path:
    """Tracks of 1, 2 and 3 seconds: German, English by default, and one more."""
    tones = [argument for number in (1, 2, 3) for argument in ("-f", "lavfi", "-i", f"sine=d={number}")]
    maps = [argument for number in (0, 1, 2) for argument in ("-map", f"{number}:a")]
    return make("tracks.mkv", *tones, *maps, "-c:a", "flac", "-metadata:s:a:0", "language=ger", "-metadata:s:a:1",
                "language=eng", "-disposition:a:0", "0", "-disposition:a:1", "default")  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, 2), ("0", 1), ("1", 2), ("2", 3), ("de", 1), ("deu", 1), ("ger", 1), ("de-AT", 1), ("en", 2), ("ENG", 2)],
)
def test_the_track_asked_for_is_taken_or_the_default_one(
    bench: Uploads, languages: Path, asked: str | None, seconds: int
) -> None:
    assert facts(bench.extract(languages, track=asked)).seconds == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("asked", ["3", "fr", "und"])
def test_a_track_that_is_not_there_is_refused_with_those_that_are(bench: Uploads, languages: Path, asked: str) -> None:
    expected = f"This recording has no sound track {asked}. It has 0 (de), 1 (en), 2."
    assert reason(bench, languages, track=asked) == expected


def test_a_loudness_has_to_be_measured_first(bench: Uploads, make: Make) -> None:
    tone = make("tone.wav", *TONE)
    assert [task.kind for task in bench.extract(tone, loudness=-16).next] == ["measure", "cut"]
    assert [task.kind for task in bench.extract(tone, transcribe=False).next] == ["encode"]


def test_the_progress_rises_to_the_end(bench: Uploads) -> None:
    told: list[float] = []
    bench.extract(TALK, lambda percent, speed=None: told.append(percent))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("a.mov", "adpcm_ima_qt", "44100"), ("a.flv", "nellymoser", "22050")]
)
def test_codecs_that_a_track_cannot_hold_are_kept_without_loss(
    bench: Uploads, make: Make, name: str, codec: str, rate: str
) -> None:
    result = bench.extract(
        make(name, *CARD, "-i", TALK, "-map", "0:v", "-map", "1:a", "-t", "2", "-c:a", codec, "-ac", "1", "-ar", rate)
    )
    assert facts(result).codec in ("flac", codec)
    assert samples(bench.encode(result)) / int(rate) == pytest.approx(2.0, rel=0.1)


def test_sound_that_starts_late_and_has_gaps_keeps_its_times(bench: Uploads, make: Make) -> None:
    gap = ("-bsf:a", r"noise=drop=lt(n\,100)+between(n\,200\,300)")
    result = bench.extract(make("gaps.mp4", "-i", TALK, *COPY, *gap))
    assert not facts(result).exact
    assert samples(bench.encode(result)) / SECOND == pytest.approx(11.0, abs=0.1)


@pytest.mark.parametrize("name", ["late.mkv", "late.mka", "late.ts", "late.mpg", "late.mp4", "late.m4a", "late.flv"])
def test_sound_that_starts_late_is_whole_and_keeps_its_place_beside_pictures(
    bench: Uploads, make: Make, name: str
) -> None:
    alone = name in ("late.mka", "late.m4a")
    kept = ("-c:v", "mpeg1video", "-r", "25", "-c:a", "mp2") if name == "late.mpg" else COPY
    drop = ("-bsf:a", r"noise=drop=lt(n\,100)")
    result = bench.extract(make(name, "-i", TALK, *kept, *(("-vn",) if alone else ()), *drop))
    seconds = facts(result).seconds
    assert seconds == pytest.approx(8.7 if alone else 11.0, abs=0.1)
    sound = heard(bench.encode(result))
    assert len(sound) / SECOND == pytest.approx(seconds, abs=0.1)
    assert bool(np.any(np.abs(sound[: 2 * SECOND]) > 0.01)) == alone


def test_a_broadcast_whose_clock_began_long_ago_begins_at_once(bench: Uploads, make: Make) -> None:
    live = make("live.ts", "-i", TALK, "-vn", "-t", "2", "-output_ts_offset", "7200")
    result = bench.extract(live)
    assert facts(result).begins == pytest.approx(7201.4, abs=0.5)
    assert samples(bench.encode(result)) / SECOND == pytest.approx(2, abs=0.1)


def test_sound_that_is_shorter_than_its_pictures_is_whole(bench: Uploads, make: Make) -> None:
    for name, how in PICTURED.items():
        short = make(name, *CARD, *TONE, "-t", "6", *how)
        assert facts(bench.extract(short)).seconds == pytest.approx(2.0, abs=0.1), name


def test_a_video_that_breaks_off_is_refused_or_taken_as_a_part(bench: Uploads, make: Make) -> None:
    for name, how in PICTURED.items():
        cut = half(make(name, *CARD, "-i", TALK, "-map", "0:v", "-map", "1:a", "-t", "6", *how))
        assert "breaks off" in reason(bench, cut), name
        known = facts(bench.extract(cut, partial=True))
        assert known.partial
        assert 2 < known.seconds < 4, name


def test_errors_in_places_do_not_fail_a_recording(bench: Uploads, make: Make) -> None:
    scratched = make("scratched.mka", "-i", TALK, "-vn", *COPY, "-bsf:a", r"noise=amount=-1*between(n\,100\,120)*99")
    assert samples(bench.encode(bench.extract(scratched))) / SECOND == pytest.approx(11.0, abs=0.2)


def test_a_huge_picture_does_not_keep_its_sound_from_being_heard(bench: Uploads, make: Make) -> None:
    picture = ("-f", "lavfi", "-i", "color=s=8192x8192:d=0.04", "-c:v", "libx264", "-preset", "ultrafast")
    huge = make("huge.mp4", "-f", "lavfi", "-i", "sine=d=0.5", *picture)
    assert samples(bench.encode(bench.extract(huge))) == pytest.approx(22050, abs=1200)


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\n{0}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {0}\n",
    "DASH": '<?xml version="1.0"?>\n<!-- made by us -->\n<MPD><Period><BaseURL>{0}</BaseURL></Period></MPD>',
    "SDP": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 5004 RTP/AVP 96\r\n",
    "PLS": "[playlist]\nFile1={0}\n",
    "XSPF": "<playlist><trackList><track><location>{0}</location></track></trackList></playlist>",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_called_one_and_not_followed(bench: Uploads, make: Make, tmp_path: Path, kind: str) -> None:
    canary = make("canary.ts", "-i", TALK, *COPY)
    (tmp_path / "list.mp4").write_text(PLAYLISTS[kind].format(canary))
    assert (
        reason(bench, tmp_path / "list.mp4") == "This file is a playlist: it only points at recordings; upload those."
    )
    assert [blob.id for blob in bench.blobs.list()] == ["original-0"]


def test_a_film_that_points_at_another_file_for_its_sound_is_refused(bench: Uploads, make: Make) -> None:
    film = make("film.mov", "-i", TALK, "-vn", *COPY)
    own = bytes.fromhex("0000000c75726c2000000001")  # url, flag 1: in this file
    name = b"canary.m4a"
    # An alias record with an absolute path (Inside Macintosh: Files), of the length that libav wants.
    record = (
        bytes(8)
        + b"\0\2"
        + b"\0" * 140
        + b"\0\2"
        + len(name).to_bytes(2)
        + name
        + b"\0\x12"
        + len(name).to_bytes(2)
        + name
        + b"\xff\xff\0\0"
    )
    alias = (len(record) + 12).to_bytes(4) + b"alis" + bytes(4) + record
    whole = film.read_bytes()
    assert own in whole
    film.write_bytes(grown(whole, own, alias))
    assert "points at another file" in reason(bench, film)


def grown(whole: bytes, old: bytes, new: bytes) -> bytes:
    """`new` in place of `old`, and every box around it longer by that."""
    at, more = whole.index(old), len(new) - len(old)
    content = bytearray(whole)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = whole.rindex(box, 0, at) - 4
        content[place : place + 4] = (int.from_bytes(whole[place : place + 4]) + more).to_bytes(4)
    return bytes(content).replace(old, new, 1)


def test_each_kind_of_refusal_has_its_reason(bench: Uploads, make: Make, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("Call me Ishmael. " * 1000)
    (tmp_path / "empty.mp4").touch()
    many = make("many.mp4", "-f", "lavfi", "-i", "sine=d=0.1", *("-map", "0:a") * 200, "-c:a", "aac")
    cut = half(make("plain.mp4", "-i", TALK, *COPY))
    damaged = make("damaged.wav", *TONE)
    damaged.write_bytes(damaged.read_bytes()[:20] + b"\xff" * 1000)
    said = [reason(bench, path) for path in (tmp_path / "text.mp4", tmp_path / "empty.mp4", many, cut, damaged)]
    assert said == [
        "This file cannot be read as a recording: it is of another kind.",
        "This file is empty.",
        "This recording has more than 32 tracks; that is more than can be taken.",
        "This file cannot be read as a recording: its index (moov) is missing, which is written last. The file is cut short,"
        " or its recording never ended; copy or save it again.",
        "This file cannot be read as a recording: it is damaged.",
    ]


def test_a_video_without_sound_is_refused(bench: Uploads, make: Make) -> None:
    assert reason(bench, make("mute.mp4", "-i", TALK, *COPY, "-an")) == "This recording has no sound."


def test_a_track_of_no_length_is_refused(bench: Uploads, make: Make) -> None:
    drop = (*COPY, "-bsf:a", "noise=drop=1")
    for name in ("zero.mkv", "zero.wav"):
        source = TALK if name == "zero.mkv" else make("tone.wav", *TONE)
        assert reason(bench, make(name, "-i", source, *drop)) == "The sound track of this recording is empty."


def test_protected_sound_is_refused(bench: Uploads, make: Make) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    common = make("secret.mp4", "-i", TALK, *COPY, "-encryption_scheme", "cenc-aes-ctr", *key)
    bought = make("bought.m4a", "-i", TALK, "-vn", *COPY)
    bought.write_bytes(bought.read_bytes().replace(b"mp4a", b"drms"))
    for recording in (common, bought):
        assert "copy-protected" in reason(bench, recording)


def test_more_channels_than_can_be_mixed_are_refused(bench: Uploads, make: Make) -> None:
    raw = make("zeros.raw", *SILENCE, "-t", "1", "-f", "u8")
    many = make("many.wav", "-f", "u8", "-ar", "8000", "-ac", "65", "-i", raw, *COPY)
    assert reason(bench, many) == "The sound of this recording has 65 channels; more than 64 cannot be mixed."


def test_sound_that_cannot_be_decoded_is_refused(bench: Uploads, make: Make) -> None:
    result = bench.extract(make("noise.mka", "-i", TALK, "-vn", *COPY, "-bsf:a", "noise=amount=1"))
    with pytest.raises(Reject, match="cannot be decoded"):
        bench.encode(result)


def test_a_track_that_yields_less_than_was_found_is_refused(bench: Uploads) -> None:
    result = bench.extract(TALK)
    longer = replace(only(result, "track"), facts={**only(result, "track").facts, "seconds": 20.0})
    with pytest.raises(Reject, match="breaks off after 11 of 20 seconds"):
        bench.encode(replace(result, artifacts=[longer]))


def test_an_interruption_goes_on_and_keeps_nothing(bench: Uploads) -> None:
    def interrupt(percent: float, speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        bench.extract(TALK, interrupt)
    assert [blob.id for blob in bench.blobs.list()] == ["original-0"]


def test_thousands_of_chapters_and_long_words_leave_bounded_facts(bench: Uploads, tmp_path: Path, make: Make) -> None:
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={0}\nEND={1}\ntitle={2}\n"
    words = "".join(chapter.format(number, number + 1, "é" * 1000) for number in range(2000))
    (tmp_path / "words").write_text(f";FFMETADATA1\ntitle={'x' * 10_000}\n{words}")
    long = make("long.mkv", *TONE, "-i", tmp_path / "words", "-map_metadata", "1", "-map_chapters", "1")
    found = facts(bench.extract(long))
    assert len(found.tags["title"]) == 300
    assert len(found.chapters) == 500
    assert max(len(chapter.title) for chapter in found.chapters) == 300
    assert len(json.dumps(found.model_dump(mode="json"))) < 2**20
