"""Recordings of any length, made by the ffmpeg that Spool uses."""

import subprocess
from pathlib import Path

import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def make_mp4(path: Path, seconds: int) -> Path:
    """Pink noise as stereo AAC beside a small picture, as a camera's file has them."""
    inputs = [
        f"anoisesrc=color=pink:duration={seconds}:sample_rate=44100:seed=7",
        f"color=size=64x64:rate=5:duration={seconds}",
    ]
    command = [FFMPEG, "-v", "error", "-y"]
    for source in inputs:
        command += ["-f", "lavfi", "-i", source]
    command += ["-ac", "2", "-c:a", "aac", "-b:a", "128k", "-c:v", "mpeg4", "-shortest", str(path)]
    subprocess.run(command, check=True, timeout=600)
    return path


def make_wav(path: Path, size: int) -> Path:
    """Noise of about `size` bytes as WAV: 16 bits, two channels, 44.1 kHz."""
    noise = f"anoisesrc=color=pink:duration={size / (44_100 * 4)}:sample_rate=44100:seed=7"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", noise, "-ac", "2", str(path)]
    subprocess.run(command, check=True, timeout=600)
    return path


def bare(source: Path, target: Path) -> None:
    """The conversion by ffmpeg alone, from file to file."""
    command = [
        FFMPEG,
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-i",
        str(source),
        "-vn",
        "-c:a",
        "libmp3lame",
        "-b:a",
        "128k",
        str(target),
    ]
    subprocess.run(command, check=True, timeout=1200)
