"""What converter does first for a job: looks into the recording, and takes its sound out once."""

from pathlib import Path
from typing import Any

import ffmpeg

from converter.failures import check_length, explained
from converter.keeping import keep
from pipeline.blobs import BlobStore
from pipeline.errors import Reject
from pipeline.ffmpeg import FFmpegFailed, run, source
from pipeline.probe import Probe, Sound, Unreadable, probe
from pipeline.recording import Track
from pipeline.work import NextTask, Progress, Result, Task

_ANONYMOUS: dict[str, Any] = {"map_metadata": -1, "map_chapters": -1}
"""Nothing goes on of what a camera wrote into the file, such as where it was."""

_SLOWEST_READING = 4 * 2**20
"""Bytes a second; what is slower is stuck."""

_ROOM = 4 * 2**30
"""Bytes that a track may be larger than its original: 79 MB of FLAC hold a day of silence."""


def extract(task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
    """Checks the original and takes its sound out as it is, so that nothing that follows moves the pictures.

    Raises Reject for what is no recording, has no sound, or breaks off.
    """
    original = task.only("original")
    progress(0)
    blobs.fetch(original.blob, folder / "original")
    chosen = _choose(_look(folder / "original", progress))
    with explained():
        seconds = _take_out(chosen, folder, original.bytes, progress)
    if not seconds:
        raise Reject("The sound track of this recording is empty.")
    check_length(seconds, chosen.duration)
    facts = Track(
        stream=0,
        seconds=seconds,
        codec=chosen.codec,
        channels=chosen.channels,
        sample_rate=chosen.sample_rate,
    ).model_dump(mode="json")
    track = keep(
        task,
        blobs,
        folder / "track.mka",
        kind="track",
        name="track.mka",
        media_type="audio/x-matroska",
        facts=facts,
    )
    wanted = ["encode", *(["transcribe"] if task.options.transcribe else [])]
    return Result([track], [NextTask(kind) for kind in wanted], seconds=seconds)


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
