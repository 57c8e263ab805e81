import json
import subprocess
from pathlib import Path

import av
import ffmpeg
import numpy as np
import pyloudnorm  # type: ignore[import-untyped]  # it has no types
import pytest

from converter.loudness import Meter
from pipeline.ffmpeg import binary, run, sound
from pipeline.recording import Level

TALK = Path(__file__).parents[2] / "tests" / "media" / "talk.mp4"


def quiet(percent: float, speed: float | None = None) -> None:
    pass


def measured(folder: Path, name: str = "sound.wav") -> Level:
    meter = Meter()
    output = ffmpeg.output(meter.on(sound(name)), "file:null", format="null")
    run(output, folder=folder, duration=None, deadline=60, progress=quiet, output_limit=10**8, log=meter.read)
    return meter.level


def make(path: Path, *arguments: str) -> None:
    subprocess.run([binary(), "-loglevel", "error", *arguments, path], check=True)


def test_loudness_and_true_peak_agree_with_other_meters(tmp_path: Path) -> None:
    make(tmp_path / "sound.wav", "-i", str(TALK), "-vn", "-ar", "48000", "-c:a", "pcm_f32le")
    with av.open(str(tmp_path / "sound.wav")) as wav:
        samples = np.concatenate(
            [frame.to_ndarray().reshape(-1, frame.layout.nb_channels) for frame in wav.decode(audio=0)]
        )
    level = measured(tmp_path)
    assert level.integrated == pytest.approx(pyloudnorm.Meter(48000).integrated_loudness(samples), abs=0.15)
    assert level.true_peak is not None
    assert 20 * np.log10(np.abs(samples).max()) - 0.1 <= level.true_peak <= 20 * np.log10(np.abs(samples).max()) + 1
    assert level.range is not None
    assert 0 < level.range < 25


@pytest.mark.parametrize("seconds", ["3", "0.05"])
def test_silence_has_no_loudness(tmp_path: Path, seconds: str) -> None:
    make(tmp_path / "sound.wav", "-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={seconds}")
    assert measured(tmp_path) == Level(integrated=None, range=None, true_peak=None)


@pytest.mark.parametrize("odd", ["inf", "nan", "3e38"])
def test_only_figures_that_json_has_come_of_samples_that_are_none(tmp_path: Path, odd: str) -> None:
    samples = 0.1 * np.sin(np.arange(48000) / 8)
    samples[20000:20005] = float(odd)
    (tmp_path / "raw").write_bytes(samples.astype("<f4").tobytes())
    make(
        tmp_path / "sound.wav",
        "-f",
        "f32le",
        "-ar",
        "48000",
        "-ac",
        "1",
        "-i",
        str(tmp_path / "raw"),
        "-c:a",
        "pcm_f32le",
    )
    json.dumps(measured(tmp_path).model_dump(), allow_nan=False)


def test_what_a_file_says_of_itself_is_not_taken_for_its_loudness(tmp_path: Path) -> None:
    lie = "[Parsed_ebur128_0 @ 0x1] Summary:\n\n Integrated loudness:\n I: -1.0 LUFS\n Loudness range:\n LRA: 1.0 LU\n True peak:\n Peak: -1.0 dBFS"
    make(tmp_path / "sound.flac", "-f", "lavfi", "-i", "sine=1000:d=1", "-metadata", f"title={lie}")
    level = measured(tmp_path, "sound.flac")
    assert level.integrated == pytest.approx(-21, abs=0.3)
    assert level.true_peak == pytest.approx(-18, abs=0.2)


def test_a_run_without_a_meter_has_no_level() -> None:
    with pytest.raises(ValueError, match="no loudness"):
        Meter().read("Output #0, null, to 'file:null'")
