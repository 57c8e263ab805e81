"""One part of an MP3: that it is the same however its samples are found, and what goes wrong with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter import filters
from converter.extract import extract
from converter.parts import LEAD, PartFacts
from converter.plan import Planner
from converter.tests.splitting import Splitting, by_ffmpeg, made, recording
from converter.tests.studio import TALK, Samples, ffmpeg, heard, quiet, track_of
from pipeline.audio import Profile
from pipeline.blobs import store
from pipeline.errors import Interrupted, Reject
from pipeline.recording import Track
from pipeline.work import Artifact, NextTask

SECONDS = 60
NO_NOISE = ("-c:a", "aac", "-aac_pns", 0)
"""AAC whose decoder makes up no noise: what it makes up depends on where it began."""


@pytest.fixture
def splitting(tmp_path: Path) -> Splitting:
    return Splitting(tmp_path)


def encoded(folder: Path, name: str, *arguments: object, rate: int = 44100, seconds: float = SECONDS) -> Path:
    ffmpeg("-i", recording(folder, "speech", seconds, rate, name="pcm.wav"), *arguments, folder / name)
    return folder / name


def extracted(splitting: Splitting, path: Path) -> Artifact:
    """The track that is found in a recording."""
    size, sha256 = store(splitting.blobs, "original", path)
    original = Artifact(path.name, "original", "video/mp4", size, sha256, "original")
    task = replace(splitting.task("extract", recording(splitting.root, "noise", 0.1), {}), artifacts=[original])
    result = extract(task, splitting.blobs, splitting.folder(), quiet, planner=Planner(128, 5, 9))
    return next(artifact for artifact in result.artifacts if artifact.kind == "track")


def parts(splitting: Splitting, path: Path, tasks: list[NextTask], **options: Any) -> list[bytes]:
    return [splitting.kept(made(splitting.do(each, path, **options))).read_bytes() for each in tasks]


@pytest.mark.parametrize(
    ("name", "rate", "arguments"),
    [
        ("a.m4a", 44100, NO_NOISE),
        ("a.mp4", 48000, (*NO_NOISE, "-movflags", "+faststart")),
        ("a.mov", 44100, NO_NOISE),
        ("alac.m4a", 44100, ("-c:a", "alac")),
        ("flac.mp4", 48000, ("-c:a", "flac")),
        ("a.flac", 44100, ()),
        ("a.wav", 48000, ()),
        ("a.w64", 44100, ("-c:a", "pcm_s24le")),
        ("a.aiff", 44100, ()),
    ],
)
def test_a_part_is_the_same_to_the_last_bit_whether_it_is_found_by_seeking_or_by_decoding_all_before(
    splitting: Splitting, name: str, rate: int, arguments: tuple[object, ...]
) -> None:
    track = extracted(splitting, encoded(splitting.root, name, *arguments, rate=rate))
    facts = Track.model_validate(track.facts)
    assert facts.exact
    splitting.known = facts.model_dump()
    path = splitting.kept(track)
    tasks = splitting.plan(path)[1:]
    sought = parts(splitting, path, tasks)
    splitting.known["exact"] = False
    assert parts(splitting, path, tasks) == sought


@pytest.mark.parametrize(
    ("name", "arguments"), [("a.m4a", NO_NOISE), ("a.flac", ()), ("a.wav", ())], ids=["aac", "flac", "wav"]
)
def test_what_is_left_out_before_is_passed_over_and_no_sample_changes(
    splitting: Splitting, name: str, arguments: tuple[object, ...]
) -> None:
    asked: dict[str, Any] = {"start": 23.4567891, "end": 55.00005}
    splitting.known, path = {"exact": True}, encoded(splitting.root, name, *arguments)
    assert filters.sought(Profile(bitrate=128, **asked), track_of(path, exact=True)) == {"ss": 13}
    sought = _trims(splitting, path, **asked)
    splitting.known = {"exact": False}
    decoded = _trims(splitting, path, **asked)
    assert len(decoded[0]) == round(55.00005 * 44100) - round(23.4567891 * 44100)
    assert [np.array_equal(one, other) for one, other in zip(sought, decoded, strict=True)] == [True, True, True]


def _trims(splitting: Splitting, path: Path, **asked: Any) -> list[Samples]:
    """As it is, with a loudness that is measured before, and in parts."""
    plain = splitting.file(path, audio="wav", **asked)
    loud = splitting.file(path, audio="wav", loudness=-20, fade_in=1, **asked)
    return [heard(made) for made in (plain, loud, splitting.split(path, **asked))]


def test_nothing_is_passed_over_where_times_are_not_exact_or_the_start_is_near(splitting: Splitting) -> None:
    late = Profile(bitrate=128, start=23)
    path = recording(splitting.root, "speech", 30)
    known: list[dict[str, Any]] = [{"exact": False}, {"exact": True, "begins": 0.5}]
    assert [filters.sought(late, track_of(path, **each)) for each in known] == [{}, {}]
    assert filters.sought(Profile(bitrate=128, start=10.5), track_of(path, exact=True)) == {}


def test_a_recording_that_begins_late_or_in_mid_packet_is_cut_at_the_same_samples(splitting: Splitting) -> None:
    sound = encoded(splitting.root, "a.m4a", *NO_NOISE)
    for name, arguments in (
        ("late.mp4", ("-itsoffset", 0.7, "-i", sound)),
        ("middle.mp4", ("-ss", 1.2345, "-i", sound)),
    ):
        path = splitting.root / name
        ffmpeg(*arguments, "-c", "copy", path)
        splitting.known = {}
        tasks = splitting.plan(path)[1:]
        splitting.known = {"exact": True}
        sought = parts(splitting, path, tasks)
        splitting.known = {"exact": False}
        assert parts(splitting, path, tasks) == sought


@pytest.mark.parametrize(
    "options", [{"loudness": -12, "true_peak": -3}, {"speech": True}], ids=["limiter", "compressor"]
)
def test_filters_have_settled_before_the_frames_of_a_part(splitting: Splitting, options: dict[str, Any]) -> None:
    path = encoded(splitting.root, "a.flac")
    tasks = splitting.plan(path, **options)[1:]
    sought = parts(splitting, path, tasks, **options)
    splitting.known["exact"] = False
    for one, other in zip(parts(splitting, path, tasks, **options), sought, strict=True):
        (splitting.root / "one.mp3").write_bytes(one)
        (splitting.root / "other.mp3").write_bytes(other)
        sounds = [by_ffmpeg(splitting.root / name, 2) for name in ("one.mp3", "other.mp3")]
        assert np.abs(sounds[0] - sounds[1]).max() < 2e-4


@pytest.mark.parametrize(
    "options",
    [{"start": 3.21, "end": 19.5}, {"fade_in": 2, "fade_out": 3}, {"sample_rate": 32000}, {"channels": 1}],
    ids=["trim", "fade", "sample rate", "mono"],
)
def test_what_is_done_to_the_sound_is_done_to_the_whole_and_not_to_its_parts(
    splitting: Splitting, options: dict[str, Any]
) -> None:
    path = encoded(splitting.root, "a.flac", seconds=20)
    one, other = splitting.whole(path, **options), splitting.split(path, **options)
    channels = options.get("channels", 2)
    assert np.array_equal(by_ffmpeg(one, channels), by_ffmpeg(other, channels))


def test_a_track_without_exact_times_has_no_seams_either(splitting: Splitting) -> None:
    splitting.known = {}
    for name in ("a.webm", "a.mp3", "a.ogg"):
        path = encoded(splitting.root, name, seconds=20)
        one, other = splitting.whole(path, bitrate=64), splitting.split(path, bitrate=64)
        assert np.array_equal(by_ffmpeg(one, 2), by_ffmpeg(other, 2))


def test_a_part_knows_its_frames_and_the_last_one_where_the_sound_ends(splitting: Splitting) -> None:
    path = recording(splitting.root, "speech", SECONDS)
    tasks = splitting.plan(path)
    facts = [PartFacts.of(made(splitting.do(each, path))) for each in tasks]
    firsts = [each.args["part"]["first"] for each in tasks]
    assert [fact.first for fact in facts] == firsts
    assert [fact.begin for fact in facts] == [0, firsts[1] - LEAD, firsts[2] - LEAD]
    assert [fact.samples for fact in facts] == [None, None, SECONDS * 44100]


def test_its_progress_is_that_of_the_part_and_tells_a_speed(splitting: Splitting) -> None:
    path = recording(splitting.root, "speech", 8 * SECONDS)
    splitting.parts = 2
    told: list[tuple[float, float | None]] = []
    splitting.do(splitting.plan(path)[1], path, lambda percent, speed=None, /: told.append((percent, speed)))
    percents = [percent for percent, _ in told]
    assert percents == sorted(percents)
    assert percents[-1] == pytest.approx(100, abs=1)
    assert any(speed for _, speed in told)


def test_a_part_that_the_sound_does_not_reach_is_refused_for_the_whole(splitting: Splitting) -> None:
    splitting.known["seconds"] = 80
    path = recording(splitting.root, "speech", SECONDS)
    tasks = splitting.plan(path)
    splitting.do(tasks[1], path)
    with pytest.raises(Reject, match="breaks off after 60 of 80 seconds"):
        splitting.do(tasks[2], path)


def test_an_interruption_goes_on_and_keeps_nothing(splitting: Splitting) -> None:
    def interrupt(percent: float, speed: float | None = None, /) -> None:
        if percent:
            raise Interrupted

    path = recording(splitting.root, "speech", SECONDS)
    tasks = splitting.plan(path)
    made_parts = [made(splitting.do(each, path)) for each in tasks]
    joining = splitting.joining(made_parts, path)
    before = {blob.id for blob in splitting.blobs.list()}
    with pytest.raises(Interrupted):
        joining(interrupt)
    assert {blob.id for blob in splitting.blobs.list()} == before
    with pytest.raises(Interrupted):
        splitting.do(tasks[0], path, interrupt)
    assert {blob.id for blob in splitting.blobs.list() if "part" in blob.id} == {part.blob for part in made_parts}


def test_a_video_is_split_from_its_own_sound(splitting: Splitting) -> None:
    path = splitting.root / "long.mp4"
    ffmpeg("-stream_loop", 5, "-i", TALK, "-c", "copy", path)
    track = extracted(splitting, path)
    splitting.known = Track.model_validate(track.facts).model_dump()
    taken = splitting.kept(track)
    one, other = (by_ffmpeg(make(taken), 2) for make in (splitting.whole, splitting.split))
    assert np.array_equal(one, other)
