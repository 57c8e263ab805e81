"""What converter does for a job: `extract`, then `encode`."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.blobs import BlobStore, store
from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import FFmpegFailed, Kind, run, sound, source
from pipeline.names import stem
from pipeline.probe import Probe, Sound, Unreadable, probe
from pipeline.work import Artifact, ArtifactKind, NextTask, Progress, Result, Task

_ANONYMOUS: dict[str, Any] = {"map_metadata": -1, "map_chapters": -1}
"""Nothing goes on of what a camera wrote into the file, such as where it was."""

_SLOWEST_READING = 4 * 2**20
"""Bytes a second; what is slower is stuck."""

_ROOM = 4 * 2**30
"""Bytes that a track may be larger than its original: 79 MB of FLAC hold a day of silence."""

_REASONS: dict[Kind, str] = {
    "error": "The sound of this recording cannot be decoded; the file seems to be damaged or copy-protected.",
    "deadline": "The recording took too long to convert.",
    "output limit": "The sound of this recording is larger than can be converted.",
}


def extract(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
    """Checks the original and takes its sound out as it is, so that nothing that follows moves the pictures.

    Raises Reject for what is no recording, has no sound, or breaks off.
    """
    original = task.only("original")
    progress(0)
    blobs.fetch(original.blob, folder / "original")
    chosen = _choose(_look(folder / "original", progress))
    with _explained():
        seconds = _take_out(chosen, folder, original.bytes, progress)
    if not seconds:
        raise Reject("The sound track of this recording is empty.")
    _check_length(seconds, chosen.duration)
    track = _keep(task, blobs, folder / "track.mka", "track", "track.mka", "audio/x-matroska")
    args = {"duration": seconds}
    wanted = ["encode", *(["transcribe"] if task.options.transcribe else [])]
    return Result([track], [NextTask(kind, args=args) for kind in wanted], seconds=seconds)


def encode(task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, bitrate_kbit: int) -> Result:
    """Makes the MP3 of the track that `extract` took out. `task.args["duration"]`: its seconds. Raises Reject."""
    expected = float(task.args["duration"])
    progress(0)
    blobs.fetch(task.only("track").blob, folder / "track.mka")
    name = stem(task.title)
    mp3 = ffmpeg.output(
        sound("track.mka"),
        "file:audio.mp3",
        acodec="libmp3lame",
        audio_bitrate=f"{bitrate_kbit}k",
        id3v2_version=3,
        metadata=f"title={name}",
        **_ANONYMOUS,
    )
    with _explained():
        seconds = run(
            mp3,
            folder=folder,
            duration=expected,
            deadline=60 + expected,
            progress=progress,
            output_limit=2**20 + int(2 * expected * bitrate_kbit * 1000 / 8),
        )
    _check_length(seconds, expected)
    return Result([_keep(task, blobs, folder / "audio.mp3", "audio", f"{name}.mp3", "audio/mpeg")])


def _look(path: Path, progress: Progress) -> Probe:
    try:
        return probe(path, deadline=60, progress=progress)
    except Unreadable as unreadable:
        raise Reject(
            "This file cannot be read as a recording; it is of another kind, damaged or cut short."
        ) from unreadable


def _choose(found: Probe) -> Sound:
    if not found.sound:
        raise Reject("This recording has no sound.")
    if found.encrypted:
        raise Reject("This recording is copy-protected (encrypted), so its sound cannot be read.")
    return max(found.sound, key=lambda stream: stream.default)


def _take_out(chosen: Sound, folder: Path, size: int, progress: Progress) -> float:
    """Copies the sound to track.mka; encodes it without loss where Matroska has no place for its codec. Returns seconds."""
    try:
        return _extract_as("copy", chosen, folder, size, progress)
    except FFmpegFailed as failed:
        if failed.kind != "error":
            raise
        return _extract_as("flac", chosen, folder, size, progress)


def _extract_as(codec: str, chosen: Sound, folder: Path, size: int, progress: Progress) -> float:
    track = ffmpeg.output(source("original")[str(chosen.index)], "file:track.mka", acodec=codec, **_ANONYMOUS)
    return run(
        track,
        folder=folder,
        duration=chosen.duration,
        deadline=60 + size / _SLOWEST_READING,
        progress=progress,
        output_limit=size + _ROOM,
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Turns failures of ffmpeg into what the worker and the user understand."""
    try:
        yield
    except FFmpegFailed as failed:
        if failed.kind == "machine":
            raise Retry("ffmpeg was stopped by its machine") from failed
        raise Reject(_REASONS[failed.kind]) from failed


def _check_length(seconds: float, promised: float | None) -> None:
    # Codecs pad and trim up to 0.06 s at the ends, and clocks of long recordings drift.
    if promised and seconds < promised - max(0.5, promised / 1000):
        raise Reject(
            f"The recording breaks off after {int(seconds)} of {ceil(promised)} seconds; the file seems to be cut short."
        )


def _keep(task: Task, blobs: BlobStore, path: Path, kind: ArtifactKind, name: str, media_type: str) -> Artifact:
    blob = task.blob_id(kind)
    size, sha256 = store(blobs, blob, path)
    return Artifact(name=name, kind=kind, type=media_type, bytes=size, sha256=sha256, blob=blob)
