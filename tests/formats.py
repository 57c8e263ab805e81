"""A short file of each kind of recording that is taken, made by ffmpeg: a second of a tone, and of a picture where there is one."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import imageio_ffmpeg

SECONDS = 1.0
HERTZ = 440

_TONE = ("-f", "lavfi", "-i", f"sine=frequency={HERTZ}:sample_rate=44100:duration={SECONDS}")
_PICTURE = ("-f", "lavfi", "-i", f"color=size=64x64:rate=25:duration={SECONDS}")
_NARROW = ("-ar", "8000", "-ac", "1")
_AVCHD = ("-f", "mpegts", "-mpegts_m2ts_mode", "1")

_SOUND: Final[Mapping[str, Sequence[str]]] = {
    "mp3": (),
    "mp2": (),
    "m4a": ("-c:a", "alac"),
    "m4b": ("-f", "ipod", "-c:a", "aac"),
    "aac": (),
    "latm": ("-f", "latm", "-c:a", "aac"),
    "ogg": ("-c:a", "libvorbis"),
    "oga": ("-c:a", "flac"),
    "opus": (),
    "mka": ("-c:a", "truehd", "-strict", "-2", "-ar", "48000", "-ac", "2"),
    "weba": ("-f", "webm", "-c:a", "libopus"),
    "wma": ("-c:a", "wmav2"),
    "flac": (),
    "wav": ("-rf64", "always"),
    "w64": (),
    "aiff": (),
    "aifc": ("-f", "aiff", "-c:a", "pcm_s16le"),
    "caf": (),
    "au": ("-c:a", "pcm_mulaw"),
    "wv": (),
    "tta": (),
    "amr": _NARROW,
    "ac3": (),
    "eac3": (),
    "dts": ("-c:a", "dca", "-strict", "-2"),
    "3g2": ("-c:a", "aac"),
    "rm": ("-c:a", "ac3"),
}
_VIDEO: Final[Mapping[str, Sequence[str]]] = {
    "mp4": ("-c:v", "libx264", "-c:a", "aac"),
    "m4v": ("-c:v", "mpeg4", "-c:a", "aac"),
    "mov": ("-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "3gp": ("-c:v", "h263", "-s", "128x96", "-c:a", "libopencore_amrnb", *_NARROW),
    "f4v": ("-c:v", "libx264", "-c:a", "aac"),
    "mkv": ("-c:v", "libx264", "-c:a", "libvorbis"),
    "webm": ("-c:v", "libvpx", "-c:a", "libopus"),
    "avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "flv": ("-c:v", "flv", "-c:a", "libmp3lame"),
    "ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "m2ts": ("-c:v", "libx264", "-c:a", "ac3", *_AVCHD),
    "mts": ("-c:v", "libx264", "-c:a", "ac3", *_AVCHD),
    "mpg": ("-c:v", "mpeg1video", "-c:a", "mp2"),
    "vob": ("-c:v", "mpeg2video", "-c:a", "ac3"),
    "ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
    "wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "asf": ("-c:v", "wmv1", "-c:a", "wmav1"),
    "mxf": ("-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", "48000"),
}
MADE: Final = frozenset({*_SOUND, *_VIDEO})
"""The extensions of what can be made."""


def make(folder: Path, extension: str) -> Path:
    """Returns a recording of that kind in `folder`."""
    path = folder / f"recording.{extension}"
    picture = _PICTURE if extension in _VIDEO else ()
    encoding = _VIDEO.get(extension) or _SOUND[extension]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *_TONE, *picture, *encoding, path]
    subprocess.run(command, check=True, timeout=60)
    return path
