"""What may come in, and what may go out: the tables that the gateway tells and the converter goes by."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pipeline.audio import AudioFormat


class Output(NamedTuple):
    """A kind of sound file that can be asked for."""

    extension: str
    media_type: str
    """RFC 6838; for Opus and FLAC as RFC 7845 and RFC 9639 have it."""
    description: str
    options: tuple[str, ...] = ()
    """Which options of `pipeline.audio.Audio` count for it beside those that count for all."""


OUTPUTS: Final[Mapping[AudioFormat, Output]] = {
    "mp3": Output("mp3", "audio/mpeg", "MP3: plays everywhere", ("mode", "bitrate", "quality")),
    "m4a": Output(
        "m4a", "audio/mp4", "AAC in MPEG-4: better than MP3 at the same size, plays nearly everywhere", ("bitrate",)
    ),
    "opus": Output("opus", "audio/ogg", "Opus in Ogg: best of all at few kbit/s", ("bitrate",)),
    "ogg": Output("ogg", "audio/ogg", "Vorbis in Ogg, of variable bit rate", ("quality",)),
    "flac": Output("flac", "audio/flac", "FLAC: without loss, half the size of WAV"),
    "wav": Output("wav", "audio/wav", "WAV: without loss, as large as it gets"),
}
