"""Stretches of a part's audio in a file of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.errors import Retry
from pipeline.ffmpeg import FFmpegFailed, run, sound
from pipeline.work import Progress
from transcriber.parts import Span
from transcriber.samples import BARE, RATE, put_together


def excerpt(audio: Path, spans: Sequence[Span], seconds: float, progress: Progress) -> Path:
    """Writes `spans` of `audio`, which lasts `seconds`, one after the other beside it: to the sample, and coded as it is.

    What `progress` raises goes on. Raises Retry.
    """
    made = audio.with_stem("excerpt")
    opus = {} if audio.suffix == ".flac" else {"acodec": "libopus", "audio_bitrate": "48k"}
    _convert(audio, "whole", seconds, progress, **BARE)
    put_together(audio.with_name("whole"), spans, audio.with_name("excerpt.wav"))
    _convert(audio.with_name("excerpt.wav"), made.name, seconds, progress, map_metadata=-1, **opus)
    return made


def _convert(audio: Path, name: str, seconds: float, progress: Progress, **coded: Any) -> None:
    output = ffmpeg.output(sound(audio.name), f"file:{name}", **coded)
    try:
        run(
            output,
            folder=audio.parent,
            duration=None,
            deadline=60 + seconds,
            progress=lambda *_: progress(0),
            output_limit=2**20 + int(2 * RATE * seconds),
        )
    except FFmpegFailed as failed:
        raise Retry("A part of the recording could not be cut out.") from failed
