"""What a user may ask for of the sound: presets, and every option by itself. One model for all ways in, and for OpenAPI."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

AudioFormat = Literal["mp3", "m4a", "opus", "ogg", "flac", "wav"]
Preset = Literal["podcast", "music", "voice", "archive", "phone"]
Mode = Literal["cbr", "vbr", "abr"]
SampleRate = Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000]

PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "podcast": {"audio": ("mp3",), "mode": "cbr", "bitrate": 96, "loudness": -16.0},
    "music": {"audio": ("mp3",), "mode": "vbr", "quality": 2, "loudness": "off"},
    "voice": {"audio": ("mp3",), "mode": "cbr", "bitrate": 64, "channels": 1, "speech": True},
    "archive": {"audio": ("flac",)},
    "phone": {"audio": ("m4a",), "bitrate": 48, "channels": 1, "loudness": -16.0},
}
"""What each preset sets; what is given beside it goes before it."""

MOST_CHAPTERS = 500

_CLOCK = re.compile(r"(?:(?:(\d{1,3}):)?([0-5]?\d):)?(\d{1,6}(?:\.\d{1,6})?)")
_CHAPTER = re.compile(r"\s*([\d:.]+)(?:\s+[-\u2013\u2014]\s+|\s+)(\S.*?)\s*")


def seconds_of(given: Any) -> Any:
    """`1:02:03.5`, `62:03` and `3723.5` are seconds; anything else is left for the validation of numbers to refuse."""
    found = _CLOCK.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        return given
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


def _lines(given: Any) -> Any:
    return [line for line in given.splitlines() if line.strip()] if isinstance(given, str) else given


def _chapter(line: str) -> str:
    """Raises ValueError unless `line` is a time and a title."""
    found = _CHAPTER.fullmatch(line)
    if found is None or not isinstance(seconds_of(found[1]), float):
        raise ValueError("a chapter is a time and a title, such as `1:02:03 Questions`")
    return f"{found[1]} {found[2]}"


def _listed(given: Any) -> Any:
    """A text holds several entries with commas between them."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        return texts
    parts = [part for text in texts for part in (text.split(",") if isinstance(text, str) else [text])]
    return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]


def _once(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(given))


Listed = BeforeValidator(_listed)
Seconds = Annotated[float, BeforeValidator(seconds_of), Field(ge=0, le=360000, allow_inf_nan=False)]
Loudness = Annotated[float, Field(ge=-40, le=-5)] | Literal["off"]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Chapter = Annotated[str, StringConstraints(max_length=300), AfterValidator(_chapter)]


class Audio(BaseModel):
    """How the sound is to be. What is not given is None, and then the preset holds, or the installation's default."""

    model_config = ConfigDict(frozen=True)

    preset: Preset | None = Field(
        None,
        description="`podcast`: MP3, 96 kbit/s, -16 LUFS. `music`: MP3, VBR V2, loudness as it is. `voice`: MP3, mono, "
        "64 kbit/s, speech filters. `archive`: FLAC. `phone`: M4A, mono, 48 kbit/s, -16 LUFS.",
    )
    audio: Annotated[tuple[AudioFormat, ...], Listed, AfterValidator(_once)] = Field(
        (), max_length=6, description="Which sound files to make, from one decoding; `mp3` if unset."
    )
    mode: Mode | None = Field(None, description="Of MP3: constant, variable or average bit rate; `cbr` if unset.")
    bitrate: int | None = Field(
        None,
        ge=8,
        le=512,
        description="kbit/s of MP3 (CBR, ABR), M4A and Opus; brought to the nearest that the format has.",
    )
    quality: int | None = Field(
        None, ge=0, le=9, description="Of variable bit rate (MP3, Ogg Vorbis): 0 is best, 9 smallest, as LAME's V."
    )
    channels: Literal[1, 2] | None = Field(
        None, description="1 for mono, 2 for stereo; as recorded, 2 at most, if unset."
    )
    sample_rate: SampleRate | None = Field(None, description="Hz; as recorded, as far as the format allows, if unset.")
    start: Seconds | None = Field(None, description="Leave out what is before: seconds, or h:mm:ss.")
    end: Seconds | None = Field(None, description="Leave out what is after: seconds, or h:mm:ss.")
    fade_in: Seconds | None = Field(None, le=60, description="Seconds from silence to full at the beginning.")
    fade_out: Seconds | None = Field(None, le=60, description="Seconds from full to silence at the end.")
    silence: Seconds | None = Field(
        None, ge=0.1, le=60, description="Pauses (below -50 dBFS) longer than so many seconds are cut down to that."
    )
    loudness: Loudness | None = Field(
        None,
        description="LUFS (EBU R128) that the sound is brought to by a constant gain, -16 for podcasts; `off` for as it is.",
    )
    true_peak: float | None = Field(
        None, ge=-9, le=0, description="dBTP that a loudness never goes beyond; -1 if unset."
    )
    speed: float | None = Field(None, ge=0.5, le=3, description="Times faster; the pitch stays.")
    speech: bool | None = Field(
        None, description="Filters for speech: rumble is cut, loud and soft voices come closer."
    )
    denoise: bool | None = Field(None, description="Takes steady noise away.")
    track: Annotated[str, StringConstraints(pattern=r"^(\d{1,2}|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)$")] | None = Field(
        None,
        description="Which sound track: its number, from 0, or its language (ISO 639); the default one if unset.",
    )
    partial: bool = Field(False, description="Take a recording that breaks off for what there is of it; it is marked.")
    artist: Word | None = Field(None, description="Tag of the sound files; the recording's own if unset.")
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$")] | None = Field(
        None, description="Tag: year, month or day, as 2026-11-21; the recording's own if unset."
    )
    chapters: Annotated[tuple[Chapter, ...], BeforeValidator(_lines)] | None = Field(
        None,
        max_length=MOST_CHAPTERS,
        description="A time and a title each, a line each in a form: `0:00 Welcome`. The recording's own if unset, none if empty.",
    )
    waveform: bool = Field(True, description="Whether to draw a waveform picture and its peaks.")

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> "Audio":
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end has to be after start")
        return self

    def profile(self, bitrate: int) -> "Profile":
        """What holds, with the preset and defaults filled in; `bitrate` is the installation's, kbit/s."""
        given = {name: value for name, value in self if name in Profile.model_fields and value not in (None, ())}
        preset = PRESETS[self.preset] if self.preset else {}
        return Profile.model_validate({"bitrate": bitrate, **preset, **given})


class Profile(BaseModel):
    """How every sound file of a job is made: presets and defaults resolved, as in `Audio`, None where there is nothing to do."""

    model_config = ConfigDict(frozen=True)

    audio: tuple[AudioFormat, ...] = ("mp3",)
    mode: Mode = "cbr"
    bitrate: int
    """kbit/s."""
    quality: int = 4
    channels: Literal[1, 2] | None = None
    sample_rate: SampleRate | None = None
    start: float = 0.0
    end: float | None = None
    fade_in: float = 0.0
    fade_out: float = 0.0
    silence: float | None = None
    loudness: Loudness = "off"
    true_peak: float = -1.0
    speed: float = 1.0
    speech: bool = False
    denoise: bool = False

    @property
    def as_recorded(self) -> bool:
        """Nothing is done to the sound but encoding it."""
        return self.model_copy(
            update={name: Profile.model_fields[name].default for name in ("audio", "mode", "quality", "true_peak")}
        ) == Profile(bitrate=self.bitrate)

    def seconds(self, recorded: float) -> float:
        """How long the sound of a recording of `recorded` seconds becomes, but for silence that is cut."""
        end = recorded if self.end is None else min(self.end, recorded)
        return max(0.0, end - self.start) / self.speed
