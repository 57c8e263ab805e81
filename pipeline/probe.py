"""What a stranger's file holds, found out by libav (PyAV) in a child process that its contents cannot get out of."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import child
from pipeline.ffmpeg import GUARDS
from pipeline.work import Progress

_MEMORY = 2**30
_LONGEST = 64 * 1024
"""Bytes of answer that are read."""


class Sound(BaseModel):
    """One stream of sound."""

    model_config = ConfigDict(frozen=True)

    index: int
    """Its place among all streams of the file."""
    codec: str
    channels: int
    sample_rate: int
    """Hz."""
    duration: float | None
    """Seconds that the file's header promises; None where it promises nothing."""
    default: bool
    """Marked by its maker as the one to play."""


class Probe(BaseModel):
    model_config = ConfigDict(frozen=True)

    format: str
    """libav's name of the demuxer."""
    duration: float | None
    """Seconds of the longest stream; perhaps a guess."""
    encrypted: bool
    sound: tuple[Sound, ...]


class Unreadable(Exception):
    """The file is no recording of a kind that is taken, or too damaged to tell. The text is for the log."""


def probe(path: Path, *, deadline: float, progress: Progress) -> Probe:
    """Looks into the file at `path` for at most `deadline` seconds; calls `progress` with 0 meanwhile, and lets it raise.

    Raises Unreadable.
    """
    answer = bytearray()

    def hear(chunk: bytes) -> None:
        answer.extend(chunk)
        if len(answer) > _LONGEST:
            raise Unreadable("the answer is too long")

    options = json.dumps({key: str(value) for key, value in GUARDS.items()})
    program = str(Path(__file__).with_name("probe_child.py"))
    try:
        ended = child.run(
            [sys.executable, "-IB", program, f"file:{path.name}", options],
            folder=path.parent,
            limits=child.Limits(seconds=deadline, memory=_MEMORY, file_size=0),
            hear=hear,
            tick=lambda: progress(0),
        )
        return Probe.model_validate_json(bytes(answer))
    except child.OutOfTime:
        raise Unreadable("out of time") from None
    except ValidationError as error:
        raise Unreadable(ended.log) from error
