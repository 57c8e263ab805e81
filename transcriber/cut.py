"""What a transcriber does first for a job: finds out what there is to hear, and cuts it into parts that its model takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import ffmpeg

from pipeline import flow
from pipeline.blobs import BlobStore, store
from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import FFmpegFailed, run, source
from pipeline.ledger import Ledger
from pipeline.options import Wording
from pipeline.recording import Track
from pipeline.room import check_room
from pipeline.speech_models import Model
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from transcriber.levels import decode, levels, most_bytes, sound
from transcriber.parts import Channel, Part
from transcriber.plan import parts
from transcriber.samples import put_together

_DECODED: Final = 60
"""Percent done when all parts are known."""


@dataclass(frozen=True)
class _Coding:
    ending: str
    media_type: str
    arguments: dict[str, Any]


_CODINGS: Final = {
    "opus": _Coding(
        "ogg",
        "audio/ogg",
        {"acodec": "libopus", "audio_bitrate": "48k", "vbr": "constrained", "application": "voip"},
    ),
    "flac": _Coding("flac", "audio/flac", {"acodec": "flac"}),
}


def cut(
    task: Task,
    blobs: BlobStore,
    folder: Path,
    progress: Progress,
    *,
    pick: Callable[[Wording], Model],
    ledger: Ledger,
) -> Result:
    """Stores what each part's request holds, and asks for the parts; where nothing can be heard, nothing is sent.

    Raises Retry, and Reject where the track cannot be decoded or its owner may not have so much transcribed today.
    """
    progress(0)
    model = pick(task.options)
    coding = _CODINGS[model.audio]
    channels = _decoded(task, blobs, folder, progress)
    planned = _planned(task.part, folder, channels, model.part_seconds)
    if not planned:
        return Result(next=[NextTask("merge", task.part, {"parts": 0, "model": model.name})])
    ledger.book(task, sum(part.seconds for part in planned))
    kept = []
    for part in planned:
        _encode(part, coding, folder, model.bytes, partial(_tell, progress, part.part, len(planned)))
        kept.append(_keep(task, blobs, folder, part, coding))
    return Result(kept, [_next(part) for part in planned])


def _tell(progress: Progress, done: int, parts: int, percent: float, _speed: float | None = None) -> None:
    progress(_DECODED + (99 - _DECODED) * (done + percent / 100) / parts)


def _next(part: Part) -> NextTask:
    return NextTask("transcribe", part.run * flow.RUNS["transcribe"] + part.part, part.model_dump(mode="json"))


def _decoded(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Sequence[Channel | None]:
    """Decodes the track once, and returns the channels that are heard one by one, or None for all together."""
    kept, track = task.only("track"), Track.of(task)
    apart = task.options.by_channel and track.channels == 2
    channels: Sequence[Channel | None] = ("left", "right") if apart else (None,)
    check_room(folder, kept.bytes + len(channels) * most_bytes(track.seconds))
    blobs.fetch(kept.blob, folder / "track")
    with _explained():
        decode(track, folder, channels, lambda percent, speed=None: progress(percent * _DECODED / 100, speed))
    (folder / "track").unlink()
    return channels


def _planned(run: int, folder: Path, channels: Sequence[Channel | None], most: float) -> list[Part]:
    """Raises Reject."""
    planned: list[Part] = []
    for channel in channels:
        planned += parts(levels(folder, channel), most, channel, first=len(planned))
    if len(planned) > flow.RUNS["transcribe"]:
        raise Reject("This recording is too long for the speech model that is asked for.")
    return [part.model_copy(update={"run": run, "parts": len(planned)}) for part in planned]


def _encode(part: Part, coding: _Coding, folder: Path, most: int, progress: Progress) -> None:
    """Writes `folder`/part: the part's audio, of `most` bytes. Raises Reject and Retry."""
    check_room(folder, 2 * most_bytes(part.seconds))
    put_together(folder / sound(part.channel), part.spans, folder / "part.wav")
    coded = ffmpeg.output(source("part.wav"), "file:part", format=coding.ending, map_metadata=-1, **coding.arguments)
    with _explained():
        run(
            coded,
            folder=folder,
            duration=part.seconds,
            deadline=60 + part.seconds,
            progress=progress,
            output_limit=most,
        )


def _keep(task: Task, blobs: BlobStore, folder: Path, part: Part, coding: _Coding) -> Artifact:
    name = f"speech-{part.run}-{part.part:04}.{coding.ending}"
    blob = task.blob_id(name)
    size, digest = store(blobs, blob, folder / "part")
    return Artifact(name, "speech", coding.media_type, size, digest, blob, facts=part.model_dump(mode="json"))


@contextmanager
def _explained() -> Iterator[None]:
    """Turns failures of ffmpeg into Reject and Retry."""
    try:
        yield
    except FFmpegFailed as failed:
        if failed.kind == "machine":
            raise Retry("The machine ran out of memory or space.") from failed
        raise Reject("The sound of this recording cannot be decoded.") from failed
