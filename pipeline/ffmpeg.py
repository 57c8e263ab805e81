"""The one place that starts ffmpeg, on strangers' files: whitelists, limits, a deadline, and nothing but local files.

Argument lists are built with ffmpeg-python, from `source` or `sound` to `ffmpeg.output(...)`:

    output = ffmpeg.output(sound("track.mka"), "file:out.mp3", audio_bitrate="128k")
    seconds = run(output, folder=folder, duration=11.0, deadline=60, progress=progress, output_limit=10**9)
"""

import errno
import os
import re
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import ffmpeg
import imageio_ffmpeg

from pipeline import child
from pipeline.work import Progress

FORMATS = (
    "mov,matroska,ogg,wav,w64,aiff,caf,au,flac,mp3,aac,loas,ac3,eac3,dts,amr,asf,avi,flv,mpeg,mpegts,mxf,rm,wv,tta"
)
"""Demuxers that may open a file. None of them opens further files: playlists, lists and picture series are left out."""

CODECS = (
    "aac,aac_fixed,aac_latm,alac,mp1float,mp1,mp2float,mp2,mp3float,mp3,opus,libopus,vorbis,libvorbis,flac,ac3,ac3_fixed,"
    "eac3,dca,truehd,mlp,wmav1,wmav2,wmapro,wmalossless,wmavoice,amrnb,amrwb,libopencore_amrnb,libopencore_amrwb,ape,"
    "wavpack,tta,speex,gsm,gsm_ms,nellymoser,cook,sipr,real_144,real_288,atrac3,qdm2,qdmc,mace3,mace6,g723_1,g729,"
    "adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,adpcm_swf,adpcm_yamaha,g722,g726,s302m,"
    "pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,"
    "pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,pcm_dvd,pcm_lxf"
)
"""Decoders of sound. Pictures are never decoded: where no decoder may be opened, a stream is only copied or passed over."""

GUARDS: dict[str, Any] = {
    "protocol_whitelist": "file",
    "format_whitelist": FORMATS,
    "codec_whitelist": CODECS,
    "max_streams": 32,
    "max_pixels": 8192 * 4320,
}
"""Options of libavformat and libavcodec for every input."""

MEMORY = 2 * 2**30
"""Bytes of address space that one ffmpeg may take."""

_SHAPE = ("-nostdin", "-hide_banner", "-max_alloc", str(256 * 2**20))
_STOPPED = 255
"""ffmpeg's exit status after SIGTERM, which systemd sends to all of a service when it stops it; also after EPERM."""

_SPEED = re.compile(rb" *([\d.]+(?:e\+\d+)?)x *")
_PROGRESS = ("-nostats", "-progress", "pipe:1", "-stats_period", str(child.TICK))


_NO_PLACES = "Rematrix is needed"
"""How libswresample says that it does not know where the channels belong."""

_CHANGES = "Changing audio frame properties on the fly"
"""How a filter graph that may not begin anew says that its sound has other channels or another sample rate now."""

_ENCODER = "Error encoding a frame"
"""Encoders that are given no numbers (NaN) say that they had no memory."""

Kind = Literal["error", "channels", "changes", "deadline", "memory", "output limit", "machine"]


class FFmpegFailed(Exception):
    """ffmpeg made no whole file. `log` is the end of what it said: for the log, never for users.

    `kind`: `error` (the input, or what was asked for, does not work), and of these `channels` (they cannot be mixed) and
    `changes` (of the channels or the sample rate midway, see `pipeline.decoding`); `deadline`, `memory` and `output limit` (it went beyond what it was given); or `machine` (the disk is full, or
    somebody ended it; the same may work later).
    """

    def __init__(self, kind: Kind, log: str = "") -> None:
        super().__init__(f"{kind}: {log}")
        self.kind = kind
        self.log = log


@cache
def binary() -> str:
    """The path of the ffmpeg that imageio-ffmpeg carries."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def source(name: str, *, shift: float = 0.0, **options: Any) -> Any:
    """An ffmpeg-python input, guarded: the file `name` of the folder that `run` is given, its clock put forward by `shift` seconds."""
    shifted = {"itsoffset": shift} if shift else {}
    return ffmpeg.input(f"file:{name}", **GUARDS, **options, **shifted)


def sound(name: str, stream: int | None = None, begins: float = 0.0, **options: Any) -> Any:
    """The sound of a file, `stream` among all of it or its first, to be decoded; `ss` among `options` is a time of its clock.

    The sound begins where the file's own clock shows `begins`, in seconds: transport streams, broadcasts and MP3s begin at any time.
    Silence fills a late start and gaps, so that what is made of it keeps the clock of the recording.
    Where channels or sample rate change midway, it fails: see `pipeline.decoding`.
    """
    clocked = source(name, shift=-begins, seek_timestamp=1, reinit_filter=0, **options)
    return clocked["a:0" if stream is None else str(stream)].filter("aresample", **{"async": 1, "first_pts": 0})


def run(
    output: Any,
    *,
    folder: Path,
    duration: float | None,
    deadline: float,
    progress: Progress,
    output_limit: int,
    log: Callable[[str], None] | None = None,
) -> float:
    """Runs ffmpeg in `folder` until `output` (an ffmpeg-python output) is written; returns the seconds of media written.

    `duration`: seconds expected, None if that is not known. `progress` is told the percentage of it (0 where it is not
    known) and ffmpeg's speed, every half second or oftener; what it raises ends ffmpeg and goes on.
    `deadline`: seconds this may take. `output_limit`: bytes.
    `log` is told the last 8 KiB of what ffmpeg said when it has ended well, and then ffmpeg says more than its errors.
    A file that breaks off is no error to ffmpeg: compare what is returned with what was expected.
    Raises FFmpegFailed.
    """
    reader = _ProgressReader()

    def tick() -> None:
        progress(min(100.0, 100 * reader.seconds / duration) if duration else 0.0, reader.speed)

    limits = child.Limits(seconds=deadline, memory=MEMORY, file_size=output_limit)
    verbosity = ("-loglevel", "info" if log else "error")
    command = [binary(), *_SHAPE, *verbosity, *_PROGRESS, *output.get_args(), "-y"]
    try:
        ended = child.run(command, folder=folder, limits=limits, hear=reader.hear, tick=tick)
    except child.OutOfTime:
        raise FFmpegFailed("deadline") from None
    if ended.status:
        raise FFmpegFailed(kind(ended), ended.log)
    if log:
        log(ended.log)
    return reader.seconds


def kind(ended: child.Ended) -> Kind:
    """Why ffmpeg ended as it did, which was not well."""
    match -ended.status:
        case signal.SIGXFSZ:
            return "output limit"
        case signal.SIGXCPU:
            return "deadline"
        case signal.SIGKILL:
            return "machine"
    said = _own_words(ended.log)
    stopped = ended.status == _STOPPED and os.strerror(errno.EPERM) not in said
    if stopped or os.strerror(errno.ENOSPC) in said:
        return "machine"
    if _NO_PLACES in said:
        return "channels"
    if _CHANGES in said:
        return "changes"
    return "memory" if os.strerror(errno.ENOMEM) in said and _ENCODER not in said else "error"


def _own_words(log: str) -> str:
    """Without the file's: of its tags ffmpeg tells on lines that begin with blanks."""
    return "\n".join(line for line in log.split("\n")[1:] if not line.startswith(" ")) if "\n  " in log else log


class _ProgressReader:
    """Reads the `key=value` lines of ffmpeg's -progress."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.speed: float | None = None
        """Seconds of media a second; None until ffmpeg has some to tell of."""
        self._rest = b""

    def hear(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            key, _, value = line.partition(b"=")
            if key == b"out_time_us" and value.isdigit():
                self.seconds = max(self.seconds, int(value) / 1e6)
            elif key == b"speed" and (found := _SPEED.fullmatch(value)):
                self.speed = float(found[1]) or None
