"""Runs of `cut` and `merge` by hand, on real blobs."""

import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from pipeline.accounts import Limits
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.ledger import Ledger
from pipeline.options import Options
from pipeline.recording import Track
from pipeline.speech_models import Model
from pipeline.transcript import About, Segment, write_layer
from pipeline.work import Artifact, Progress, Result, Task
from transcriber.cut import cut
from transcriber.merge import merge
from transcriber.parts import Part
from transcriber.tests.catalogs import a_catalog, claimed

MEDIA = Path(__file__).parents[2] / "tests" / "media"
RATE = 16_000
Samples = NDArray[np.int16]


class Takes(Model):
    """A model whose parts may hold so many seconds."""

    @property
    def part_seconds(self) -> float:
        return self.seconds


LOCAL = Takes(name="tiny.en", seconds=60, local=True)
DISTANT = Takes(name="whisper-1", seconds=60)


def noise(seconds: float, level: float, seed: int = 7) -> Samples:
    """At `level` dBFS."""
    made = np.random.default_rng(seed).normal(0, 32768 * 10 ** (level / 20), round(seconds * RATE))
    return np.clip(made, -32767, 32767).astype(np.int16)


def nothing(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def write_wav(path: Path, *channels: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((len(channels), 2, RATE, 0, "NONE", ""))
        file.writeframes(np.stack(channels, axis=1).tobytes())
    return path


def decoded(path: Path) -> Samples:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le"]
    made = subprocess.run([*command, "-"], check=True, stdout=subprocess.PIPE, timeout=120).stdout
    return np.frombuffer(made, np.int16)


@dataclass(frozen=True)
class Place:
    folder: Path

    @property
    def blobs(self) -> DirectoryBlobs:
        return DirectoryBlobs(self.folder / "blobs")

    @cached_property
    def catalog(self) -> Engine:
        return a_catalog(self.folder)

    def attempt(self) -> Path:
        """A fresh empty folder."""
        path = self.folder / f"attempt{len(list(self.folder.iterdir()))}"
        path.mkdir()
        return path

    def task(
        self, path: Path, *, codec: str = "pcm_s16le", channels: int = 1, seconds: float | None = None, **options: Any
    ) -> Task:
        """For the recording at `path`, which lasts `seconds`."""
        size, digest = store(self.blobs, "original", path)
        seconds = seconds or len(decoded(path)) / RATE
        facts = Track(stream=0, seconds=seconds, codec=codec, channels=channels, sample_rate=RATE).model_dump(
            mode="json"
        )
        track = Artifact("track", "track", "audio/wav", size, digest, "original", facts=facts)
        wording = Options.model_validate(options)
        return replace(claimed(self.catalog), kind="cut", title="talk.wav", options=wording, artifacts=[track])

    def cut(
        self, task: Task, model: Model = LOCAL, limits: Limits | None = None, progress: Progress = lambda *_: None
    ) -> Result:
        ledger = Ledger(self.catalog, limits or Limits())
        return cut(task, self.blobs, self.attempt(), progress, pick=lambda _name: model, ledger=ledger)

    def audio(self, artifact: Artifact) -> Path:
        path = self.attempt() / artifact.name
        self.blobs.fetch(artifact.blob, path)
        return path

    def heard(
        self, part: Part, segments: Sequence[Segment], *, run: int = 0, attempt: int = 1, **about: Any
    ) -> Artifact:
        """As `transcribe` keeps it."""
        part = part.model_copy(update={"run": run})
        name = f"heard-{run}-{part.part:04}.jsonl"
        path = self.attempt() / name
        write_layer(
            path, About(**{"duration": part.spans[-1].end, "language": "en", "model": "tiny.en", **about}), segments
        )
        size, digest = store(self.blobs, f"{attempt}-{name}", path)
        return Artifact(
            name, "heard", "application/jsonl", size, digest, f"{attempt}-{name}", facts=part.model_dump(mode="json")
        )

    def merge(self, task: Task, heard: Sequence[Artifact], progress: Progress = lambda *_: None) -> Result:
        """As if `heard` was all, unless the task's args tell how many parts there are."""
        parts = sum(each.kind == "heard" and Part.of(each).run == task.part for each in heard)
        args = {"parts": parts, **task.args}
        merging = replace(task, kind="merge", args=args, artifacts=[*task.artifacts, *heard])
        return merge(merging, self.blobs, self.attempt(), progress)
