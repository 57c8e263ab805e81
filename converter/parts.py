"""One part of a long MP3: frames that can be joined with those of the parts beside it, whoever encodes them.

A part begins so many frames early, and ends so many late, that where the parts meet all encoders have come to the same state.
"""

from functools import partial
from pathlib import Path
from typing import Any, Self

import ffmpeg
from pydantic import BaseModel, ConfigDict

from converter import filters, outputs
from converter.count import Count
from converter.failures import breaks_off, explained, lasts_on
from converter.filters import Measured, fitted, shaped
from converter.keeping import keep
from converter.mp3 import Frames, frame_samples
from pipeline.audio import Profile
from pipeline.blobs import BlobStore
from pipeline.decoding import Decoder
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.work import Artifact, NextTask, Progress, Result, Task

LEAD = 196
"""Frames before a part that its encoder hears, and which are not used; a multiple of every `padding_period`."""
TRAIL = 16
"""Frames behind it."""


class Part(BaseModel):
    """Frames of the sound, from `first` up to, without, `next`; to the end where that is None."""

    model_config = ConfigDict(frozen=True)

    first: int
    next: int | None

    @property
    def begin(self) -> int:
        """The first frame that is encoded."""
        return max(0, self.first - LEAD)

    @property
    def end(self) -> int | None:
        """The frame behind the last one that is encoded."""
        return None if self.next is None else self.next + TRAIL


class PartFacts(BaseModel):
    """The facts of an artifact of kind `part`."""

    model_config = ConfigDict(frozen=True)

    first: int
    """The first frame of the sound that should come from this part."""
    begin: int
    """The first one that is in its file."""
    samples: int | None = None
    """Of the whole sound, of each channel; where it ends, the last part knows."""

    @classmethod
    def of(cls, part: Artifact) -> Self:
        return cls.model_validate(part.facts)


def seekable(profile: Profile, track: Track) -> bool:
    """Sample n of the MP3 is sample n of the track, and found by seeking."""
    untrimmed = not profile.start and profile.end is None and not profile.fade_in and not profile.fade_out
    return filters.seekable(track) and untrimmed and outputs.sample_rate("mp3", profile, track) == track.sample_rate


def encode_part(
    task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, profile: Profile, track: Track
) -> Result:
    """Makes the part of the MP3 that the task's args name. Raises Reject, and Retry where there is no room for it."""
    part, measured = Part.model_validate(task.args["part"]), Measured.of(task)
    whole = filters.length(profile, track, measured) or 0.0
    begin, end = _span(part, whole, outputs.sample_rate("mp3", profile, track))
    kept, name = task.only("track"), f"part-{task.part:03}.mp3"
    room = outputs.likely_bytes("mp3", profile, track, end - begin)
    check_room(folder, kept.bytes + room)
    progress(0)
    blobs.fetch(kept.blob, folder / "track")
    count = Count()
    with explained():
        seconds = Decoder.of(track, folder).run(
            partial(_output, part, name, profile, track, measured),
            duration=end - begin,
            deadline=60 + track.seconds,
            progress=progress,
            output_limit=outputs.most_bytes("mp3", profile, track, end - begin),
            room=room,
            log=None if part.next else count.read,
            **_sought(part, profile, track),
            **filters.sought(profile, track),
        )
    if breaks_off(begin + seconds, end) or lasts_on(begin + seconds, end):
        filters.check(begin + seconds, whole if seconds < end - begin else end, partial=track.partial)
    frames = Frames(folder / name, part.begin)
    samples = None if part.next else part.begin * frames.form.samples + count.samples
    facts = PartFacts(first=part.first, begin=part.begin, samples=samples).model_dump()
    made = keep(task, blobs, folder / name, kind="part", name=name, media_type="audio/mpeg", facts=facts)
    following = {key: value for key, value in task.args.items() if key != "part"}
    return Result([made], [NextTask("join", args=following)])


def _span(part: Part, whole: float, rate: int) -> tuple[float, float]:
    """Where what is encoded begins and ends, in seconds of a sound that has `whole` at `rate` Hz."""
    frame = frame_samples(rate) / rate
    return part.begin * frame, whole if part.end is None else min(part.end * frame, whole)


def _output(part: Part, name: str, profile: Profile, track: Track, measured: Measured | None, decoded: Any) -> Any:
    rate = outputs.sample_rate("mp3", profile, track)
    bounds = {"start_sample": part.begin * frame_samples(rate)}
    if part.end is not None:
        bounds["end_sample"] = part.end * frame_samples(rate)
    skipped = _sought(part, profile, track).get("ss", 0)
    shape = fitted(shaped(decoded, profile, track, measured), "mp3", profile, track)
    cut = shape.filter("atrim", **{bound: sample - skipped * rate for bound, sample in bounds.items()})
    cut = cut.filter("asetpts", "PTS-STARTPTS")
    return ffmpeg.output(
        cut if part.next else Count.on(cut),
        f"file:{name}",
        write_xing=0,
        **outputs.arguments("mp3", profile, track),
    )


def _sought(part: Part, profile: Profile, track: Track) -> dict[str, int]:
    """What is skipped, in whole seconds of the track, so that no time is rounded to another sample.

    A track that cannot be cut anywhere is decoded from its beginning: that is exact whatever it holds.
    """
    rate = outputs.sample_rate("mp3", profile, track)
    return filters.seek(part.begin * frame_samples(rate) // rate) if seekable(profile, track) else {}
