"""Small recordings of many kinds, and what zzuf makes of them: the same number, the same mutant."""

import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.hostile.making import BITEXACT, card, ffmpeg, made, sine

MOST = 2000
SECONDS = 0.3
"""Of each recording."""

RATIOS = (0.00005, 0.0002, 0.001, 0.004, 0.02, 0.1)
"""How many of the bits are turned."""

HEAD = 600
"""Bytes at the beginning; of every third mutant only these are touched, and more of them."""


def _sound(*codec: str, kind: str) -> Callable[[], bytes]:
    return lambda: made(*sine(SECONDS), *codec, kind=kind)


def _video(*codec: str, kind: str) -> Callable[[], bytes]:
    return lambda: made(*card(SECONDS, rate=25), *sine(SECONDS), *codec, kind=kind)


def _album() -> bytes:
    """A song with a cover and chapters."""
    with TemporaryDirectory() as folder:
        cover, words, song = (Path(folder) / name for name in ("cover.png", "words.txt", "song.m4a"))
        ffmpeg(*card(0.1), "-frames:v", "1", cover)
        chapters = "".join(f"[CHAPTER]\nTIMEBASE=1/10\nSTART={n}\nEND={n + 1}\ntitle=c{n}\n" for n in range(3))
        words.write_text(f";FFMETADATA1\ntitle=a\nartist=b\ndate=2026\n{chapters}")
        inputs: tuple[str | Path, ...] = ("-f", "ffmetadata", "-i", words, "-i", cover, *sine(SECONDS))
        mapped = ("-map", "2:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic", "-map_chapters", "0")
        ffmpeg(*inputs, *mapped, *BITEXACT[2:], song)
        return song.read_bytes()


SEEDS: Mapping[str, Callable[[], bytes]] = {
    "mp4": _video("-c:v", "libx264", "-c:a", "aac", kind="mp4"),
    "fragmented mp4": _sound("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof", kind="mp4"),
    "mov": _video("-c:v", "mpeg4", "-c:a", "pcm_s16be", "-ar", "8000", kind="mov"),
    "m4a": _album,
    "mkv": _video("-c:v", "libx264", "-c:a", "aac", kind="mkv"),
    "webm": _video("-c:v", "libvpx", "-c:a", "libopus", kind="webm"),
    "mp3": _sound(kind="mp3"),
    "ogg": _sound("-c:a", "libvorbis", kind="ogg"),
    "opus": _sound("-c:a", "libopus", kind="opus"),
    "flac": _sound(kind="flac"),
    "wav": _sound("-ar", "8000", kind="wav"),
    "aiff": _sound("-ar", "8000", kind="aiff"),
    "avi": _video("-c:v", "mpeg4", "-c:a", "mp3", kind="avi"),
    "flv": _video("-c:v", "flv1", "-c:a", "mp3", kind="flv"),
    "ts": _video("-c:v", "mpeg2video", "-c:a", "mp2", "-f", "mpegts", kind="ts"),
    "mpg": _video("-c:v", "mpeg1video", "-c:a", "mp2", kind="mpg"),
    "wma": _sound("-c:a", "wmav2", kind="wma"),
    "aac": _sound("-f", "adts", kind="aac"),
    "ac3": _sound(kind="ac3"),
    "caf": _sound("-c:a", "pcm_s16be", "-ar", "8000", kind="caf"),
}


@cache
def seed(kind: str) -> bytes:
    return SEEDS[kind]()


@dataclass(frozen=True)
class Mutant:
    number: int

    @property
    def kind(self) -> str:
        return list(SEEDS)[self.number % len(SEEDS)]

    @property
    def command(self) -> list[str]:
        """Makes it of the seed."""
        generation = self.number // len(SEEDS)
        ratio = RATIOS[generation % len(RATIOS)]
        head = ("-r", str(min(1.0, 10 * ratio)), "-b", f"0-{HEAD - 1}") if generation % 3 == 2 else ("-r", str(ratio))
        return ["zzuf", "-s", str(self.number), *head]

    def __str__(self) -> str:
        return f"mutant {self.number}: {shlex.join(self.command)} < seed.{self.kind.split()[-1]} ({self.kind})"

    def make(self, path: Path) -> None:
        with path.open("wb") as file:
            subprocess.run(self.command, input=seed(self.kind), stdout=file, check=True, timeout=20)
