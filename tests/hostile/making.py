"""What the makers of hostile files share: ffmpeg, and a sound that is not the canary's."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.ffmpeg import binary

TONE = 300
"""Hz of what hostile files play themselves."""

BITEXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact", "-flags:v", "+bitexact")

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A file, how it is made at a path, and what has to come of it."""

    name: str
    make: Make
    reason: str = ""
    """What its owner has to read, or a part of it."""
    seconds: float | None = None
    """How long its sound is; None if it has to be refused."""
    either: bool = False
    """Whether it is refused or taken is left to ffmpeg; `seconds` then says the longest that it may be."""
    options: Mapping[str, Any] = field(default_factory=dict)
    title: str = "talk.mp4"


def ffmpeg(*arguments: str | Path) -> None:
    """Runs ffmpeg without any of our guards."""
    subprocess.run([binary(), "-v", "error", "-nostdin", "-y", *arguments], check=True, timeout=120)


def sine(seconds: float = 1, hertz: int = TONE, rate: int = 44100) -> tuple[str, ...]:
    """Arguments of an input."""
    return ("-f", "lavfi", "-i", f"sine=f={hertz}:r={rate}:d={seconds}")


def card(seconds: float = 1, size: str = "64x64", rate: int = 10) -> tuple[str, ...]:
    """Arguments of an input: pictures."""
    return ("-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:d={seconds}")


def made(*arguments: str | Path, kind: str) -> bytes:
    """The bytes of what ffmpeg writes as a file whose name ends in `kind`, twice the same."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{kind}"
        ffmpeg(*arguments, *BITEXACT, path)
        return path.read_bytes()
