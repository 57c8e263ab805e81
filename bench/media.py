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


def repeat(recording: Path, path: Path, times: int) -> Path:
    """The same over and over, without encoding anything again."""
    command = [FFMPEG, "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", str(recording), "-c", "copy"]
    subprocess.run([*command, str(path)], check=True, timeout=600)
    return path


def make_wav(path: Path, size: int) -> Path:
    """Noise of about `size` bytes as WAV: 16 bits, two channels, 44.1 kHz."""
    noise = f"anoisesrc=color=pink:duration={size / (44_100 * 4)}:sample_rate=44100:seed=7"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", noise, "-ac", "2", str(path)]
    subprocess.run(command, check=True, timeout=600)
    return path


def bare_three(source: Path, folder: Path) -> None:
    """MP3, Opus and FLAC by one ffmpeg from one decoding, each as its encoder is asked for by `converter.outputs`."""
    command = [FFMPEG, "-v", "error", "-nostdin", "-y", "-i", str(source)]
    for name, arguments in {
        "bare.mp3": ["-c:a", "libmp3lame", "-b:a", "128k"],
        "bare.opus": ["-c:a", "libopus", "-b:a", "128k"],
        "bare.flac": ["-c:a", "flac", "-sample_fmt", "s16"],
    }.items():
        command += ["-map", "0:a:0", *arguments, str(folder / name)]
    subprocess.run(command, check=True, timeout=1200)


def bare(source: Path, target: Path) -> None:
    """The conversion by ffmpeg alone, from file to file."""
    subprocess.run(_to_mp3(source, target), check=True, timeout=1200)


def bare_halves(source: Path, folder: Path, seconds: float) -> None:
    """Each half of a recording of `seconds` by an ffmpeg of its own, both at once: nothing is joined."""
    halves = [
        subprocess.Popen(_to_mp3(source, folder / f"half{begin:.0f}.mp3", "-ss", str(begin), "-t", str(seconds / 2)))
        for begin in (0.0, seconds / 2)
    ]
    for half in halves:
        if half.wait(timeout=1200):
            raise subprocess.CalledProcessError(half.returncode, half.args)


def _to_mp3(source: Path, target: Path, *cut: str) -> list[str]:
    quiet = [FFMPEG, "-v", "error", "-nostdin", "-y", *cut]
    return [*quiet, "-i", str(source), "-vn", "-c:a", "libmp3lame", "-b:a", "128k", str(target)]
