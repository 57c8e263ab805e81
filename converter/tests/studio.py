"""A track and what is made of it, by the real handlers on a blob store of files; and decoders other than ffmpeg's to hear it by."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from converter.encode import encode
from converter.extract import extract
from converter.filters import Measured
from converter.measure import measure
from converter.plan import Planner
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.ffmpeg import binary
from pipeline.options import Options
from pipeline.recording import SoundFacts, Track
from pipeline.work import Artifact, Progress, Result, Task

TALK = Path(__file__).parents[2] / "tests" / "media" / "talk.mp4"

Samples = npt.NDArray[np.float64]


def quiet(percent: float, speed: float | None = None, /) -> None:
    pass


def ffmpeg(*arguments: object) -> bytes:
    command = [binary(), "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def heard(path: Path, rate: int | None = None) -> Samples:
    """Samples by channels, as ffmpeg decodes them, from -1 to 1."""
    with av.open(str(path)) as container:
        context = container.streams.audio[0].codec_context
        rate, channels = rate or context.sample_rate, context.channels
    raw = ffmpeg("-i", path, "-map", "0:a:0", "-ar", rate, "-f", "f32le", "-")
    return np.frombuffer(raw, np.float32).astype(np.float64).reshape(-1, channels)


def frequency(sound: Samples, rate: int) -> float:
    """Hz of the loudest tone."""
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))


def track_of(path: Path, **known: Any) -> Track:
    """The facts of the one sound track of a file of our own."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        facts: dict[str, Any] = {
            "stream": stream.index,
            "begins": (container.start_time or 0) / av.time_base,
            "seconds": (container.duration or 0) / av.time_base,
            "codec": stream.codec_context.name,
            "channels": stream.codec_context.channels,
            "sample_rate": stream.codec_context.sample_rate,
            "bit_rate": stream.codec_context.bit_rate,
            "constant": True,
            "bits": stream.codec_context.format.bits,
            "container": container.format.name if len(container.streams) == 1 else None,
        }
    return Track(**{**facts, **known})


@dataclass
class Bench:
    """A blob store, and attempts by hand on it."""

    root: Path
    attempts: int = 0

    @property
    def blobs(self) -> DirectoryBlobs:
        return DirectoryBlobs(self.root / "blobs")

    def attempt(
        self,
        kind: str,
        artifacts: Sequence[Artifact],
        title: str,
        args: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Task:
        self.attempts += 1
        asked = Options.model_validate({"waveform": False, **options})
        return Task(
            "0" * 32, "1" * 32, kind, 0, self.attempts, title, args or {}, asked, "running", None, tuple(artifacts)
        )

    def folder(self) -> Path:
        folder = self.root / f"attempt-{self.attempts}"
        folder.mkdir()
        return folder

    def kept(self, artifact: Artifact) -> Path:
        path = self.root / f"{artifact.blob}-{artifact.name}"
        self.blobs.fetch(artifact.blob, path)
        assert path.stat().st_size == artifact.bytes
        assert hashlib.sha256(path.read_bytes()).hexdigest() == artifact.sha256
        return path


@dataclass
class Studio(Bench):
    """Its attempts begin with a track."""

    kbit: int = 128
    known: dict[str, Any] = field(default_factory=dict)
    """Facts of tracks that differ from what their files say."""

    @property
    def planner(self) -> Planner:
        return Planner(self.kbit, part_minutes=5, most_parts=1)

    def task(self, kind: str, path: Path, args: Mapping[str, Any], name: str | None = None, **options: Any) -> Task:
        blob = f"track-{self.attempts + 1}"
        size, sha256 = store(self.blobs, blob, path)
        facts = track_of(path, **self.known).model_dump(mode="json")
        track = Artifact("track", "track", "audio/x", size, sha256, blob, facts=facts)
        return self.attempt(kind, [track], path.name if name is None else name, args, **options)

    def measure(self, path: Path, progress: Progress = quiet, **options: Any) -> Measured:
        handler = partial(measure, planner=self.planner)
        task = self.task("measure", path, {}, **options)
        (following,) = handler(task, self.blobs, self.folder(), progress).next
        assert following.kind == "encode"
        return Measured.model_validate(following.args)

    def encode(
        self, path: Path, *, args: Mapping[str, Any] | None = None, progress: Progress = quiet, **options: Any
    ) -> Result:
        task = self.task("encode", path, args or {}, **options)
        return encode(task, self.blobs, self.folder(), progress, bitrate_kbit=self.kbit)

    def files(self, path: Path, **options: Any) -> dict[str, Path]:
        """What is made of `path`, by extension; what has to be measured before, is."""
        needs = Options.model_validate(options).profile(self.kbit).loudness != "off"
        args = self.measure(path, **options).model_dump(mode="json") if needs else {}
        return {
            artifact.name.rpartition(".")[2]: self.kept(artifact)
            for artifact in self.encode(path, args=args, **options).artifacts
        }

    def file(self, path: Path, **options: Any) -> Path:
        (made,) = self.files(path, **options).values()
        return made

    def uploaded(self, path: Path, **options: Any) -> Path:
        """The one file that is made of an upload, of which nothing is known before."""
        task = self.task("extract", path, {}, transcribe=False, **options)
        original = replace(task.only("track"), kind="original", name=path.name, facts={})
        planned = partial(extract, planner=self.planner)
        extracted = planned(replace(task, artifacts=[original]), self.blobs, self.folder(), quiet)
        assert [following.kind for following in extracted.next] == ["encode"]
        self.attempts += 1
        task = replace(task, kind="encode", attempt=self.attempts, artifacts=extracted.artifacts)
        (made,) = encode(task, self.blobs, self.folder(), quiet, bitrate_kbit=self.kbit).artifacts
        return self.kept(made)


def facts(artifact: Artifact) -> SoundFacts:
    return SoundFacts.model_validate(artifact.facts)
