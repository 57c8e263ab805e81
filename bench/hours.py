"""What it takes to cut hours of talk and to put them together again: `python -m bench.hours RECORDING SECONDS FOLDER` does it once."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import transcriber.worker  # noqa: F401 - all that a transcriber has loaded counts
from bench.figures import Figure
from bench.media import FFMPEG
from pipeline.transcript import Segment, Word
from tests.recordings import MEDIA
from transcriber.parts import Part
from transcriber.tests.runs import Place, Takes

HOURS = 4
MOST_MEMORY = 150
"""MB."""
PACE = 0.4
"""Seconds of a word."""


def measure(folder: Path) -> Iterator[Figure]:
    yield measured(folder, HOURS)


def measured(folder: Path, hours: int) -> Figure:
    recording, seconds = make_talk(folder, hours)
    command = [sys.executable, "-m", "bench.hours", str(recording), str(seconds), str(folder)]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=3600).stdout)
    detail = (
        f"{told['parts']} parts with {told['words']} words; cut in {told['cut']:.0f} s, merged in {told['merge']:.0f} s"
    )
    return Figure(f"Memory that {hours} hours of talk take", told["memory"], MOST_MEMORY, "MB", detail)


def make_talk(folder: Path, hours: int) -> tuple[Path, float]:
    """Eleven seconds of speech in every 15, and their number."""
    piece, recording = folder / "piece.aac", folder / "talk.m4a"
    padded = ["-i", str(MEDIA / "jfk.flac"), "-af", "apad", "-t", "15", "-ar", "16000", "-ac", "1", "-b:a", "32k"]
    subprocess.run([FFMPEG, "-v", "error", "-y", *padded, piece], check=True, timeout=60)
    times = hours * 240
    with (folder / "all.aac").open("wb") as file:
        for _ in range(times):
            file.write(piece.read_bytes())
    subprocess.run(
        [FFMPEG, "-v", "error", "-y", "-i", folder / "all.aac", "-c", "copy", recording], check=True, timeout=600
    )
    return recording, times * 15.0


def work(recording: Path, seconds: float, folder: Path) -> dict[str, float]:
    place, began = Place(folder), time.monotonic()
    task = place.task(recording, codec="aac", seconds=seconds)
    parts = [Part.of(artifact) for artifact in place.cut(task, Takes(name="whisper-1", seconds=1260)).artifacts]
    cut = time.monotonic() - began
    heard = [place.heard(part, list(_talk(part))) for part in parts]
    began = time.monotonic()
    place.merge(task, heard)
    return {
        "cut": cut,
        "merge": time.monotonic() - began,
        "parts": len(parts),
        "words": sum(int(part.seconds / PACE) for part in parts),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _talk(part: Part) -> Iterator[Segment]:
    """Sentences of ten words without end."""
    for first in range(0, int(part.seconds / PACE) - 9, 10):
        words = tuple(
            Word(*part.recorded(PACE * number, PACE * (number + 1)), f"word{number % 97}")
            for number in range(first, first + 10)
        )
        yield Segment(words[0].start, words[-1].end, " ".join(word.text for word in words), words)


if __name__ == "__main__":
    print(json.dumps(work(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))))
