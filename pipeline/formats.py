"""What may come in, and what may go out: the tables that the gateway tells and the converter goes by."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from pipeline.audio import PRESETS, SIZES, AudioFormat, Preset


class Output(NamedTuple):
    """A kind of sound file that can be asked for; `pipeline.audio.SIZES` has the options that count for it."""

    extension: str
    media_type: str
    """RFC 6838; for Opus and FLAC as RFC 7845 and RFC 9639 have it."""
    description: str


OUTPUTS: Final[Mapping[AudioFormat, Output]] = {
    "mp3": Output("mp3", "audio/mpeg", "MP3: plays everywhere"),
    "m4a": Output("m4a", "audio/mp4", "AAC in MPEG-4: better than MP3 at the same size, plays nearly everywhere"),
    "opus": Output("opus", "audio/ogg", "Opus in Ogg: best of all at few kbit/s"),
    "ogg": Output("ogg", "audio/ogg", "Vorbis in Ogg, of variable bit rate"),
    "flac": Output("flac", "audio/flac", "FLAC: without loss, half the size of WAV"),
    "wav": Output("wav", "audio/wav", "WAV: without loss, as large as it gets"),
}

USES: Final[Mapping[Preset, str]] = {
    "podcast": "Talks for podcast players, as loud as these want them",
    "music": "Music, about 190 kbit/s, as loud as it was",
    "voice": "Speech, made easier to understand",
    "archive": "Everything that was heard, without loss",
    "phone": "Talks for small memories and slow networks",
}
"""What each preset of `pipeline.audio.PRESETS` is for."""


class Input(NamedTuple):
    """A kind of recording that is taken; what it really is, is found out from its bytes."""

    extension: str
    description: str
    demuxer: str
    """The first of libav's names for what reads it."""


INPUTS: Final = (
    Input("mp4", "MPEG-4 video: phones, cameras, meetings", "mov"),
    Input("m4v", "MPEG-4 video, as iTunes names it", "mov"),
    Input("mov", "QuickTime video: iPhones, cameras", "mov"),
    Input("3gp", "3GPP video of older phones", "mov"),
    Input("3g2", "3GPP2 video of older phones", "mov"),
    Input("f4v", "Flash video in MPEG-4", "mov"),
    Input("mkv", "Matroska video: OBS, discs", "matroska"),
    Input("webm", "WebM video: browsers, meetings", "matroska"),
    Input("avi", "AVI video", "avi"),
    Input("flv", "Flash video: streams", "flv"),
    Input("ts", "MPEG transport stream: television", "mpegts"),
    Input("m2ts", "AVCHD and Blu-ray video", "mpegts"),
    Input("mts", "AVCHD video of camcorders", "mpegts"),
    Input("mpg", "MPEG program stream", "mpeg"),
    Input("vob", "DVD video", "mpeg"),
    Input("ogv", "Ogg video", "ogg"),
    Input("wmv", "Windows Media video", "asf"),
    Input("asf", "Windows Media video or sound", "asf"),
    Input("rm", "RealMedia", "rm"),
    Input("mxf", "MXF video: television studios", "mxf"),
    Input("mp3", "MP3", "mp3"),
    Input("mp2", "MPEG audio layer 2: radio", "mp3"),
    Input("m4a", "AAC or ALAC in MPEG-4: voice memos", "mov"),
    Input("m4b", "Audio book in MPEG-4", "mov"),
    Input("aac", "AAC (ADTS)", "aac"),
    Input("latm", "AAC (LOAS, LATM): digital radio", "loas"),
    Input("ogg", "Vorbis, Opus, FLAC or Speex in Ogg", "ogg"),
    Input("oga", "Sound in Ogg", "ogg"),
    Input("opus", "Opus in Ogg: voice messages", "ogg"),
    Input("mka", "Sound in Matroska", "matroska"),
    Input("weba", "Sound in WebM", "matroska"),
    Input("wma", "Windows Media audio", "asf"),
    Input("flac", "FLAC, without loss", "flac"),
    Input("wav", "WAV, also BWF and RF64", "wav"),
    Input("w64", "Sony Wave64", "w64"),
    Input("aiff", "AIFF", "aiff"),
    Input("aifc", "AIFF-C", "aiff"),
    Input("caf", "Core Audio", "caf"),
    Input("au", "Sun audio", "au"),
    Input("wv", "WavPack, without loss", "wv"),
    Input("tta", "True Audio, without loss", "tta"),
    Input("amr", "AMR: dictation machines, older phones", "amr"),
    Input("ac3", "Dolby Digital", "ac3"),
    Input("eac3", "Dolby Digital Plus", "eac3"),
    Input("dts", "DTS", "dts"),
)
"""What the tests make a file of and send through. Its demuxers are all that may open a file; see `pipeline.ffmpeg`."""


def tables() -> str:
    """Inputs, outputs and presets as Markdown."""
    taken = [f"| {row.extension} | {row.description} |" for row in INPUTS]
    made = [
        f"| `{name}` | .{row.extension} | {row.media_type} | {row.description} | {_quoted(SIZES[name])} |"
        for name, row in OUTPUTS.items()
    ]
    sets = [
        f"| `{name}` | {use} | {_quoted(f'{option}={_shown(value)}' for option, value in PRESETS[name].items())} |"
        for name, use in USES.items()
    ]
    return "\n".join(
        [
            *("## In", "| extension | what it is |", "|---|---|", *taken, ""),
            *("## Out", "| `audio` | file | media type | what it is | size by |", "|---|---|---|---|---|", *made, ""),
            *("## Presets", "| `preset` | for | sets |", "|---|---|---|", *sets, ""),
        ]
    )


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _shown(value: object) -> str:
    """As it is written in a form."""
    match value:
        case tuple():
            return ",".join(value)
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return str(value)
