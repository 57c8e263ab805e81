"""How each kind of sound file is written: what its encoder takes, brought to what was asked for as near as it can be.

Nothing is left to a guess of ffmpeg: who encodes a part has to know what the others do.
"""

from collections.abc import Sequence
from math import log10
from typing import Any, Final, NamedTuple

from pipeline.audio import AudioFormat, Profile
from pipeline.recording import Track

_MPEG: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC: Final = (*_MPEG, 64000, 88200, 96000)
_OPUS: Final = (8000, 12000, 16000, 24000, 48000)
_COMMON: Final = (*_MPEG, 88200, 96000, 176400, 192000)

_MP3_KBIT: Final = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    2.5: (8, 16, 24, 32, 40, 48, 56, 64),
}
"""Bit rates of layer III by version: ISO/IEC 11172-3 and 13818-3, 2.4.2.3; MPEG-2.5 as far as LAME goes."""

_LAME_SCALE: Final = {160: 0.95, 192: 0.97, 224: 0.98}
"""By kbit/s up to which LAME makes what it encodes at a constant or average bit rate softer (`abr_switch_map` in presets.c)."""

_WITHOUT_LOSS: Final = ("pcm_", "flac", "alac", "wavpack", "tta", "ape", "truehd", "mlp", "wmalossless")
"""Codecs, by the beginnings of their names, whose samples are as they were recorded."""

_SAME: Final = 0.02
"""How far an MP3's bit rate may be from the one asked for, as a share of it, and still be taken for it."""

_SIMILAR: Final = 0.25
"""The same of formats whose encoders only aim at a bit rate."""

_VORBIS_BITS: Final = 8
"""Of a sample, at most: white noise at the best quality takes 6.3."""


class Form(NamedTuple):
    """One kind of sound file."""

    codec: str
    """libav's name of the encoder."""
    named: str
    """The codec, as the facts of a file tell it."""
    muxer: dict[str, Any]
    container: str
    """libav's name of the demuxer of such files."""
    sample_rates: Sequence[int]
    """Hz, ascending."""
    any_rate: bool = False
    """Also those between."""
    lossy: bool = True
    variable: bool = False
    """Its bit rate follows the sound, whatever is aimed at."""


FORMS: Final[dict[AudioFormat, Form]] = {
    "mp3": Form("libmp3lame", "mp3", {"format": "mp3", "id3v2_version": 0}, "mp3", _MPEG),
    "m4a": Form("aac", "aac", {"format": "ipod"}, "mov,mp4,m4a,3gp,3g2,mj2", _AAC),
    "opus": Form("libopus", "opus", {"format": "opus"}, "ogg", _OPUS, variable=True),
    "ogg": Form("libvorbis", "vorbis", {"format": "ogg"}, "ogg", _COMMON, any_rate=True, variable=True),
    "flac": Form("flac", "flac", {"format": "flac"}, "flac", _COMMON, any_rate=True, lossy=False),
    "wav": Form("pcm_s16le", "pcm", {"format": "wav", "rf64": "auto"}, "wav", _COMMON, any_rate=True, lossy=False),
}
ANONYMOUS: Final[dict[str, Any]] = {"map_metadata": -1, "map_chapters": -1}
"""Nothing goes on of what a camera wrote into the file, such as where it was; tags are given afterwards."""

_ODD_RATES: Final = range(8000, 65536)
"""Hz that every sound file of any rate can name, FLAC being the narrowest (RFC 9639, 9.1.2)."""


def sample_rate(form: AudioFormat, profile: Profile, track: Track) -> int:
    """Hz: the one asked for or recorded, or else the next above it that the format has, or its highest."""
    wanted = profile.sample_rate or track.sample_rate
    if FORMS[form].any_rate and wanted in _ODD_RATES:
        return wanted
    rates = FORMS[form].sample_rates
    return next((rate for rate in rates if rate >= wanted), rates[-1])


def channels(profile: Profile, track: Track) -> int:
    """1 or 2: the number asked for, or the one recorded. Every form has both, so that one mix serves all."""
    return profile.channels or min(track.channels, 2)


def bits(track: Track) -> int:
    """Of a sample in files without loss: 24 where the recording has more than 16."""
    return 24 if track.codec.startswith(_WITHOUT_LOSS) and (track.bits or 16) > 16 else 16


def codec(form: AudioFormat, track: Track) -> str:
    """libav's name of the encoder."""
    return "pcm_s24le" if form == "wav" and bits(track) > 16 else FORMS[form].codec


def kbit(form: AudioFormat, profile: Profile, track: Track) -> int | None:
    """kbit/s that are aimed at, None where the format or its mode aims at none."""
    rate, count = sample_rate(form, profile, track), channels(profile, track)
    match form:
        case "mp3" if profile.mode != "vbr":
            return _mp3_kbit(profile, rate)
        case "m4a":
            return min(profile.bitrate, 6 * rate * count // 1000)  # 6144 bits a channel and frame: ISO/IEC 14496-3
        case "opus":
            return max(6, min(profile.bitrate, 256 * count, 510))  # RFC 6716, 2.1.1; libopus stops at 256 a channel
    return None


def _mp3_kbit(profile: Profile, rate: int) -> int:
    having = _MP3_KBIT[1 if rate >= 32000 else 2 if rate >= 16000 else 2.5]
    if profile.mode == "abr":
        return min(max(profile.bitrate, having[0]), having[-1])
    return min(having, key=lambda kbit: abs(kbit - profile.bitrate))


def softened(form: AudioFormat, profile: Profile, track: Track) -> float:
    """dB by which the encoder makes the sound softer."""
    aim = kbit(form, profile, track)
    if form != "mp3" or aim is None:
        return 0.0
    return -20 * log10(next((scale for most, scale in _LAME_SCALE.items() if aim <= most), 1.0))


def arguments(form: AudioFormat, profile: Profile, track: Track) -> dict[str, Any]:
    """What `ffmpeg.output` is told beside a stream that `converter.filters.fitted` made, and the name of the file."""
    return {"acodec": codec(form, track), **_rate_control(form, profile, track), **FORMS[form].muxer, **ANONYMOUS}


def copied(form: AudioFormat, profile: Profile, track: Track) -> bool:
    """The recording is such a file already, so that encoding it again would only cost time and sound."""
    row = FORMS[form]
    decoder = codec(form, track) if form == "wav" else row.named
    return (
        profile.as_recorded
        and track.container == row.container
        and track.codec.removesuffix("float") == decoder
        and track.channels == channels(profile, track)
        and track.sample_rate == sample_rate(form, profile, track)
        and (not row.lossy or _as_large(form, profile, track))
    )


def _as_large(form: AudioFormat, profile: Profile, track: Track) -> bool:
    """The recording has the bit rate that is wanted; any will do where it follows the sound and nobody asked for one."""
    if FORMS[form].variable and not profile.sized:
        return True
    if form == "mp3" and profile.mode == "cbr" and not track.constant:
        return False
    aim, margin = kbit(form, profile, track), _SAME if form == "mp3" else _SIMILAR
    return track.bit_rate is not None and aim is not None and abs(track.bit_rate / 1000 - aim) <= margin * aim


def _rate_control(form: AudioFormat, profile: Profile, track: Track) -> dict[str, Any]:
    aim = kbit(form, profile, track)
    if aim is not None:
        return {"audio_bitrate": f"{aim}k", **({"abr": 1} if form == "mp3" and profile.mode == "abr" else {})}
    match form:
        case "mp3":
            return {"q:a": profile.quality}
        case "ogg":
            return {"q:a": 8 - profile.quality}  # libvorbis goes from 10, best, to -1
    return {}


def likely_bytes(form: AudioFormat, profile: Profile, track: Track, seconds: float) -> int:
    """What a file of so many seconds takes, tags aside: hardly ever more, but sound that is hard to encode may double it."""
    most = _most_kbit(form, profile, track)
    if copied(form, profile, track):
        return _bytes(track.bit_rate / 1000 if track.bit_rate else most, seconds)
    return _bytes(min(kbit(form, profile, track) or 512, most) if FORMS[form].lossy else most, seconds)


def most_bytes(form: AudioFormat, profile: Profile, track: Track, seconds: float) -> int:
    """More than a file of so many seconds can take, whatever the sound, tags aside."""
    recorded = (track.bit_rate or 0) / 1000 if copied(form, profile, track) else 0
    return _bytes(max(_most_kbit(form, profile, track), recorded), seconds)


def _bytes(kbit: float, seconds: float) -> int:
    """With room for the container."""
    return 2**20 + int(1.1 * 1000 / 8 * kbit * seconds)


def _most_kbit(form: AudioFormat, profile: Profile, track: Track) -> float:
    """kbit/s beyond which the format, or its mode, cannot go: encoders of variable rate double what they aim at, if need be."""
    samples = sample_rate(form, profile, track) * channels(profile, track) / 1000
    match form:
        case "mp3" if profile.mode == "cbr":
            return _mp3_kbit(profile, sample_rate(form, profile, track))
        case "mp3":
            return _MP3_KBIT[1][-1]
        case "m4a":
            return 6 * samples  # 6144 bits a channel and frame: ISO/IEC 14496-3
        case "opus":
            return 510  # RFC 6716, 2.1.1
        case "ogg":
            return _VORBIS_BITS * samples
    return bits(track) * samples
