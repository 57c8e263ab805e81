"""Decodes the sound of a recording, also of one whose channels or sample rate change midway.

At such a change ffmpeg would begin its filters anew: they would fill with silence from second 0, trim and fade once more.
So that it does not come to this, `pipeline.ffmpeg.sound` fails at a change. The sound is then written once as FLAC with the
channels and the sample rate of its beginning, and read from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import ffmpeg

from pipeline.ffmpeg import FFmpegFailed, run, sound, source
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.work import Progress

_STEADY = "steady.mka"
_LONGEST = 360_000
"""Seconds of a recording, where nobody knows how long it is."""


@dataclass(frozen=True)
class Decoder:
    """Reads the sound of file `name` in `folder`; what else there is to say of it is as in `Track`."""

    folder: Path
    name: str
    sample_rate: int
    channels: int
    stream: int | None = None
    begins: float = 0.0
    seconds: float | None = None

    @classmethod
    def of(cls, track: Track, folder: Path) -> Self:
        """For `folder`/track."""
        return cls(folder, "track", track.sample_rate, track.channels, track.stream, track.begins, track.seconds)

    @property
    def steady_bytes(self) -> int:
        """More than the sound takes as FLAC, which has 24 bits a sample at most, and its frames and its container heads."""
        samples = self.sample_rate * min(self.channels, 2) * (self.seconds or _LONGEST)
        return 2**16 + int(1.1 * 3 * samples)

    def run(
        self,
        output: Callable[[Any], Any],
        *,
        duration: float | None,
        deadline: float,
        progress: Progress,
        output_limit: int,
        room: int = 0,
        log: Callable[[str], None] | None = None,
        **options: Any,
    ) -> float:
        """Does what `pipeline.ffmpeg.run` does, for the output that `output` makes of the sound; `options` are those of `sound`.

        `duration`: seconds, at most, where they are not known; progress is judged by it.
        A sound that changes takes up to three times `deadline`, and `steady_bytes` beside the `room` that the output takes.
        Raises FFmpegFailed, and Retry where the disk is short of that.
        """
        told = _rising(progress)

        def decoded(stream: Any) -> float:
            return run(
                output(stream),
                folder=self.folder,
                duration=duration,
                deadline=deadline,
                progress=told,
                output_limit=output_limit,
                log=log,
            )

        if not (self.folder / _STEADY).exists():
            try:
                return decoded(sound(self.name, self.stream, self.begins, **options))
            except FFmpegFailed as failed:
                if failed.kind != "changes":
                    raise
            if self.seconds is not None:
                check_room(self.folder, self.steady_bytes + room)
            self._steady(deadline, told)
        return decoded(sound(_STEADY, **options))

    def _steady(self, deadline: float, progress: Progress) -> None:
        """Keeps every time, so that a late start and gaps can still be filled: here each change would fill from second 0."""
        layout = "mono" if self.channels == 1 else "stereo"
        stream = source(self.name, shift=-self.begins, seek_timestamp=1)
        mixed = stream["a:0" if self.stream is None else str(self.stream)].filter(
            "aresample", self.sample_rate, **{"async": 1, "out_chlayout": layout, "rematrix_maxval": 1}
        )
        run(
            ffmpeg.output(
                mixed.filter("aformat", channel_layouts=layout),
                f"file:{_STEADY}",
                acodec="flac",
                map_metadata=-1,
                map_chapters=-1,
            ),
            folder=self.folder,
            duration=None,
            deadline=deadline,
            progress=progress,
            output_limit=self.steady_bytes,
        )


def _rising(progress: Progress) -> Progress:
    """Work that begins anew does not tell less than was told."""
    most = 0.0

    def told(percent: float, speed: float | None = None, /) -> None:
        nonlocal most
        most = max(most, percent)
        progress(most, speed)

    return told
