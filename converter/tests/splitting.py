"""A long MP3 made in parts and joined, by the real handlers, beside the same in one piece."""

import subprocess
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from structlog.testing import capture_logs

from converter.encode import encode
from converter.join import join
from converter.parts import Part
from converter.plan import Planner
from converter.tests.studio import Studio, ffmpeg, quiet
from pipeline.recording import Track
from pipeline.work import Artifact, NextTask, Progress, Result, Task

Sound = npt.NDArray[np.float32]

SOURCES = {
    "speech": ("-stream_loop", -1, "-i", Path(__file__).parents[2] / "tests" / "media" / "talk.mp4"),
    "music": (
        "-f",
        "lavfi",
        "-i",
        # a chord whose root changes every half second, a kick on each change, and a hat on each quarter of a second
        "aevalsrc='0.2*sin(2*PI*t*(220+55*mod(floor(2*t),5)))+0.15*sin(2*PI*t*(277+69*mod(floor(2*t),5)))"
        "+0.5*exp(-30*mod(t,0.5))*sin(2*PI*60*t)+0.2*exp(-80*mod(t,0.25))*(random(0)-0.5)"
        "|0.2*sin(2*PI*t*(330+82*mod(floor(2*t),5)))+0.5*exp(-30*mod(t,0.5))*sin(2*PI*60*t)':s=48000",
    ),
    "noise": ("-f", "lavfi", "-i", "anoisesrc=c=pink:seed=7:r=48000,aformat=channel_layouts=stereo"),
}


def recording(
    folder: Path, source: str, seconds: float, rate: int = 44100, channels: int = 2, name: str = "a.wav"
) -> Path:
    """Of exactly `seconds`."""
    exactly = f"aresample={rate},atrim=end_sample={round(seconds * rate)}"
    arguments = ("-map", "0:a", "-ac", channels, "-af", exactly)
    ffmpeg(*SOURCES[source], *arguments, folder / name)
    return folder / name


@dataclass
class Splitting(Studio):
    known: dict[str, Any] = field(default_factory=lambda: {"exact": True})
    parts: int = 3

    def plan(self, path: Path, **options: Any) -> list[NextTask]:
        asked = self.task("extract", path, {}, **options)
        track = Track.of(asked)
        minutes = asked.options.profile(self.kbit).seconds(track.seconds) / (self.parts + 0.01) / 60
        measured = self.measure(path, **options).model_dump(mode="json") if "loudness" in options else {}
        return Planner(self.kbit, minutes, 99).encodings(asked.options, track, measured)

    def do(self, following: NextTask, path: Path, progress: Progress = quiet, **options: Any) -> Result:
        task = replace(self.task("encode", path, following.args, **options), part=following.part)
        return encode(task, self.blobs, self.folder(), progress, bitrate_kbit=self.kbit)

    def split(self, path: Path, **options: Any) -> Path:
        """In parts, which are joined."""
        tasks = self.plan(path, **options)
        assert len(tasks) == self.parts
        results = [self.do(following, path, **options) for following in tasks]
        with capture_logs() as logs:
            joined = self.join([*map(made, results)], path, results[-1].next[0].args, **options)
        assert not logs  # and so it was not encoded anew
        return self.kept(made(joined))

    def whole(self, path: Path, **options: Any) -> Path:
        """In one piece."""
        args = {key: value for key, value in self.plan(path, **options)[0].args.items() if key != "part"}
        return self.kept(made(self.encode(path, args=args, **options)))

    def join(self, parts: list[Artifact], path: Path, args: Any = None, **options: Any) -> Result:
        return self.joining(parts, path, args, **options)(quiet)

    def joining(self, parts: list[Artifact], path: Path, args: Any = None, **options: Any) -> partial[Result]:
        task: Task = self.task("join", path, args or {}, **options)
        task = replace(task, artifacts=[*task.artifacts, *parts])
        return partial(join, task, self.blobs, self.folder(), bitrate_kbit=self.kbit)

    def seams(self, path: Path, **options: Any) -> list[int]:
        return [Part.model_validate(following.args["part"]).first for following in self.plan(path, **options)][1:]


def made(result: Result) -> Artifact:
    (artifact,) = result.artifacts
    return artifact


def by_ffmpeg(path: Path, channels: int) -> Sound:
    return np.frombuffer(ffmpeg("-i", path, "-f", "f32le", "-"), np.float32).reshape(-1, channels)


def by_mpg123(path: Path, channels: int) -> Sound:
    decoded = subprocess.run(["mpg123", "-q", "-s", "-e", "f32", path], check=True, capture_output=True)
    assert not decoded.stderr
    return np.frombuffer(decoded.stdout, np.float32).reshape(-1, channels)
