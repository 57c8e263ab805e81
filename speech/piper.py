"""Text to speech by Piper (https://github.com/OHF-Voice/piper1-gpl): a program of its own, in a Python environment of its own.

It is under the GPL: nothing of it is imported here.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ffmpeg
import structlog

from pipeline import child
from pipeline.ffmpeg import run, sound
from pipeline.settings import Settings
from speech.errors import ApiError
from speech.model import Unusable

_SECONDS = 300
"""Of wall clock, for one text; a core says 4096 characters in half a minute."""

_MEMORY = 3 * 2**30
"""Bytes of address space; Piper has 0.4 GB in memory with a voice of middle quality."""

_FILE_SIZE = 256 * 2**20
"""Bytes of the sound: an hour and a half. 4096 characters at a quarter of the speed are twenty minutes."""

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

log = structlog.get_logger()


@dataclass(frozen=True)
class _Form:
    content_type: str
    options: Mapping[str, Any]


FORMATS: Mapping[Format, _Form] = {
    "mp3": _Form("audio/mpeg", {"format": "mp3", "acodec": "libmp3lame", "audio_bitrate": "64k"}),
    "opus": _Form("audio/ogg", {"format": "ogg", "acodec": "libopus", "audio_bitrate": "32k"}),
    "aac": _Form("audio/aac", {"format": "adts", "acodec": "aac", "audio_bitrate": "64k"}),
    "flac": _Form("audio/flac", {"format": "flac", "acodec": "flac"}),
    "wav": _Form("audio/wav", {"format": "wav", "acodec": "pcm_s16le"}),
    "pcm": _Form("audio/pcm", {"format": "s16le", "acodec": "pcm_s16le", "ar": 24_000}),  # the rate is OpenAI's
}


class Piper:
    def __init__(self, python: Path, voices: Path) -> None:
        """`python`: of the environment where Piper is. `voices`: a folder with NAME.onnx and NAME.onnx.json of each."""
        self._python = python.absolute()  # resolved, it would be that of no environment
        self._folder = voices.resolve()

    @classmethod
    def of(cls, settings: Settings) -> "Piper | None":
        """Raises ValueError where half of it is set."""
        if settings.speech_piper is None and settings.speech_voices is None:
            return None
        if settings.speech_piper is None or settings.speech_voices is None:
            raise ValueError("SPOOL_SPEECH_PIPER and SPOOL_SPEECH_VOICES need each other")
        return cls(settings.speech_piper, settings.speech_voices)

    def ready(self) -> bool:
        return os.access(self._python, os.X_OK) and bool(self.voices())

    def voices(self) -> Mapping[str, Path]:
        return {path.stem: path for path in sorted(self._folder.glob("*.onnx"))}

    def say(self, text: str, voice: str, speed: float, form: Format, *, folder: Path, beat: Callable[[], None]) -> Path:
        """Returns a file in `folder`, which is empty before. Raises Unusable, ApiError, and what `beat` raises."""
        voices = self.voices()
        if voice not in voices:
            raise Unusable(f"There is no voice of this name; there are: {', '.join(voices)}.", "voice")
        (folder / "text").write_text(text, encoding="utf-8")
        self._speak(voices[voice], speed, folder, beat)
        output = ffmpeg.output(sound("said.wav"), "file:audio", map_metadata=-1, **FORMATS[form].options)
        run(
            output,
            folder=folder,
            duration=None,
            deadline=_SECONDS,
            progress=lambda *_: beat(),
            output_limit=_FILE_SIZE,
        )
        return folder / "audio"

    def _speak(self, voice: Path, speed: float, folder: Path, beat: Callable[[], None]) -> None:
        said = folder / "said.wav"
        command = [self._python, "-I", "-m", "piper", "--model", voice, "--length-scale", 1 / speed]
        command += ["--input-file", folder / "text", "--output-file", said]
        limits = child.Limits(seconds=_SECONDS, memory=_MEMORY, file_size=_FILE_SIZE)
        try:
            ended = child.run(
                [str(word) for word in command], folder=folder, limits=limits, hear=lambda _: None, tick=beat
            )
        except child.OutOfTime:
            raise ApiError(503, "Saying this took too long.") from None
        if said.exists() and not said.stat().st_size:  # Piper opens it first, and fails where it has nothing to write
            raise Unusable("There is nothing in this text that can be said.", "input")
        if ended.status:
            log.error("piper failed", status=ended.status, log=ended.log)
            raise ApiError(500, "The voice failed.")
