import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm  # type: ignore[import-untyped]  # it tells none
import pytest
from scipy.signal import resample_poly  # type: ignore[import-untyped]  # scipy-stubs are not needed for one call

from converter.filters import Measured
from converter.tests.studio import TALK, Samples, Studio, facts, ffmpeg, heard
from pipeline.errors import Interrupted, Reject

RATE = 44100
SPEECH = ("-i", TALK, "-vn")
QUIET = (*SPEECH, "-af", "volume=-25dB")
PEAKY = (*SPEECH, "-af", "volume=-14dB,aeval='val(ch)+0.85*eq(mod(n,22050),0)':c=same")
NOISE = ("-f", "lavfi", "-i", "anoisesrc=color=pink:amplitude=0.3:sample_rate=48000:duration=6:seed=7")
BEATS = (
    "-f",
    "lavfi",
    "-i",
    "aevalsrc='0.7*sin(2*PI*9000*t+0.8)*lt(mod(t,0.5),0.05)+0.02*sin(2*PI*300*t)':d=6:s=44100",
)
STEPS = ("-f", "lavfi", "-i", "aevalsrc='0.5*lt(mod(t,4),1)*sin(2*PI*500*t)':d=8:s=44100")
SILENCE = ("-f", "lavfi", "-i", "anullsrc=sample_rate=44100:duration=2")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def recording(studio: Studio, *source: object) -> Path:
    path = studio.root / "sound.wav"
    ffmpeg(*source, "-c:a", "pcm_s24le", path)
    return path


def loudness(sound: Samples, rate: int) -> float:
    """LUFS, by another hand than ffmpeg's."""
    with warnings.catch_warnings(action="ignore"):
        return float(pyloudnorm.Meter(rate).integrated_loudness(sound))


def true_peak(sound: Samples) -> float:
    """dBTP, eight times oversampled."""
    return float(20 * np.log10(np.abs(resample_poly(sound, 8, 1, axis=0)).max()))


@pytest.mark.parametrize(
    ("source", "target"),
    [(SPEECH, -16), (SPEECH, -23), (QUIET, -14), (PEAKY, -16), (PEAKY, -14), (NOISE, -16), (BEATS, -16)],
    ids=["speech", "soft speech", "quiet", "peaky", "loud peaky", "noise", "beats"],
)
def test_every_sound_gets_the_loudness_asked_for_and_no_higher_peaks_than_allowed(
    studio: Studio, source: tuple[object, ...], target: float
) -> None:
    made = studio.files(recording(studio, *source), loudness=target, audio="wav,mp3,m4a,opus")
    for form, path in made.items():
        sound = heard(path)
        rate = 48000 if form == "opus" or source is NOISE else RATE
        assert loudness(sound, rate) == pytest.approx(target, abs=0.5), form
        assert true_peak(sound) <= -1, form


def test_peaks_between_the_samples_are_held(studio: Studio) -> None:
    """Each sample of this tone is 3 dB below its true peak."""
    bursts = "0.4*sin(2*PI*11025*t+PI/4)*lt(mod(t,0.5),0.02)+0.02*sin(2*PI*300*t)"
    path = recording(studio, "-f", "lavfi", "-i", f"aevalsrc='{bursts}':d=4:s=44100")
    sound = heard(studio.file(path, audio="wav", loudness=-12))
    assert np.abs(sound).max() < 0.72
    assert -1.5 < true_peak(sound) <= -1


def test_what_lossy_coding_adds_to_peaks_is_made_room_for(studio: Studio) -> None:
    made = studio.files(recording(studio, *NOISE), loudness=-13, audio="m4a,opus,ogg")
    assert {form: true_peak(heard(path)) <= -1 for form, path in made.items()} == dict.fromkeys(made, True)


@pytest.mark.parametrize("asked", [{"bitrate": 64}, {"bitrate": 192}, {"bitrate": 224}, {"bitrate": 320}, {"mode": "vbr"},
                                   {"mode": "abr"}, {"preset": "podcast"}])  # fmt: skip
def test_an_mp3_is_as_loud_as_asked_for_whatever_its_encoder_takes_away(studio: Studio, asked: dict[str, Any]) -> None:
    sound = heard(studio.file(recording(studio, *SPEECH), **{"loudness": -16, **asked}))
    assert loudness(sound, RATE) == pytest.approx(-16, abs=0.15)


def test_a_limit_without_lossy_coding_is_used_to_the_full(studio: Studio) -> None:
    sound = heard(studio.file(recording(studio, *PEAKY), audio="flac", loudness=-16, true_peak=-3))
    assert -3.5 < true_peak(sound) <= -3
    assert loudness(sound, RATE) == pytest.approx(-16, abs=0.3)


def test_what_is_cut_out_does_not_count(studio: Studio) -> None:
    loud_end = recording(studio, "-f", "lavfi", "-i", "aevalsrc='if(lt(t,4),0.05,0.8)*sin(2*PI*900*t)':d=8:s=44100")
    sound = heard(studio.file(loud_end, audio="wav", loudness=-20, end=4))
    assert len(sound) == 4 * RATE
    assert loudness(sound, RATE) == pytest.approx(-20, abs=0.2)


def test_silence_stays_silence(studio: Studio) -> None:
    measured = studio.measure(recording(studio, *SILENCE), loudness=-16)
    assert (measured.level.integrated, measured.gain, measured.limited, measured.seconds) == (None, 0, False, 2)
    assert not heard(studio.file(recording(studio, *SILENCE), audio="wav", loudness=-16)).any()


def test_what_is_next_to_silence_is_made_louder_by_thirty_decibels_at_most(studio: Studio) -> None:
    measured = studio.measure(recording(studio, *SPEECH, "-af", "volume=-45dB"), loudness=-14)
    assert (measured.gain, measured.limited) == (30, False)


def test_what_cannot_be_made_so_loud_is_driven_no_further_than_six_decibels(studio: Studio) -> None:
    path = recording(studio, *PEAKY)
    plain = studio.measure(path, loudness=-5)
    assert plain.level.integrated is not None
    assert plain.limited
    assert plain.gain <= -5 - plain.level.integrated + 6.001


def test_peaks_are_held_only_where_they_would_go_too_far(studio: Studio) -> None:
    path = recording(studio, *SPEECH)
    assert not studio.measure(path, loudness=-20).limited
    assert studio.measure(path, loudness=-10).limited


def test_a_file_tells_what_was_measured_and_by_how_much_it_was_changed(studio: Studio) -> None:
    path = recording(studio, *SPEECH)
    measured = studio.measure(path, loudness=-20)
    (artifact,) = studio.encode(path, args=measured.model_dump(mode="json"), loudness=-20).artifacts
    assert facts(artifact).measured == measured.level
    assert facts(artifact).gain == measured.gain == pytest.approx(-7.5, abs=0.1)
    assert measured.level.integrated == pytest.approx(loudness(heard(path), RATE), abs=0.1)
    assert measured.level.true_peak == pytest.approx(true_peak(heard(path)), abs=0.3)


def test_the_length_is_that_of_the_result(studio: Studio) -> None:
    path = recording(studio, *STEPS)
    made = heard(studio.file(path, audio="flac", loudness=-16, silence=0.5, start=1.5))
    measured = studio.measure(path, loudness=-16, silence=0.5, start=1.5)
    assert measured.seconds == pytest.approx(len(made) / RATE, abs=1e-3)
    assert measured.seconds == pytest.approx(0.5 + 1 + 0.5, abs=0.05)


def test_a_sound_whose_silence_is_cut_fades_out_at_its_end(studio: Studio) -> None:
    steps = recording(studio, *STEPS)
    asked: dict[str, Any] = {"audio": "wav", "silence": 0.5, "fade_out": 1.0}
    measured = studio.measure(steps, **asked)
    (artifact,) = studio.encode(steps, args=measured.model_dump(mode="json"), **asked).artifacts
    sound = heard(studio.kept(artifact))
    end = len(sound)
    assert np.abs(sound[end - RATE // 2 - 2000 : end - RATE // 2]).max() < 0.28
    assert np.abs(sound[: RATE // 2]).max() == pytest.approx(0.5, abs=0.01)


def test_progress_rises_and_an_interruption_goes_on(studio: Studio) -> None:
    told: list[float] = []
    path = recording(studio, *SPEECH)
    studio.measure(path, lambda percent, speed=None: told.append(percent), loudness=-10)
    assert told == sorted(told)
    assert 90 < told[-1] <= 100

    def interrupt(percent: float, speed: float | None = None, /) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        studio.measure(path, interrupt, loudness=-10)


@pytest.mark.parametrize("asked", [{"preset": "podcast"}, {"silence": 0.5, "loudness": -16, "speed": 1.25}])
def test_one_pass_is_told_from_nothing_to_nearly_all(studio: Studio, asked: dict[str, Any]) -> None:
    told: list[float] = []
    path = recording(studio, "-stream_loop", 59, *SPEECH)
    measured = studio.measure(path, lambda percent, speed=None: told.append(percent), **asked)
    assert not measured.limited
    assert told == sorted(told)
    assert len({percent for percent in told if 0 < percent < 90}) > 2
    assert 60 < told[-1] <= 90


def test_a_recording_that_breaks_off_is_refused_unless_its_owner_takes_it(studio: Studio) -> None:
    path = recording(studio, *SPEECH)
    studio.known = {"seconds": 20.0}
    with pytest.raises(Reject, match="breaks off after 11 of 20 seconds"):
        studio.measure(path, loudness=-16)
    assert studio.measure(path, loudness=-16, partial=True).seconds == pytest.approx(11)


def test_what_is_handed_on_is_json() -> None:
    measured = Measured.model_validate({"level": {"integrated": -20.0}, "seconds": 2.0})
    assert Measured.model_validate_json(measured.model_dump_json()) == measured
