"""Stretches of real audio, cut out and looked at."""

import subprocess
from pathlib import Path

import av
import pytest

from pipeline.errors import Interrupted, Retry
from pipeline.ffmpeg import binary
from transcriber.excerpt import excerpt
from transcriber.parts import Span
from transcriber.tests.sounds import make_sound

BEEP = "aevalsrc=if(between(t\\,5\\,6)+between(t\\,12\\,12.5)\\,0.5*sin(2*PI*500*t)\\,0):s=16000:d=20"


def loud(path: Path) -> list[tuple[float, float]]:
    """When a file is loud, to the tenth of a second."""
    command = [binary(), "-loglevel", "error", "-i", str(path), "-f", "s16le", "-ar", "16000", "-ac", "1", "-"]
    samples = memoryview(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout).cast("h")
    tenths = [max(samples[at : at + 1600]) > 3000 for at in range(0, len(samples), 1600)]
    edges = [n for n in range(len(tenths) + 1) if (n and tenths[n - 1]) != (n < len(tenths) and tenths[n])]
    return [(first / 10, last / 10) for first, last in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("ending", ["flac", "ogg"])
def test_stretches_stand_one_after_the_other_and_are_as_long_as_they_were(tmp_path: Path, ending: str) -> None:
    audio = make_sound(tmp_path / f"speech.{ending}", BEEP)
    spans = [Span(start=4.5, end=7), Span(start=11, end=13.25)]
    made = excerpt(audio, spans, 20, lambda *_: None)
    with av.open(str(made)) as opened:
        assert opened.streams.audio[0].codec.name.startswith("flac" if ending == "flac" else ("opus", "libopus"))
        assert (opened.duration or 0) / av.time_base == pytest.approx(4.75, abs=0.03)
    edges = [edge for stretch in loud(made) for edge in stretch]
    assert edges == pytest.approx([0.5, 1.5, 3.5, 4.0], abs=0.11)


def test_many_stretches_do_not_drift(tmp_path: Path) -> None:
    audio = make_sound(tmp_path / "speech.flac", "anoisesrc=d=600:r=16000:seed=1")
    spans = [Span(start=at + 0.13, end=at + 0.86) for at in range(600)]
    with av.open(str(excerpt(audio, spans, 600, lambda *_: None))) as opened:
        assert (opened.duration or 0) / av.time_base == pytest.approx(600 * 0.73, abs=0.01)


def test_what_ends_an_attempt_ends_the_cutting(tmp_path: Path) -> None:
    def progress(percent: float, speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        excerpt(make_sound(tmp_path / "a.flac", BEEP), [Span(start=0, end=1)], 20, progress)


def test_audio_that_cannot_be_cut_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"no sound")
    with pytest.raises(Retry):
        excerpt(tmp_path / "a.flac", [Span(start=0, end=1)], 20, lambda *_: None)
