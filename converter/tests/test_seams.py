"""Seams of an MP3 that was made in parts, heard beside the same in one piece: decoders say nothing of a seam that is wrong."""

import tracemalloc
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.mp3 import Format, Frames, frame_samples
from converter.parts import PartFacts
from converter.seams import SEARCH, NoSeam, fits, seam
from converter.splice import splice
from converter.tests.splitting import SOURCES, Sound, Splitting, by_ffmpeg, by_mpg123, made, recording
from converter.tests.studio import ffmpeg, quiet
from pipeline.blobs import BlobMissing
from pipeline.recording import SoundFacts

SECONDS = 18.3
DELAY = 1105
"""Samples by which decoders are late (576 of the encoder, 529 of their own), and which they leave out in front."""
EDGES = [0, 1, 46, 47, 48, 528, 529, 575, 576, 577, 1104, 1105, 1106, 1151]
"""Samples over whole frames; the delays of encoders and decoders lie among them."""
MODES: dict[str, dict[str, Any]] = {
    "CBR": {"mode": "cbr", "bitrate": 128},
    "V2": {"mode": "vbr", "quality": 2},
    "ABR": {"mode": "abr", "bitrate": 128},
}


@pytest.fixture
def splitting(tmp_path: Path) -> Splitting:
    return Splitting(tmp_path)


def bare(path: Path) -> Frames:
    """The frames of sound of an MP3 that has a tag block and an Info frame in front."""
    data = path.read_bytes()
    begin = 10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    form = Format.of(data[begin:])
    assert data[begin + form.front :].startswith((b"Info", b"Xing"))
    path = path.with_suffix(".bare")
    path.write_bytes(data[begin + form.sizes[data[begin + 2]] :])
    return Frames(path, 0)


def errors(sound: Sound, other: Sound, rate: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Energy of the difference in each frame, by the frame's number."""
    late = np.zeros((DELAY, sound.shape[1]))
    difference = np.concatenate([late, sound.astype(np.float64) - other])
    size = frame_samples(rate)
    whole = len(difference) // size
    return np.asarray((difference[: whole * size] ** 2).reshape(whole, -1).sum(axis=1))


def unheard(energy: np.ndarray[Any, np.dtype[np.float64]], seams: Sequence[int]) -> bool:
    """Whether no frame around a seam has more error than the 99.9th percentile of those elsewhere."""
    around = np.zeros(len(energy), bool)
    for number in seams:
        around[number - 1 : number + SEARCH + 2] = True
    return bool(energy[around].max() <= np.quantile(energy[~around], 0.999))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("source", "rate", "channels"),
    [*product(SOURCES, (44100, 48000), (2,)), ("speech", 24000, 1), ("speech", 22050, 1)],
)
def test_no_seam_is_heard(splitting: Splitting, source: str, rate: int, channels: int, mode: str) -> None:
    path, options = recording(splitting.root, source, SECONDS, rate, channels), MODES[mode]
    whole, joined = splitting.whole(path, **options), splitting.split(path, **options)
    seams = splitting.seams(path, **options)
    assert len(seams) == 2
    for decoder in (by_ffmpeg, by_mpg123):
        one, other = decoder(whole, channels), decoder(joined, channels)
        assert len(one) == len(other) == round(SECONDS * rate)
        energy = errors(one, other, rate)
        assert unheard(energy, seams)
        if mode == "CBR":
            assert not energy.any()
    assert bare(joined).end == bare(whole).end


@pytest.mark.parametrize("parts", [2, 3, 5, 7])
@pytest.mark.parametrize("options", [MODES["CBR"], MODES["V2"]], ids=["CBR", "V2"])
def test_however_many_parts_there_are_they_make_the_same_sound(
    splitting: Splitting, parts: int, options: dict[str, Any]
) -> None:
    splitting.parts = parts
    path = recording(splitting.root, "speech", SECONDS)
    whole, joined = splitting.whole(path, **options), splitting.split(path, **options)
    assert np.array_equal(by_ffmpeg(whole, 2), by_ffmpeg(joined, 2))
    frames = bare(joined)
    assert fits(frames.frames(0, frames.end), frames.form)


@pytest.mark.parametrize("kbit", [32, 64, 192, 320])
def test_the_size_of_a_constant_bit_rate_is_that_of_one_piece(splitting: Splitting, kbit: int) -> None:
    path = recording(splitting.root, "music", SECONDS)
    whole, joined = (bare(make(path, bitrate=kbit)) for make in (splitting.whole, splitting.split))
    sizes = [[frames.start(number) for number in range(frames.end + 1)] for frames in (whole, joined)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("rate", [44100, 24000])
@pytest.mark.parametrize("over", EDGES)
def test_no_sample_is_lost_or_added_whatever_the_length(splitting: Splitting, rate: int, over: int) -> None:
    samples = 700 * frame_samples(rate) + over
    path = recording(splitting.root, "noise", samples / rate, rate, 1)
    splitting.parts = 2
    for each in (splitting.split(path, bitrate=64), splitting.whole(path, bitrate=64)):
        assert len(by_ffmpeg(each, 1)) == len(by_mpg123(each, 1)) == samples


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (24000, 1), (8000, 1)])
def test_no_sample_of_a_short_recording_is_lost_or_added(
    splitting: Splitting, rate: int, channels: int, mode: str
) -> None:
    for samples in (1, rate // 20, frame_samples(rate), *(3 * frame_samples(rate) + over for over in (1, 46, 1105))):
        path = recording(splitting.root, "noise", samples / rate, rate, channels)
        one = splitting.file(path, **MODES[mode])
        assert len(by_ffmpeg(one, channels)) == len(by_mpg123(one, channels)) == samples


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_no_seam_of_a_longer_recording_is_heard(splitting: Splitting, mode: str) -> None:
    splitting.parts, path = 7, recording(splitting.root, "speech", 240, 44100)
    whole, joined = splitting.whole(path, **MODES[mode]), splitting.split(path, **MODES[mode])
    one, other = by_ffmpeg(whole, 2), by_ffmpeg(joined, 2)
    assert len(one) == len(other) == 240 * 44100
    energy = errors(one, other, 44100)
    assert unheard(energy, splitting.seams(path, **MODES[mode]))


def test_loudness_and_filters_for_speech_leave_no_seam(splitting: Splitting) -> None:
    path = recording(splitting.root, "speech", SECONDS)
    options = {"loudness": -14, "speech": True}
    one, other = by_ffmpeg(splitting.whole(path, **options), 2), by_ffmpeg(splitting.split(path, **options), 2)
    assert len(one) == len(other) == round(SECONDS * 44100)
    assert np.abs(one - other).max() < 1e-4


def test_the_joined_file_is_known_as_one_piece_would_be(splitting: Splitting) -> None:
    path = recording(splitting.root, "speech", SECONDS)
    results = [splitting.do(following, path) for following in splitting.plan(path)]
    parts = [made(result) for result in results]
    assert [(part.name, part.kind) for part in parts] == [(f"part-00{number}.mp3", "part") for number in range(3)]
    joined = splitting.join(parts[::-1], path, waveform=True)
    assert sorted(joined.spent, key=lambda part: part.name) == parts
    assert [following.kind for following in joined.next] == ["draw"]
    one = made(splitting.encode(path))
    other = made(joined)
    assert (other.name, other.kind, other.type) == (one.name, one.kind, one.type) == ("a.mp3", "audio", "audio/mpeg")
    facts, same = (SoundFacts.model_validate(artifact.facts) for artifact in (other, one))
    assert facts.seconds == pytest.approx(SECONDS, abs=1e-5)
    assert facts.model_copy(update={"seconds": same.seconds, "bit_rate": same.bit_rate}) == same
    assert facts.bit_rate == pytest.approx(same.bit_rate, rel=0.001)


Cut = Callable[..., Frames]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    """The first so many frames of a sound as a part."""

    def made(source: str, frames: int, *arguments: object) -> Frames:
        path, part = recording(tmp_path, source, 5, 48000), tmp_path / f"{source}{'-'.join(map(str, arguments))}.mp3"
        bare = ("-write_xing", 0, "-id3v2_version", 0, "-map_metadata", -1)
        ffmpeg("-i", path, "-af", f"atrim=end_sample={frames * 1152}", *arguments, *bare, part)
        return Frames(part, 0)

    return made


def test_a_last_frame_without_room_gets_a_higher_bit_rate(cut: Cut) -> None:
    """What goes before leaves no room for the main data of what follows; the sound of both stays."""
    left, right = cut("speech", 150, "-b:a", "64k"), cut("noise", 200, "-b:a", "64k")
    found = seam(left, right, 100)
    (last,) = left.frames(found.frame - 1, found.frame)
    assert len(found.mended[-1]) > len(last)
    assert found.mended[-1][2] >> 4 > last[2] >> 4
    path = left.path.with_name("whole.mp3")
    path.write_bytes(b"".join(splice([left, right], [100]).read()))
    assert Frames(path, 0).end == right.end
    joined, after, before = (by_ffmpeg(each, 2) for each in (path, right.path, left.path))
    assert np.array_equal(joined[(found.frame + 2) * 1152 :], after[(found.frame + 2) * 1152 :])
    assert np.array_equal(joined[: (found.frame - 2) * 1152], before[: (found.frame - 2) * 1152])


@pytest.mark.slow
def test_parts_of_hours_are_read_in_pieces(cut: Cut) -> None:
    """Two hours before a seam: the same frames over and over, of the size that they have at 320 kbit/s."""
    left, right = cut("noise", 150, "-b:a", "320k"), cut("noise", 200, "-b:a", "320k")
    again, times = b"".join(left.frames(10, 60)), 6000
    long = left.path.with_name("long.mp3")
    with long.open("wb") as file:
        file.writelines([b"".join(left.frames(0, 60)), *[again] * times, b"".join(left.frames(60, left.end))])
    tracemalloc.start()
    whole = splice([Frames(long, 0), Frames(right.path, 50 * times)], [100 + 50 * times])
    contents = whole.contents(whole.read(), whole.frames * 1152 - 1152, constant=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert contents.frames == right.end + 50 * times
    assert contents.bytes > 280e6
    assert most < 16e6


def test_parts_that_cannot_follow_each_other_have_no_seam(cut: Cut) -> None:
    right = cut("noise", 200, "-q:a", 9)
    with pytest.raises(NoSeam, match="nowhere within 13 frames of frame 100"):
        seam(cut("speech", 150, "-b:a", "320k", "-reservoir", 0), right, 100)
    with pytest.raises(NoSeam, match="of different formats"):
        seam(cut("speech", 150, "-b:a", "128k", "-ac", 1), right, 100)


def test_a_part_that_ends_before_its_seam_has_none(cut: Cut) -> None:
    left, right = cut("speech", 100, "-b:a", "128k"), cut("speech", 200, "-b:a", "128k")
    assert seam(left, right, 90).frame == 90
    with pytest.raises(NoSeam, match="nowhere within 0 frames"):
        seam(left, right, left.end - 3)


def test_main_data_that_overlaps_is_seen(cut: Cut) -> None:
    left, right = cut("speech", 150, "-b:a", "64k"), cut("noise", 200, "-b:a", "64k")
    before, after = left.frames(0, 100), right.frames(100, 200)
    assert fits(before, left.form)
    assert fits(after, left.form)
    assert not fits([*before, *after], left.form)


def test_a_part_that_is_lost_does_not_fail_the_file_but_a_lost_track_does(splitting: Splitting) -> None:
    path = recording(splitting.root, "noise", SECONDS)
    parts = [made(splitting.do(following, path)) for following in splitting.plan(path)]
    whole = by_ffmpeg(splitting.whole(path), 2)
    splitting.blobs.delete(parts[1].blob)
    assert np.array_equal(by_ffmpeg(splitting.kept(made(splitting.join(parts, path))), 2), whole)
    joining = splitting.joining(parts, path)
    splitting.blobs.delete(joining.args[0].only("track").blob)
    with pytest.raises(BlobMissing):
        joining(quiet)


def test_parts_that_do_not_fit_are_encoded_anew_in_one_piece(splitting: Splitting) -> None:
    path = recording(splitting.root, "noise", SECONDS)
    parts = [made(splitting.do(following, path)) for following in splitting.plan(path)]
    mono = [made(splitting.do(following, path, channels=1)) for following in splitting.plan(path)]
    assert [PartFacts.of(part).samples for part in parts] == [None, None, round(SECONDS * 44100)]
    whole = by_ffmpeg(splitting.whole(path), 2)
    for odd in ([mono[0], *parts[1:]], parts[1:], parts[:-1], [parts[0], parts[2]]):
        joined = splitting.join(odd, path)
        assert np.array_equal(by_ffmpeg(splitting.kept(made(joined)), 2), whole)
        assert list(joined.spent) == odd
