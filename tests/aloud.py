"""A text of ten minutes, read aloud by Piper, and how much of it is heard otherwise. `make piper` installs it."""

import subprocess
from pathlib import Path

import jiwer

from tests.processes import ROOT
from tests.recordings import MEDIA

READING = (MEDIA / "reading.txt").read_text(encoding="utf-8")
PACE = 1.5
"""Times as slow as the voice is by itself: as people read."""

_PIPER = ROOT / ".cache/piper"
_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({r"[-\u2013\u2014]": " "}),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


def read_aloud(path: Path, text: str = READING, pace: float = PACE) -> Path:
    """Makes `path`, a WAV, by a voice of middle quality, and always alike."""
    script = path.with_suffix(".txt")
    script.write_text(text, encoding="utf-8")
    voice: list[str | Path] = ["--model", _PIPER / "voices/en_US-joe-medium.onnx", "--length-scale", str(pace)]
    command = [_PIPER / "bin/python", "-I", "-m", "piper", *voice, "--noise-scale", "0", "--noise-w-scale", "0"]
    command += ["--input-file", script, "--output-file", path]
    subprocess.run(command, check=True, timeout=900, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def wrong(said: str, heard: str) -> float:
    """The word error rate, case and punctuation aside."""
    return float(jiwer.wer(said, heard, reference_transform=_WORDS, hypothesis_transform=_WORDS))
