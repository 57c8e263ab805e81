"""What is done to the sound between decoding and encoding: the same for every format, and for every part of a long file.

All of it is absolute: what becomes of a sample follows from the profile, the track and what was measured, and from at most
five seconds before it, unless the profile is `stateful`.
"""

from math import sqrt
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict

from converter import outputs
from converter.failures import check_length, lasts_on
from pipeline.audio import AudioFormat, Profile
from pipeline.errors import Reject
from pipeline.recording import Level, Track
from pipeline.work import Task

_MARGIN: Final = 10
"""Seconds before what is wanted, from which a track is decoded: for its decoder, and for filters to settle."""

_PAUSE: Final = "-50dB"
_WINDOW: Final = 0.02
"""Seconds over which silenceremove takes the level; a pause keeps so much more than it is told."""

_OVERSAMPLED: Final = 192000
"""Hz at most, where peaks between the samples are seen: four times 48000, as in ITU-R BS.1770-4, annex 2."""

_OVERSHOOT: Final = 1.5
"""dB that lossy coding mostly stays within when it adds to peaks. Claps in Opus of 24 kbit/s get up to 6: to allow for that
would make everything else softer."""

_CALM: Final = 0.1
"""dB that resampling may add to the peaks of a limited sound."""

_SPEECH: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("highpass", {"f": 80}),
    ("acompressor", {"threshold": "-24dB", "ratio": 3, "attack": 10, "release": 250, "makeup": "6dB"}),
    ("alimiter", {"limit": "-1dB", "level": "false", "latency": 1}),
)


class Measured(BaseModel):
    """What `measure` found out of the sound, as it hands it on in the args of tasks."""

    model_config = ConfigDict(frozen=True)

    level: Level
    seconds: float
    """Of the result."""
    gain: float = 0.0
    """dB that bring it to the loudness asked for."""
    limited: bool = False
    """Peaks would go beyond the true peak allowed, so they are held."""

    @classmethod
    def of(cls, task: Task) -> Self | None:
        """None where nothing had to be measured."""
        return cls.model_validate(task.args) if "level" in task.args else None


def stateful(profile: Profile) -> bool:
    """What becomes of a sample depends on all that was before it."""
    return profile.speed != 1 or profile.silence is not None or profile.denoise


def unknown(profile: Profile) -> bool:
    """The loudness, or a length that the recording does not tell, has to be measured before anything is encoded."""
    return profile.loudness != "off" or (profile.silence is not None and profile.fade_out > 0)


def length(profile: Profile, track: Track, measured: Measured | None = None) -> float | None:
    """Seconds of the result; None where only measuring can tell. Raises Reject if nothing would be left."""
    if profile.start >= track.seconds:
        raise Reject(
            f"Nothing is left of this recording: it has {track.seconds:.1f} seconds, and all before {profile.start:.1f} "
            "is to be left out."
        )
    if measured:
        return measured.seconds
    return None if profile.silence is not None else profile.seconds(track.seconds)


def seekable(track: Track) -> bool:
    """Any of its samples is found by seeking."""
    return track.exact and not track.begins


def seek(second: int) -> dict[str, int]:
    """The option with which a track is decoded for what is wanted from `second` on: no time is rounded to another sample."""
    return {"ss": second - _MARGIN} if second > _MARGIN else {}


def sought(profile: Profile, track: Track) -> dict[str, int]:
    """What `start` leaves out and nobody has to decode."""
    return seek(int(profile.start)) if seekable(track) else {}


def check(seconds: float, expected: float | None, *, partial: bool) -> None:
    """Raises Reject if the result is longer than it may be, or nothing is left of it; if shorter, unless it may be `partial`."""
    if not seconds:
        raise Reject(
            "Nothing is left of this recording: all of it is silence."
            if expected is None
            else "The sound of this recording cannot be decoded; the file seems to be damaged or copy-protected."
        )
    if lasts_on(seconds, expected):
        raise Reject(
            f"Of the {expected:.0f} seconds of this recording {seconds:.0f} would come; the file seems to be damaged."
        )
    if not partial:
        check_length(seconds, expected)


def ceiling(profile: Profile) -> float:
    """dBTP that a sound may reach before it is encoded, so that afterwards it mostly stays below what is allowed."""
    lossy = any(outputs.FORMS[form].lossy for form in profile.audio)
    return profile.true_peak - (_OVERSHOOT if lossy else _CALM)


def shaped(stream: Any, profile: Profile, track: Track, measured: Measured | None = None) -> Any:
    """The sound as the profile wants it, from its second 0 on, but for what a format wants of it: see `fitted`.

    `stream` is that of `pipeline.ffmpeg.sound` with the options that `sought` tells; an ffmpeg-python stream comes back.
    """
    stream = _mixed(_trimmed(stream, profile, track), profile, track)
    stream = _paced(_cleaned(stream, profile, track), profile)
    stream = _faded(stream, profile, length(profile, track, measured))
    return _levelled(stream, profile, track, measured) if measured else stream


def fitted(stream: Any, form: AudioFormat, profile: Profile, track: Track) -> Any:
    """The shaped sound with the sample rate and sample format of a file of `form`, and as loud as its encoder needs it."""
    stream = stream.filter("aresample", outputs.sample_rate(form, profile, track))
    if profile.loudness != "off" and (softened := outputs.softened(form, profile, track)):
        stream = stream.filter("volume", f"{softened:.2f}dB", precision="float")
    if outputs.FORMS[form].lossy:
        return stream
    return stream.filter("aformat", sample_fmts="s32" if outputs.bits(track) > 16 else "s16")


def _trimmed(stream: Any, profile: Profile, track: Track) -> Any:
    if not profile.start and profile.end is None:
        return stream
    skipped = sought(profile, track).get("ss", 0)
    bounds = {"start": profile.start, **({} if profile.end is None else {"end": profile.end})}
    times = {bound: _time(round(time, 6) - skipped) for bound, time in bounds.items()}
    return stream.filter("atrim", **times).filter("asetpts", "PTS-STARTPTS")


def _mixed(stream: Any, profile: Profile, track: Track) -> Any:
    """Of more channels than wanted none gets louder than it was: a mix that clips cannot be mended afterwards.

    One channel goes to both sides as it is, where libswresample would take 3 dB away.
    """
    rate = _rate(profile, track)
    if rate < track.sample_rate:
        stream = stream.filter("aresample", rate)
    layout = "mono" if outputs.channels(profile, track) == 1 else "stereo"
    if layout == "stereo" and track.channels == 1:
        stream = stream.filter("aformat", channel_layouts="mono")
        stream = stream.filter("channelmap", map="0|0", channel_layout=layout)
    elif layout != {1: "mono", 2: "stereo"}.get(track.channels):
        stream = stream.filter("aresample", out_chlayout=layout, rematrix_maxval=1)
    return stream.filter("aformat", channel_layouts=layout)


def _rate(profile: Profile, track: Track) -> int:
    """Hz that are worked with: no more than any file needs."""
    return min(track.sample_rate, max(outputs.sample_rate(form, profile, track) for form in profile.audio))


def _cleaned(stream: Any, profile: Profile, track: Track) -> Any:
    if profile.denoise or profile.speech:
        stream = stream.filter("aformat", sample_fmts="fltp")
    if profile.denoise:
        stream = _denoised(stream, _rate(profile, track))
    for name, options in _SPEECH if profile.speech else ():
        stream = stream.filter(name, **options)
    return stream


def _denoised(stream: Any, rate: int) -> Any:
    """afftdn gives its sound late, and keeps the last of it; its `track_noise` would take less noise away."""
    late = 2 * (rate // 80)
    stream = stream.filter("aresample", rate).filter("apad", pad_len=late)
    stream = stream.filter("afftdn", noise_reduction=12, noise_floor=-40)
    return stream.filter("atrim", start_sample=late).filter("asetpts", "PTS-STARTPTS")


def _paced(stream: Any, profile: Profile) -> Any:
    if profile.silence is not None:
        stream = stream.filter(
            "silenceremove",
            start_periods=1,
            start_silence=_time(profile.silence),
            start_threshold=_PAUSE,
            stop_periods=-1,
            stop_duration=_time(profile.silence - _WINDOW),
            stop_threshold=_PAUSE,
            window=_WINDOW,
        )
    if profile.speed == 1:
        return stream
    if profile.speed <= 2:
        return stream.filter("atempo", profile.speed)
    twice = sqrt(profile.speed)  # beyond 2 one atempo leaves samples out
    return stream.filter("atempo", twice).filter("atempo", twice)


def _faded(stream: Any, profile: Profile, seconds: float | None) -> Any:
    if profile.fade_in:
        stream = stream.filter("afade", type="in", duration=_time(profile.fade_in))
    if profile.fade_out and seconds is not None:
        begins = max(0.0, seconds - profile.fade_out)
        stream = stream.filter(
            "afade", type="out", start_time=_time(begins), duration=_time(min(profile.fade_out, seconds))
        )
    return stream


def _levelled(stream: Any, profile: Profile, track: Track, measured: Measured) -> Any:
    if measured.gain:
        stream = stream.filter("volume", f"{measured.gain:.2f}dB", precision="float")
    if not measured.limited:
        return stream
    rate = _rate(profile, track)
    return stream.filter("aresample", rate * max(1, min(4, _OVERSAMPLED // rate))).filter(
        "alimiter", limit=f"{ceiling(profile):.2f}dB", level="false", latency=1
    )


def _time(seconds: float) -> str:
    """As ffmpeg reads times, which is without exponents."""
    return f"{seconds:.6f}"
