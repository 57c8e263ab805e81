"""What converter does before it encodes to a loudness: listens to the whole once, and so knows the gain for every part."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import ffmpeg

from converter import filters
from converter.failures import explained
from converter.filters import Measured
from converter.loudness import Meter
from converter.plan import Planner
from pipeline.audio import Profile
from pipeline.blobs import BlobStore
from pipeline.decoding import Decoder
from pipeline.recording import Level, Track
from pipeline.room import check_room
from pipeline.work import Progress, Result, Task

_MOST_GAIN: Final = 30.0
"""dB: what is quieter than that is noise."""

_MOST_DRIVE: Final = 6.0
"""dB beyond what the loudness alone asks for, to make up for what holding the peaks takes away."""

_CLOSE: Final = 0.5
"""LU from the target at which one more correction is the last."""

_SHARES: Final = (0, 90, 95, 98, 100)
"""Percent that were done before each pass, and after the last: mostly one is enough, and nobody knows before."""

_MOST_PASSES: Final = len(_SHARES) - 1


def measure(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, planner: Planner) -> Result:
    """Finds out the gain that brings the sound to its loudness, and how long the result becomes. Raises Reject."""
    track, artifact = Track.of(task), task.only("track")
    progress(0)
    check_room(folder, artifact.bytes)
    blobs.fetch(artifact.blob, folder / "track")
    with explained():
        profile = task.options.profile(planner.bitrate_kbit)
        found = _Listener(profile, track, folder, progress, task.options.partial).found()
    return Result(next=planner.encodings(task.options, track, found.model_dump(mode="json")))


@dataclass
class _Listener:
    profile: Profile
    track: Track
    folder: Path
    progress: Progress
    partial: bool
    passes: int = 0

    def found(self) -> Measured:
        level, seconds = self._listen()
        found = Measured(level=level, seconds=seconds)
        if self.profile.loudness == "off" or level.integrated is None:
            return found  # silence stays silence
        gain = round(_within(_MOST_GAIN, self.profile.loudness - level.integrated), 2)
        found = found.model_copy(update={"gain": gain})
        if level.true_peak is None or level.true_peak + gain <= filters.ceiling(self.profile):
            return found
        return self._driven(found.model_copy(update={"limited": True}), self.profile.loudness)

    def _driven(self, found: Measured, target: float) -> Measured:
        """Listens again: peaks that are held make the sound softer than its gain would have it."""
        most = round(min(_MOST_GAIN, found.gain + _MOST_DRIVE), 2)
        missing = inf
        while abs(missing) > _CLOSE and found.gain < most and self.passes < _MOST_PASSES:
            level, _ = self._listen(found)
            missing = target - (level.integrated or target)
            found = found.model_copy(update={"gain": min(most, round(found.gain + missing, 2))})
        return found

    def _listen(self, measured: Measured | None = None) -> tuple[Level, float]:
        """How loud the result is, and how many seconds it lasts."""
        meter = Meter()
        expected = filters.length(self.profile, self.track, measured)

        def metered(stream: Any) -> Any:
            shaped = filters.shaped(stream, self.profile, self.track, measured)
            return ffmpeg.output(meter.on(shaped), "-", format="null")

        seconds = Decoder.of(self.track, self.folder).run(
            metered,
            duration=expected or self.profile.seconds(self.track.seconds),
            deadline=60 + 2 * self.track.seconds,
            progress=self._share_of_progress(),
            output_limit=0,
            log=meter.read,
            **filters.sought(self.profile, self.track),
        )
        filters.check(seconds, expected, partial=self.partial)
        self.passes += 1
        return meter.level, seconds

    def _share_of_progress(self) -> Progress:
        before, after = _SHARES[self.passes : self.passes + 2]

        def told(percent: float, speed: float | None = None, /) -> None:
            self.progress(before + percent * (after - before) / 100, speed)

        return told


def _within(most: float, gain: float) -> float:
    return max(-most, min(most, gain))
