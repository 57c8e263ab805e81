"""Recordings that tests send: those of tests/media, and what ffmpeg makes of them."""

import secrets
import subprocess
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

MEDIA = Path(__file__).parent / "media"
UNUSABLE = {
    "random bytes": "cannot be read as a recording",
    "no sound": "has no sound",
    "empty track": "",
    "cut short": "cut short",
    "cut at the end": "cannot be read as a recording",
}
"""Kinds of files, and what their owner reads."""


def make_unusable(folder: Path) -> None:
    """One file of each kind, and an MP3 that is fine."""
    _ffmpeg("-i", MEDIA / "jfk.flac", folder / "talk.mp3")
    (folder / "random bytes.mp4").write_bytes(bytes(range(256)) * 200)
    _ffmpeg("-i", MEDIA / "talk.mp4", "-an", "-c", "copy", folder / "no sound.mp4")
    _ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=size=64x64:duration=1",
        "-f",
        "lavfi",
        "-i",
        "anullsrc",
        "-t",
        "1",
        "-frames:a",
        "0",
        folder / "empty track.mp4",
    )
    _ffmpeg("-i", MEDIA / "talk.mp4", "-c", "copy", "-movflags", "faststart", folder / "whole.mp4")
    whole = (folder / "whole.mp4").read_bytes()
    (folder / "cut short.mp4").write_bytes(whole[: len(whole) // 2])
    _ffmpeg("-i", MEDIA / "talk.mp4", "-c", "copy", folder / "index last.mp4")
    whole = (folder / "index last.mp4").read_bytes()
    (folder / "cut at the end.mp4").write_bytes(whole[: len(whole) // 2])


def make_lecture(path: Path, seconds: int) -> None:
    """Noise that is long enough to be caught in the middle of its encoding."""
    noise = f"anoisesrc=color=pink:duration={seconds}:sample_rate=48000:seed=7"
    _ffmpeg("-f", "lavfi", "-i", noise, "-ac", "2", "-c:a", "aac", "-b:a", "96k", path)


def make_conference(path: Path, hours: int) -> None:
    """An MP3 of hours, made in a moment: the same minute of noise over and over."""
    minute = path.with_name("minute.mp3")
    noise = "anoisesrc=color=pink:duration=60:sample_rate=44100:seed=7"
    _ffmpeg("-f", "lavfi", "-i", noise, "-b:a", "32k", "-write_xing", "0", "-id3v2_version", "0", minute)
    path.write_bytes(minute.read_bytes() * 60 * hours)


def make_seminar(path: Path, minutes: int) -> None:
    """Noise in AAC, as a telephone records it, made in a moment: the same minute over and over."""
    minute, all_of_it = path.with_name("minute.aac"), path.with_name("seminar.aac")
    noise = "anoisesrc=color=pink:duration=60:sample_rate=48000:seed=7"
    _ffmpeg("-f", "lavfi", "-i", noise, "-ac", "2", "-c:a", "aac", "-b:a", "96k", minute)
    all_of_it.write_bytes(minute.read_bytes() * minutes)
    _ffmpeg("-i", all_of_it, "-c", "copy", path)


def make_speech(path: Path, minutes: int) -> None:
    """Eleven seconds of speech, over and over."""
    _ffmpeg("-stream_loop", str(minutes * 60 // 11), "-i", MEDIA / "jfk.flac", path)


def make_clip(path: Path) -> None:
    """Three seconds of speech, a quarter of the work."""
    _ffmpeg("-i", MEDIA / "talk.mp4", "-t", "3", "-c", "copy", path)


def unlike(recording: bytes) -> bytes:
    """The same MP4 in other bytes: with a box that players pass over (ISO/IEC 14496-12, 8.1.2)."""
    noise = secrets.token_bytes(16)
    return recording + (8 + len(noise)).to_bytes(4, "big") + b"free" + noise


def decode(path: Path, rate: int) -> Any:
    """The samples of a recording, mono, as an array of int16."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-ac", "1", "-ar", str(rate), "-f", "s16le"]
    return np.frombuffer(subprocess.run([*command, "-"], stdout=subprocess.PIPE, check=True, timeout=120).stdout, "<i2")


def mux(pictures: Path, sound: Path, target: Path, seconds: int) -> None:
    """The key frames of one file, over and over, with the sound of another, in FLAC."""
    looped = "-stream_loop", "-1", "-discard:v", "nokey", "-i", pictures, "-i", sound, "-map", "0:v", "-map", "1:a"
    _ffmpeg(*looped, "-c:v", "copy", "-c:a", "flac", "-t", str(seconds), target)


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True, timeout=120)
