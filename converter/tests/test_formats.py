"""A file of each kind that is taken goes through, and nothing opens a file that no kind needs."""

from pathlib import Path

import av
import numpy as np
import pytest
from sqlalchemy import create_engine

from converter.worker import handlers
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.formats import INPUTS, Input
from pipeline.options import Options
from pipeline.settings import Settings
from tests import formats
from tests.by_hand import Job, original


def tone(path: Path) -> tuple[float, float]:
    """Seconds of a sound file, and the Hz that are loudest in it."""
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    seconds = len(samples) / frames[0].sample_rate
    return seconds, float(np.argmax(np.abs(np.fft.rfft(samples)))) / seconds


@pytest.mark.parametrize("row", INPUTS, ids=[row.extension for row in INPUTS])
def test_a_recording_of_each_kind_becomes_a_sound_file_as_long_as_it_is(tmp_path: Path, row: Input) -> None:
    recording = formats.make(tmp_path, row.extension)
    blobs = DirectoryBlobs(tmp_path / "blobs")
    wanted = Options(audio=("flac",), channels=1, transcribe=False, waveform=False)
    job = Job(handlers(Settings(), create_engine("sqlite://")), blobs, tmp_path, wanted, [original(blobs, recording)])
    job.work()
    (audio,) = job.of("audio")
    blobs.fetch(audio.blob, tmp_path / "made.flac")
    seconds, hertz = tone(tmp_path / "made.flac")
    assert seconds == pytest.approx(formats.SECONDS, abs=0.08)
    assert hertz == pytest.approx(formats.HERTZ, abs=2)
    with av.open(recording) as container:
        assert container.format.name.split(",")[0] == row.demuxer


def test_a_file_of_each_kind_can_be_made() -> None:
    assert {row.extension for row in INPUTS} == formats.MADE
