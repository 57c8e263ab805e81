import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import pytest

from converter.handlers import encode, extract
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Interrupted, Reject
from pipeline.ffmpeg import binary
from pipeline.options import Options
from pipeline.work import Artifact, Progress, Result, Task

MEDIA = Path(__file__).parents[2] / "tests" / "media"
TALK = MEDIA / "talk.mp4"
SILENCE = ("-f", "lavfi", "-i", "anullsrc")
CARD = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10")
UNREADABLE = "This file cannot be read as a recording; it is of another kind, damaged or cut short."

Make = Callable[..., Path]


def quiet(percent: float) -> None:
    pass


@dataclass
class Bench:
    """A blob store, and jobs by hand on it."""

    root: Path
    blobs: DirectoryBlobs
    attempts: int = 0

    def task(self, kind: str, artifacts: list[Artifact], title: str, args: dict[str, Any]) -> Task:
        self.attempts += 1
        return Task(
            "0" * 32, "1" * 32, kind, 0, self.attempts, title, args, Options(), "running", None, tuple(artifacts)
        )

    def folder(self) -> Path:
        folder = self.root / f"attempt-{self.attempts}"
        folder.mkdir()
        return folder

    def extract(self, path: Path, progress: Progress = quiet) -> Result:
        blob = f"original-{self.attempts}"
        size, sha256 = store(self.blobs, blob, path)
        original = Artifact(path.name, "original", "video/mp4", size, sha256, blob)
        task = self.task("extract", [original], path.name, {})
        return extract(task, self.blobs, self.folder(), progress)

    def encode(self, extracted: Result, title: str = "talk.mp4", progress: Progress = quiet, kbit: int = 128) -> Path:
        task = self.task("encode", list(extracted.artifacts), title, dict(extracted.next[0].args))
        (audio,) = encode(task, self.blobs, self.folder(), progress, bitrate_kbit=kbit).artifacts
        return self.kept(audio)

    def kept(self, artifact: Artifact) -> Path:
        (self.root / artifact.blob).mkdir()
        path = self.root / artifact.blob / artifact.name
        self.blobs.fetch(artifact.blob, path)
        assert path.stat().st_size == artifact.bytes
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, DirectoryBlobs(tmp_path / "blobs"))


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
    command = [binary(), "-v", "error", "-nostdin", "-i", str(path), "-f", "s16le", "-ac", "1", "-"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout) // 2


def metadata(path: Path) -> dict[str, str]:
    with av.open(path) as container:
        return dict(container.metadata)


def reason(bench: Bench, path: Path) -> str:
    with pytest.raises(Reject) as rejected:
        bench.extract(path)
    return rejected.value.reason


def test_a_video_becomes_an_mp3_of_the_same_length(bench: Bench) -> None:
    audio = bench.encode(bench.extract(TALK))
    assert audio.name == "talk.mp3"
    assert samples(audio) == samples(TALK) == 11 * 44100


def test_the_track_holds_the_sound_as_it_was_and_nothing_else(bench: Bench) -> None:
    result = bench.extract(TALK)
    (track,) = result.artifacts
    assert (track.name, track.kind, track.type) == ("track.mka", "track", "audio/x-matroska")
    assert [(task.kind, task.args) for task in result.next] == [
        ("encode", {"duration": pytest.approx(11.0, abs=0.05)}),
        ("transcribe", {"duration": pytest.approx(11.0, abs=0.05)}),
    ]
    with av.open(TALK) as before, av.open(bench.kept(track)) as after:
        assert [stream.codec_context.name for stream in after.streams] == ["aac"]
        assert [bytes(packet) for packet in after.demux()] == [bytes(packet) for packet in before.demux(audio=0)]


@pytest.mark.parametrize("kbit", [64, 320])
def test_the_mp3_has_the_bit_rate_asked_for(bench: Bench, kbit: int) -> None:
    audio = bench.encode(bench.extract(TALK), kbit=kbit)
    assert audio.stat().st_size == pytest.approx(11 * kbit * 1000 / 8, rel=0.03)


def test_nothing_of_the_maker_goes_on_but_the_title(bench: Bench, make: Make) -> None:
    secrets = ("-metadata", "comment=at home", "-metadata", "location=+48.1+011.5/", "-metadata", "artist=Ada")
    result = bench.extract(make("tagged.mp4", "-i", TALK, "-c", "copy", *secrets))
    audio = bench.encode(result, "tagged.mp4")
    assert {key.lower() for key in metadata(bench.kept(result.artifacts[0]))} <= {"encoder"}
    assert {key: value for key, value in metadata(audio).items() if key != "encoder"} == {"title": "tagged"}
    assert audio.read_bytes()[:4] == b"ID3\x03"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd.mp4", "passwd.mp3"),
        ("a=b;c.mp4", "a=b;c.mp3"),
        ("Grüße 🎬.mov", "Grüße 🎬.mp3"),
        ("two\nlines.mp4", "two lines.mp3"),
        ("-version.mp4", "version.mp3"),
        ("", "recording.mp3"),
    ],
)
def test_odd_titles_are_safe_and_readable(bench: Bench, title: str, name: str) -> None:
    audio = bench.encode(bench.extract(TALK), title)
    assert audio.name == name
    assert metadata(audio)["title"] == name.removesuffix(".mp3")


def test_the_progress_of_both_rises_to_the_end(bench: Bench) -> None:
    taken: list[float] = []
    made: list[float] = []
    bench.encode(bench.extract(TALK, taken.append), progress=made.append)
    for told in (taken, made):
        assert told == sorted(told)
        assert told[-1] == pytest.approx(100, abs=1)


def test_what_is_marked_as_default_is_taken(bench: Bench, make: Make) -> None:
    both = make("both.mkv", *SILENCE, "-i", TALK, "-map", "0:a", "-map", "1:a", "-t", "3", "-c:a:0", "aac",
                "-c:a:1", "libmp3lame", "-disposition:a:0", "0", "-disposition:a:1", "default")  # fmt: skip
    with av.open(bench.kept(bench.extract(both).artifacts[0])) as track:
        assert track.streams[0].codec_context.name == "mp3float"


@pytest.mark.parametrize(
    "name",
    ["a.mov", "a.mkv", "a.webm", "a.avi", "a.flv", "a.ts", "a.mpg", "a.wav", "a.flac", "a.mp3", "a.ogg", "a.opus", "a.m4a",
     "a.aac", "a.wma", "a.aiff", "a.ac3"],
)  # fmt: skip
def test_common_kinds_are_taken_whole(bench: Bench, make: Make, name: str) -> None:
    result = bench.extract(make(name, "-i", TALK, "-vn", "-t", "2"))
    assert samples(bench.encode(result)) / 44100 == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("a.mov", "adpcm_ima_qt", "44100"), ("a.flv", "nellymoser", "22050")]
)
def test_codecs_that_a_track_cannot_hold_are_kept_without_loss(
    bench: Bench, make: Make, name: str, codec: str, rate: str
) -> None:
    result = bench.extract(make(name, "-i", TALK, "-vn", "-t", "2", "-c:a", codec, "-ac", "1", "-ar", rate))
    with av.open(bench.kept(result.artifacts[0])) as track:
        assert track.streams[0].codec_context.name == "flac"
    assert samples(bench.encode(result)) / int(rate) == pytest.approx(2.0, rel=0.1)


def test_sound_that_starts_late_and_has_gaps_keeps_its_times(bench: Bench, make: Make) -> None:
    gap = ("-bsf:a", r"noise=drop=lt(n\,100)+between(n\,200\,300)")
    result = bench.extract(make("gaps.mp4", "-i", TALK, "-c", "copy", *gap))
    assert samples(bench.encode(result)) / 44100 == pytest.approx(11.0, abs=0.1)


@pytest.mark.parametrize("name", ["late.mkv", "late.mka", "late.ts"])
def test_sound_that_starts_late_is_whole(bench: Bench, make: Make, name: str) -> None:
    late = make(
        name, "-i", TALK, "-c", "copy", *(("-vn",) if name == "late.mka" else ()), "-bsf:a", r"noise=drop=lt(n\,100)"
    )
    assert bench.extract(late).next[0].args["duration"] > 8.5


def test_errors_in_places_do_not_fail_a_recording(bench: Bench, make: Make) -> None:
    scratched = make(
        "scratched.mka", "-i", TALK, "-vn", "-c", "copy", "-bsf:a", r"noise=amount=-1*between(n\,100\,120)*99"
    )
    assert samples(bench.encode(bench.extract(scratched))) / 44100 == pytest.approx(11.0, abs=0.2)


def test_text_that_is_called_a_video_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("Call me Ishmael. " * 1000)
    assert reason(bench, tmp_path / "text.mp4") == UNREADABLE


def test_an_empty_file_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert reason(bench, tmp_path / "empty.mp4") == UNREADABLE


def test_a_playlist_shows_nothing_of_what_it_points_at(bench: Bench, make: Make, tmp_path: Path) -> None:
    canary = make("canary.ts", "-i", TALK, "-c", "copy")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:11\n#EXTINF:11,\n{canary}\n#EXT-X-ENDLIST\n")
    assert reason(bench, tmp_path / "list.mp4") == UNREADABLE
    assert [blob.id for blob in bench.blobs.list()] == ["original-0"]


def test_a_recording_of_two_hundred_streams_is_refused(bench: Bench, make: Make) -> None:
    many = make("many.mp4", "-f", "lavfi", "-i", "sine=d=0.1", *("-map", "0:a") * 200, "-c:a", "aac")
    assert reason(bench, many) == UNREADABLE


def test_a_huge_picture_does_not_keep_its_sound_from_being_heard(bench: Bench, make: Make) -> None:
    picture = ("-f", "lavfi", "-i", "color=s=8192x8192:d=0.04", "-c:v", "libx264", "-preset", "ultrafast")
    huge = make("huge.mp4", "-f", "lavfi", "-i", "sine=d=0.5", *picture)
    assert samples(bench.encode(bench.extract(huge))) == pytest.approx(22050, abs=1200)


def test_a_video_without_sound_is_refused(bench: Bench, make: Make) -> None:
    assert reason(bench, make("mute.mp4", "-i", TALK, "-c", "copy", "-an")) == "This recording has no sound."


def test_a_track_of_no_length_is_refused(bench: Bench, make: Make) -> None:
    drop = ("-c", "copy", "-bsf:a", "noise=drop=1")
    for name in ("zero.mkv", "zero.wav"):
        source = TALK if name == "zero.mkv" else make("tone.wav", "-f", "lavfi", "-i", "sine=d=1")
        assert reason(bench, make(name, "-i", source, *drop)) == "The sound track of this recording is empty."


def test_protected_sound_is_refused(bench: Bench, make: Make) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    secret = make("secret.mp4", "-i", TALK, "-c", "copy", "-encryption_scheme", "cenc-aes-ctr", *key)
    assert "copy-protected" in reason(bench, secret)


def test_an_mp4_cut_before_its_index_is_refused(bench: Bench, make: Make) -> None:
    assert reason(bench, half(make("plain.mp4", "-i", TALK, "-c", "copy"))) == UNREADABLE


@pytest.mark.parametrize("name", ["index-first.mp4", "talk.mkv"])
def test_a_recording_that_breaks_off_is_refused(bench: Bench, make: Make, name: str) -> None:
    whole = make(name, "-i", TALK, "-c", "copy", *(("-movflags", "+faststart") if name.endswith("mp4") else ()))
    expected = f"The recording breaks off after 5 of {11 if name.endswith('mp4') else 12} seconds; the file seems to be cut short."
    assert reason(bench, half(whole)) == expected


def test_sound_that_is_shorter_than_its_pictures_is_whole(bench: Bench, make: Make) -> None:
    for name in ("short.mp4", "short.mkv"):
        short = make(name, *CARD, "-f", "lavfi", "-i", "sine=d=2", "-t", "6", "-c:v", "libx264", "-c:a", "aac")
        assert bench.extract(short).next[0].args["duration"] == pytest.approx(2.0, abs=0.1)


def test_sound_that_cannot_be_decoded_is_refused(bench: Bench, make: Make) -> None:
    result = bench.extract(make("noise.mka", "-i", TALK, "-vn", "-c", "copy", "-bsf:a", "noise=amount=1"))
    with pytest.raises(Reject, match="cannot be decoded"):
        bench.encode(result)


def test_a_track_that_yields_less_than_was_taken_out_is_refused(bench: Bench) -> None:
    result = bench.extract(TALK)
    longer = [replace(task, args={"duration": 20.0}) for task in result.next]
    with pytest.raises(Reject, match="breaks off after 11 of 20 seconds"):
        bench.encode(replace(result, next=longer))


@pytest.mark.parametrize("stage", ["extract", "encode"])
def test_an_interruption_goes_on_and_keeps_nothing(bench: Bench, stage: str) -> None:
    def interrupt(percent: float) -> None:
        raise Interrupted

    result = bench.extract(TALK)
    before = {blob.id for blob in bench.blobs.list()}
    with pytest.raises(Interrupted):
        bench.encode(result, progress=interrupt) if stage == "encode" else bench.extract(TALK, interrupt)
    assert {blob.id for blob in bench.blobs.list()} - before <= {"original-1"}
