import io
import json
import subprocess
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from converter.draw import draw
from converter.waveform import HEIGHT, WIDTH, Waveform
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Interrupted
from pipeline.ffmpeg import binary
from pipeline.options import Options
from pipeline.work import Artifact, Progress, Result, Task

TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg", "m4a": "audio/mp4"}


def quiet(percent: float, speed: float | None = None) -> None:
    pass


class Desk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = DirectoryBlobs(root / "blobs")
        self.folder = root / "attempt"
        self.folder.mkdir()

    def audio(self, name: str, *arguments: str, rate: int = 44100, seconds: float = 1.0) -> Artifact:
        """Made by ffmpeg, or rubbish where there are no arguments."""
        path = self.root / name
        path.write_bytes(b"rubbish")
        if arguments:
            subprocess.run([binary(), "-y", "-loglevel", "error", *arguments, path], check=True)
        facts = {"seconds": seconds, "codec": "any", "bit_rate": 1, "channels": 1, "sample_rate": rate}
        return Artifact(name, "audio", TYPES[path.suffix[1:]], *store(self.blobs, name, path), name, facts=facts)

    def draw(self, *artifacts: Artifact, progress: Progress = quiet) -> Result:
        task = Task("t", "j", "draw", 0, 1, "My talk.mp4", {}, Options(), "running", None, artifacts)
        return draw(task, self.blobs, self.folder, progress)

    def outline(self, *artifacts: Artifact) -> dict[str, Any]:
        return self.read(self.draw(*artifacts))

    def read(self, result: Result) -> dict[str, Any]:
        with self.blobs.open(result.artifacts[1].blob) as file:
            found: dict[str, Any] = json.load(file)
        return found

    def picture(self, result: Result) -> NDArray[Any]:
        path = self.root / "picture.png"
        self.blobs.fetch(result.artifacts[0].blob, path)
        with av.open(str(path)) as file:
            return next(file.decode(video=0)).to_ndarray(format="rgba")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def lavfi(graph: str) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", graph)


def pairs(outline: dict[str, Any]) -> NDArray[np.int64]:
    return np.array(outline["data"]).reshape(-1, 2)


def samples(path: Path) -> NDArray[Any]:
    """Mono, as PyAV decodes and this file mixes, full scale 32768."""
    with av.open(str(path)) as file:
        decoded = [frame.to_ndarray() for frame in file.decode(audio=0)]
        planar = file.streams.audio[0].codec_context.format.is_planar
        channels = file.streams.audio[0].codec_context.channels
    joined = np.concatenate(decoded, axis=1)
    split = joined if planar else joined.reshape(-1, channels).T
    mono: NDArray[Any] = split.mean(axis=0) * (32768 if split.dtype.kind == "f" else 1)
    return mono


def test_the_numbers_are_those_of_audiowaveform(desk: Desk) -> None:
    made = desk.audio("tone.wav", *lavfi("sine=1000:sample_rate=44100:duration=1"))
    result = desk.draw(made)
    outline = desk.read(result)
    assert {name: value for name, value in outline.items() if name != "data"} == {
        "version": 2,
        "channels": 1,
        "sample_rate": 44100,
        "samples_per_pixel": 441,
        "bits": 8,
        "length": 100,
    }
    assert len(outline["data"]) == 200
    assert [(artifact.name, artifact.type, artifact.kind) for artifact in result.artifacts] == [
        ("My talk.waveform.png", "image/png", "waveform"),
        ("My talk.waveform.json", "application/json", "waveform"),
    ]


def test_a_sine_reaches_from_trough_to_crest_everywhere(desk: Desk) -> None:
    found = pairs(desk.outline(desk.audio("tone.wav", *lavfi("aevalsrc=0.5*sin(2*PI*1000*t):s=44100:d=1"))))
    assert set(found[:, 0]) <= {-63, -64}
    assert set(found[:, 1]) <= {63, 64}


def test_a_ramp_of_loudness_grows_evenly(desk: Desk) -> None:
    found = pairs(desk.outline(desk.audio("ramp.wav", *lavfi("aevalsrc=t*sin(2*PI*1000*t):s=44100:d=1"))))
    expected = 1.28 * np.arange(1, 101)
    assert np.abs(found[:, 1] - expected).max() <= 2
    assert np.abs(found[:, 0] + expected).max() <= 2


@pytest.mark.parametrize(
    ("name", "codec"), [("noise.wav", "pcm_s16le"), ("noise.flac", "flac"), ("noise.mp3", "libmp3lame")]
)
def test_peaks_are_those_of_the_decoded_samples(desk: Desk, name: str, codec: str) -> None:
    noise = "anoisesrc=color=pink:seed=7:sample_rate=44100:duration=1.003,aformat=s16:channel_layouts=stereo"
    made = desk.audio(name, *lavfi(noise), "-c:a", codec)
    heard = samples(desk.root / name)
    found = pairs(desk.outline(made))
    assert len(found) == -(-len(heard) // 441)
    blocks = [heard[at : at + 441] for at in range(0, len(heard), 441)]
    expected = np.array([[block.min(), block.max()] for block in blocks]) / 256
    assert np.abs(found - np.trunc(expected)).max() <= 1
    assert np.mean(found == np.trunc(expected)) > 0.98


def test_two_channels_are_mixed_to_their_mean(desk: Desk) -> None:
    found = pairs(desk.outline(desk.audio("left.wav", *lavfi("aevalsrc=0.8*sin(2*PI*1000*t)|0:s=44100:d=1"))))
    assert found[:, 1].max() in (50, 51)


@pytest.mark.parametrize("name", TYPES)
def test_silence_is_a_line(desk: Desk, name: str) -> None:
    silence = desk.audio(f"silence.{name}", *lavfi("anullsrc=d=1:r=48000"), rate=48000)
    result = desk.draw(silence)
    assert set(desk.read(result)["data"]) <= {-1, 0, 1}
    assert result.facts[silence.blob]["loudness"]["integrated"] is None
    rows = np.nonzero(desk.picture(result)[:, :, 3].any(axis=1))[0]
    assert list(rows) == [HEIGHT // 2 - 1, HEIGHT // 2]


@pytest.mark.parametrize("name", TYPES)
def test_the_shortest_sound_has_a_waveform(desk: Desk, name: str) -> None:
    result = desk.draw(desk.audio(f"short.{name}", *lavfi("sine=1000:r=48000:d=0.05"), rate=48000, seconds=0.05))
    assert desk.read(result)["length"] in range(5, 9)
    assert desk.picture(result).shape == (HEIGHT, WIDTH, 4)


def test_8_khz_mono_keeps_its_rate(desk: Desk) -> None:
    outline = desk.outline(desk.audio("phone.mp3", *lavfi("sine=440:r=8000:d=1"), "-ac", "1", rate=8000))
    assert (outline["sample_rate"], outline["samples_per_pixel"]) == (8000, 80)
    assert outline["length"] in (100, 101)


def test_a_picture_shows_on_dark_and_on_light(desk: Desk) -> None:
    picture = desk.picture(desk.draw(desk.audio("ramp.wav", *lavfi("aevalsrc=t*sin(2*PI*1000*t):s=44100:d=1"))))
    heights = (picture[:, :, 3] == 255).sum(axis=0)
    assert set(picture[:, :, 3].ravel()) == {0, 255}
    assert heights[0] < 10
    assert heights[WIDTH // 2] == pytest.approx(HEIGHT / 2, abs=4)
    assert heights[-1] >= HEIGHT - 3
    red, green, blue, _ = picture[HEIGHT // 2, WIDTH // 2] / 255
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert 1.05 / (luminance + 0.05) > 3
    assert (luminance + 0.05) / 0.05 > 3


def test_the_mp3_is_drawn_and_its_loudness_is_its_own(desk: Desk) -> None:
    loud = desk.audio("loud.mp3", *lavfi("aevalsrc=0.5*sin(2*PI*1000*t):s=44100:d=2"), "-b:a", "256k", seconds=2)
    rubbish = desk.audio("rubbish.flac")
    ((blob, facts),) = desk.draw(rubbish, loud).facts.items()
    level = facts["loudness"]
    assert blob == loud.blob
    assert level["integrated"] == pytest.approx(-9, abs=0.2)
    assert level["true_peak"] == pytest.approx(-6, abs=0.2)


def test_a_file_that_cannot_be_drawn_has_none_and_nobody_waits(desk: Desk) -> None:
    before = {*threading.enumerate()}
    result = desk.draw(desk.audio("rubbish.flac"))
    assert (result.artifacts, result.facts) == ((), {})
    assert {*threading.enumerate()} <= before  # those of earlier tests may end meanwhile


def test_an_attempt_that_is_stopped_leaves_no_thread(desk: Desk) -> None:
    def stop(percent: float, speed: float | None = None) -> None:
        if (desk.folder / "samples").exists():
            raise Interrupted

    before = {*threading.enumerate()}
    with pytest.raises(Interrupted):
        desk.draw(desk.audio("long.flac", *lavfi("anullsrc"), "-t", "600", seconds=600), progress=stop)
    assert {*threading.enumerate()} <= before  # those of earlier tests may end meanwhile


def test_samples_never_lie_on_the_disk(desk: Desk) -> None:
    desk.draw(desk.audio("tone.wav", *lavfi("sine=d=1")))
    assert (desk.folder / "samples").is_fifo()


class Zeros(io.RawIOBase):
    """As many samples as one likes."""

    def __init__(self, samples: int) -> None:
        self.left = 2 * samples

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self.left)
        buffer[:size] = bytes(size)
        self.left -= size
        return size


def test_a_day_is_read_in_little_memory_and_stays_a_small_file() -> None:
    tracemalloc.start()
    waveform = Waveform.read(io.BufferedReader(Zeros(86400 * 1000)), 1000, 86400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6
    assert 90_000 < len(waveform.least) <= 100_000
    assert len(waveform.json()) < 1e6


def test_a_day_at_48_khz_has_wider_pixels() -> None:
    waveform = Waveform.read(io.BytesIO(np.arange(-100, 50000, dtype=np.int16).tobytes()), 48000, 86400)
    assert waveform.samples_per_pixel == 41473
    assert len(waveform.least) == 2


def test_the_last_pixel_is_of_what_there_is() -> None:
    waveform = Waveform.read(io.BytesIO(np.full(100, 5 * 256, np.int16).tobytes()), 8000, 0.0125)
    assert (waveform.least.tolist(), waveform.greatest.tolist()) == ([5, 5], [5, 5])
