"""The program that looks into a stranger's file: `pipeline.probe` runs it by its path, as a process of its own.

Arguments: the file, and libav's options as JSON. Prints one JSON object, or ends with status 1.
It imports nothing of the pipeline, so that it starts quickly.
"""

import json
import sys
from datetime import timedelta
from itertools import islice
from typing import Any

import av

_PROMISING = {"mov", "matroska", "wav", "w64", "aiff", "caf", "flac", "avi", "flv", "asf"}
"""Formats whose header says how long the recording is; of others libav guesses from bit rate or last page."""

_LOOKED_AT = 1000
"""Packets among which the first of the sound is looked for."""


def describe(container: Any) -> dict[str, Any]:
    seconds = container.duration / av.time_base if container.duration else None
    promising = not _PROMISING.isdisjoint(container.format.name.split(","))
    return {
        "format": container.format.name,
        "duration": seconds,
        "encrypted": encrypted(container),
        "sound": [
            {
                "index": stream.index,
                "codec": stream.codec_context.name,
                "channels": stream.codec_context.channels,
                "sample_rate": stream.codec_context.sample_rate,
                "duration": promised(stream, seconds) if promising else None,
                "default": bool(stream.disposition & av.stream.Disposition.default),
            }
            for stream in container.streams.audio
        ],
    }


def promised(stream: Any, container_seconds: float | None) -> float | None:
    """Seconds of sound that the header promises. A container's length may be that of its pictures, so it counts only without any."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    late = float((stream.start_time or 0) * stream.time_base)
    if container_seconds and "DURATION" in stream.metadata:
        return min(container_seconds, clock(stream.metadata["DURATION"])) - late
    return container_seconds - late if container_seconds and len(stream.container.streams) == 1 else None


def clock(text: str) -> float:
    """Seconds of Matroska's statistics tag DURATION, such as `00:00:11.023000000`."""
    hours, minutes, seconds = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds)).total_seconds()


def encrypted(container: Any) -> bool:
    """Whether the sound's first packet is encrypted (ISO/IEC 23001-7)."""
    packets = islice(container.demux(), _LOOKED_AT)
    first = next((packet for packet in packets if packet.stream.type == "audio"), None)
    return first is not None and first.has_sidedata("encryption_info")


if __name__ == "__main__":
    with av.open(sys.argv[1], options=json.loads(sys.argv[2])) as opened:
        print(json.dumps(describe(opened)))  # noqa: T201
