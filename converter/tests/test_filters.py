"""What is done to the sound, heard in WAV files: nothing that an encoder adds or loses is in the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.filters import Measured, ceiling, length, stateful, unknown
from converter.tests.studio import TALK, Samples, Studio, ffmpeg, frequency, heard
from pipeline.audio import Profile
from pipeline.errors import Reject
from pipeline.recording import Level, Track

RATE = 44100
BEATS = "0.5*sin(2*PI*440*t)*lt(mod(t,0.37),0.01)"
PAUSES = "0.3*sin(2*PI*440*t)*(between(t,2,3)+between(t,6,7)+between(t,7.3,8))"
"""Silence of 2, 3, 0.3 and 1.5 seconds."""


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def tone(
    studio: Studio, shape: str, seconds: float, rate: int = RATE, layout: str = "mono", codec: str = "pcm_s24le"
) -> Path:
    """A WAV file whose channels `shape` describes, with bars between them."""
    path = studio.root / "tone.wav"
    source = f"aevalsrc=exprs='{shape}':sample_rate={rate}:duration={seconds}:channel_layout={layout}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:a", codec, path)
    return path


def made(studio: Studio, path: Path, **options: Any) -> Samples:
    return heard(studio.file(path, audio="wav", **options))


def level(sound: Samples) -> float:
    """dBFS, root of the mean square."""
    return float(10 * np.log10(np.mean(sound**2) + 1e-20))


def test_what_nothing_is_asked_of_stays_as_it_was_to_the_last_bit(studio: Studio) -> None:
    path = tone(studio, "random(0)-0.5|random(1)-0.5", 1.2345, layout="stereo")
    assert np.array_equal(made(studio, path, end=1000), heard(path))


@pytest.mark.parametrize(("start", "end"), [(0.1, None), (None, 1.23457), (0.33333, 0.77777), (0, 0.00003)])
def test_a_trim_is_exact_to_the_sample(studio: Studio, start: float | None, end: float | None) -> None:
    path = tone(studio, "random(0)-0.5", 2)
    first, last = (None if time is None else round(time * RATE) for time in (start, end))
    assert np.array_equal(made(studio, path, start=start, end=end), heard(path)[first:last])


def test_a_trim_counts_from_the_beginning_of_the_recording_also_where_its_sound_begins_late(studio: Studio) -> None:
    late, sound = studio.root / "late.mka", tone(studio, "0.5*sin(2*PI*440*t)", 2)
    ffmpeg("-i", sound, "-itsoffset", 1, "-i", sound, "-map", 0, "-map", 1, "-c", "copy", late)
    studio.known = {"stream": 1}
    cut = made(studio, late, start=0.75, end=1.5)
    assert len(cut) == 0.75 * RATE
    assert np.abs(cut[: RATE // 4 - 10]).max() == 0
    assert np.abs(cut[RATE // 4 :]).max() == pytest.approx(0.5, abs=0.01)


def test_a_recording_that_ends_before_the_start_asked_for_is_refused(studio: Studio) -> None:
    with pytest.raises(Reject, match=r"it has 2\.0 seconds, and all before 2\.5"):
        studio.encode(tone(studio, "0", 2), start=2.5)


def test_fades_are_straight_and_as_long_as_asked_for(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0.5", 3), fade_in=1, fade_out=0.5)[:, 0]
    assert sound[[0, RATE // 2, RATE, 2 * RATE]] == pytest.approx([0, 0.25, 0.5, 0.5], abs=1e-3)
    assert sound[[2 * RATE + RATE // 2, 2 * RATE + 3 * RATE // 4, -1]] == pytest.approx([0.5, 0.25, 0], abs=1e-3)


def test_a_sound_fades_out_before_its_end_also_where_that_moves(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0.5", 6), start=1, end=5, fade_out=1)[:, 0]
    assert sound[[3 * RATE, 3 * RATE + RATE // 2, -1]] == pytest.approx([0.5, 0.25, 0], abs=1e-3)


def test_a_fade_longer_than_the_sound_is_as_long_as_it(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0.5", 2), fade_out=30)[:, 0]
    assert sound[[0, RATE, -1]] == pytest.approx([0.5, 0.25, 0], abs=1e-3)


def test_mono_is_the_mean_of_both_sides(studio: Studio) -> None:
    path = tone(studio, "0.8*sin(2*PI*440*t)|0.4*sin(2*PI*440*t)", 0.5, layout="stereo")
    sound = made(studio, path, channels=1)
    assert sound.shape == (RATE // 2, 1)
    assert sound[:, 0] == pytest.approx(heard(path).mean(axis=1), abs=1e-4)


def test_stereo_of_mono_has_it_on_both_sides_as_loud_as_it_was(studio: Studio) -> None:
    path = tone(studio, "0.8*sin(2*PI*440*t)", 0.5)
    sound = made(studio, path, channels=2)
    assert np.array_equal(sound, np.repeat(heard(path), 2, axis=1))


@pytest.mark.parametrize(("layout", "count"), [("5.1", 6), ("7.1", 8), ("5.0(side)", 5), ("hexadecagonal", 16)])
def test_many_channels_become_two_that_never_clip(studio: Studio, layout: str, count: int) -> None:
    loud = "|".join(["0.95*sin(2*PI*440*t)"] * count)
    for codec in ("pcm_s16le", "pcm_f32le"):
        sound = made(studio, tone(studio, loud, 0.5, layout=layout, codec=codec))
        assert sound.shape[1] == 2
        assert 0.5 < np.abs(sound).max() < 0.99


def test_a_middle_channel_is_heard_on_both_sides(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0|0|0.9*sin(2*PI*440*t)|0|0|0", 0.5, layout="5.1"))
    assert level(sound[:, :1]) == pytest.approx(level(sound[:, 1:]), abs=0.01)
    assert level(sound) > -20


def test_a_lower_sample_rate_keeps_length_and_pitch(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0.5*sin(2*PI*440*t)", 3, rate=48000), sample_rate=22050)
    assert abs(len(sound) - 3 * 22050) <= 1
    assert frequency(sound, 22050) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("speed", [0.5, 1.25, 2, 3])
def test_speed_changes_the_length_and_not_the_pitch(studio: Studio, speed: float) -> None:
    sound = made(studio, tone(studio, "0.5*sin(2*PI*440*t)", 6), speed=speed)
    assert len(sound) == pytest.approx(6 * RATE / speed, abs=0.05 * RATE)
    assert frequency(sound, RATE) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("speed", [1.5, 3])
def test_speed_leaves_nothing_out(studio: Studio, speed: float) -> None:
    sound = made(studio, tone(studio, BEATS, 5.5), speed=speed)[:, 0]
    windows = np.abs(sound[: len(sound) // 49 * 49]).reshape(-1, 49).max(axis=1) > 0.05
    begins = np.flatnonzero(np.diff(windows.astype(int), prepend=0) == 1) * 49 * speed / RATE
    assert begins == pytest.approx([0.37 * beat for beat in range(15)], abs=0.1)


def test_long_pauses_are_cut_down_to_what_is_asked_for(studio: Studio) -> None:
    sound = made(studio, tone(studio, PAUSES, 9.5), silence=0.5)[:, 0]
    loud = np.flatnonzero(np.abs(sound) > 0.01) / RATE
    gaps = np.diff(loud)
    assert [round(float(gap), 2) for gap in gaps[gaps > 0.1]] == [0.5, 0.3]
    assert loud[0] == pytest.approx(0.5, abs=0.03)
    assert len(sound) / RATE - loud[-1] == pytest.approx(0.5, abs=0.03)


def test_where_all_is_silence_and_that_is_cut_the_recording_is_refused(studio: Studio) -> None:
    with pytest.raises(Reject, match="all of it is silence"):
        studio.encode(tone(studio, "0", 3), silence=0.5)


def test_speech_filters_cut_rumble_and_bring_voices_closer(studio: Studio) -> None:
    rumble = tone(studio, "0.3*sin(2*PI*30*t)", 1.5)
    assert level(made(studio, rumble, speech=True)[RATE // 2 :]) < level(heard(rumble)) - 10
    loud, soft = (
        level(made(studio, tone(studio, f"{peak}*sin(2*PI*440*t)", 1.5), speech=True)[RATE // 2 :])
        for peak in (0.9, 0.09)
    )
    assert 3 < loud - soft < 15


def test_speech_filters_never_clip(studio: Studio) -> None:
    sound = made(studio, tone(studio, "0.99*sin(2*PI*440*t)*gt(t,0.5)", 1.5), speech=True)
    assert np.abs(sound).max() < 0.9


def test_steady_noise_is_taken_away_and_a_tone_stays(studio: Studio) -> None:
    path = tone(studio, "0.006*(random(0)-0.5)+0.3*sin(2*PI*440*t)*between(t,2,3)", 4)
    before, after = heard(path), made(studio, path, denoise=True)
    assert len(after) == len(before)
    assert level(after[int(3.3 * RATE) :]) < level(before[int(3.3 * RATE) :]) - 6
    assert level(after[int(2.2 * RATE) : int(2.8 * RATE)]) == pytest.approx(
        level(before[int(2.2 * RATE) : int(2.8 * RATE)]), abs=0.5
    )


def test_a_voice_without_noise_stays_as_it_was_and_where_it_was(studio: Studio) -> None:
    before, after = heard(TALK), made(studio, TALK, denoise=True)
    assert len(after) == len(before)
    assert level(after - before) < level(before) - 15


def test_only_what_looks_back_for_long_is_stateful() -> None:
    plain = Profile(bitrate=128)
    assert not stateful(plain.model_copy(update={"speech": True, "loudness": -16.0, "start": 2.0, "fade_in": 1.0}))
    assert all(stateful(plain.model_copy(update=one)) for one in ({"speed": 2.0}, {"silence": 1.0}, {"denoise": True}))


def test_only_loudness_and_an_end_that_nobody_knows_have_to_be_measured() -> None:
    plain = Profile(bitrate=128)
    assert not any(unknown(plain.model_copy(update=one)) for one in ({}, {"silence": 1.0}, {"fade_out": 1.0}))
    assert unknown(plain.model_copy(update={"loudness": -16.0}))
    assert unknown(plain.model_copy(update={"silence": 1.0, "fade_out": 1.0}))


def test_the_length_is_known_unless_silence_is_cut() -> None:
    track = Track(stream=0, seconds=60, codec="aac", channels=2, sample_rate=44100)
    assert length(Profile(bitrate=128, start=10, end=50, speed=2), track) == 20
    cut = Profile(bitrate=128, silence=1)
    assert length(cut, track) is None
    assert length(cut, track, Measured(level=Level(integrated=None), seconds=42)) == 42


def test_room_is_left_for_what_lossy_coding_adds_to_peaks() -> None:
    assert ceiling(Profile(bitrate=128, audio=("flac", "mp3"))) == -2.5
    assert ceiling(Profile(bitrate=128, audio=("flac", "wav"), true_peak=-3)) == -3.1
