"""What a user may ask for of the sound: presets, and every option by itself. One model for all ways in, and for OpenAPI."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import chain, pairwise
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

AudioFormat = Literal["mp3", "m4a", "opus", "ogg", "flac", "wav"]
Preset = Literal["podcast", "music", "voice", "archive", "phone"]
Mode = Literal["cbr", "vbr", "abr"]

PRESETS: Final[Mapping[Preset, Mapping[str, Any]]] = {
    "podcast": {"audio": ("mp3",), "mode": "cbr", "bitrate": 96, "loudness": -16.0},
    "music": {"audio": ("mp3",), "mode": "vbr", "quality": 2, "loudness": "off"},
    "voice": {"audio": ("mp3",), "mode": "cbr", "bitrate": 64, "channels": 1, "speech": True},
    "archive": {"audio": ("flac",)},
    "phone": {"audio": ("m4a",), "bitrate": 48, "channels": 1, "loudness": -16.0},
}
"""What each preset sets; what is given beside it goes before it."""

SIZES: Final[Mapping[AudioFormat, tuple[str, ...]]] = {
    "mp3": ("mode", "bitrate", "quality"),
    "m4a": ("bitrate",),
    "opus": ("bitrate",),
    "ogg": ("quality",),
    "flac": (),
    "wav": (),
}
"""Which of the options that say how large a sound file becomes count for it. Of MP3, the mode says which of the other two."""

_SIZING: Final = frozenset(chain.from_iterable(SIZES.values()))

LONGEST = 360_000
"""Seconds of a recording that can be asked for."""
MOST_CHAPTERS = 500

_CLOCK = re.compile(r"(\d{1,3}:[0-5]?\d|\d{1,4}):[0-5]?\d(\.\d{1,6})?|\d{1,6}(\.\d{1,6})?", re.ASCII)
_CHAPTER = re.compile(r"\s*([\d:.]+)(?:\s+[-\u2013\u2014]\s+|\s+)(\S.*?)\s*")


def seconds_of(given: Any) -> Any:
    """`1:02:03.5`, `62:03.5` and `3723.5` are seconds; anything else is left for the validation of numbers to refuse."""
    clock = given.strip() if isinstance(given, str) else ""
    if not _CLOCK.fullmatch(clock):
        return given
    return sum(60**power * float(part) for power, part in enumerate(reversed(clock.split(":"))))


def _lines(given: Any) -> Any:
    """A text holds an entry a line."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        return texts
    lines = [line for text in texts for line in (text.splitlines() if isinstance(text, str) else [text])]
    return [line for line in lines if not isinstance(line, str) or line.strip()]


def _chapter(line: str) -> str:
    """Raises PydanticCustomError unless `line` is a time and a title."""
    found = _CHAPTER.fullmatch(line)
    start = seconds_of(found[1]) if found else None
    if found is None or not isinstance(start, float) or start > LONGEST:
        raise PydanticCustomError(
            "chapter", "'{line}' is not a time and a title, such as '1:02:03 Questions'", {"line": line[:60]}
        )
    return f"{found[1]} {found[2]}"


def _day(given: str) -> str:
    """Raises ValueError unless the calendar has it."""
    date.fromisoformat((given + "-01-01")[:10])
    return given


def _listed(given: Any) -> Any:
    """A text holds several entries with commas between them."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        return texts
    parts = [part for text in texts for part in (text.split(",") if isinstance(text, str) else [text])]
    return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]


def _once(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(given))


def _number(given: Any) -> Any:
    """The same number, also of a text: a form and a query have nothing else."""
    return int(given) if isinstance(given, str) and re.fullmatch(r"\s*[0-9]{1,6}\s*", given) else given


def _text(given: Any) -> Any:
    """The same text, also of a number: `2026` and `1` are written so in JSON."""
    return str(given) if type(given) is int else given


Listed = BeforeValidator(_listed)
Channels = Annotated[Literal[1, 2], BeforeValidator(_number)]
SampleRate = Annotated[
    Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000], BeforeValidator(_number)
]
Time = Annotated[
    float,
    Field(ge=0, le=LONGEST, allow_inf_nan=False),
    BeforeValidator(seconds_of),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0, "maximum": LONGEST}, {"type": "string", "examples": ["1:02:03.5"]}]}
    ),
]
Fade = Annotated[float, Field(ge=0, le=60)]
Loudness = Annotated[float, Field(ge=-40, le=-5)] | Literal["off"]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
TrackName = Annotated[
    str, StringConstraints(pattern=r"^(\d{1,2}|[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)$"), BeforeValidator(_text)
]
Day = Annotated[
    str, StringConstraints(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$"), BeforeValidator(_text), AfterValidator(_day)
]
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
    mode: Mode | None = Field(
        None,
        description="Of MP3: constant, variable or average bit rate. `vbr` if a `quality` is given and no `bitrate`, else `cbr`.",
    )
    bitrate: int | None = Field(
        None,
        ge=8,
        le=512,
        description="kbit/s of MP3 (CBR, ABR), M4A and Opus; brought to the nearest that the format has.",
    )
    quality: int | None = Field(
        None, ge=0, le=9, description="Of variable bit rate (MP3, Ogg Vorbis): 0 is best, 9 smallest, as LAME's V."
    )
    channels: Channels | None = Field(None, description="1 for mono, 2 for stereo; as recorded, 2 at most, if unset.")
    sample_rate: SampleRate | None = Field(None, description="Hz; as recorded, as far as the format allows, if unset.")
    start: Time | None = Field(None, description="Leave out what is before: seconds, or h:mm:ss.")
    end: Time | None = Field(None, description="Leave out what is after: seconds, or h:mm:ss.")
    fade_in: Fade | None = Field(None, description="Seconds from silence to full at the beginning.")
    fade_out: Fade | None = Field(None, description="Seconds from full to silence at the end.")
    silence: float | None = Field(
        None, ge=0.1, le=60, description="Pauses (below -50 dBFS) longer than so many seconds are cut down to that."
    )
    loudness: Loudness | None = Field(
        None,
        description="LUFS (EBU R128) that the sound is brought to by a constant gain, -16 for podcasts; `off` for as it is.",
    )
    true_peak: float | None = Field(
        None,
        ge=-9,
        le=0,
        description="dBTP that no peak goes beyond where a loudness is asked for; -1 if unset. Of lossy formats that holds for "
        "the sound before it is encoded, with 1.5 dB to spare: coding adds to peaks, at low bit rates more than that.",
    )
    speed: float | None = Field(None, ge=0.5, le=3, description="Times faster; the pitch stays.")
    speech: bool | None = Field(
        None, description="Filters for speech: rumble is cut, loud and soft voices come closer."
    )
    denoise: bool | None = Field(None, description="Takes steady noise away.")
    track: TrackName | None = Field(
        None,
        description="Which sound track: its number, from 0, or its language (ISO 639); the default one if unset.",
    )
    partial: bool = Field(False, description="Take a recording that breaks off for what there is of it; it is marked.")
    artist: Word | None = Field(None, description="Tag of the sound files; the recording's own if unset.")
    date: Day | None = Field(None, description="Tag: year, month or day, as 2026-11-21; the recording's own if unset.")
    chapters: Annotated[tuple[Chapter, ...], BeforeValidator(_lines)] | None = Field(
        None,
        max_length=MOST_CHAPTERS,
        description="A time and a title each, a line each in a form: `0:00 Welcome`. The recording's own if unset, none if empty.",
    )
    waveform: bool = Field(True, description="Whether to draw a waveform picture and its peaks.")

    @model_validator(mode="after")
    def _makes_sense(self) -> "Audio":
        """Raises ValidationError, which names the field, for what is surely a mistake."""
        mistakes = [
            InitErrorDetails(type=PydanticCustomError("contradiction", message), loc=(name,), input=getattr(self, name))
            for name, message in self._contradictions()
        ]
        if mistakes:
            raise ValidationError.from_exception_data(type(self).__name__, mistakes)
        return self

    def _contradictions(self) -> Iterator[tuple[str, LiteralString]]:
        wanted = self.profile(bitrate=0)
        if self.start is not None and self.end is not None and self.end <= self.start:
            yield "end", "has to be after start"
        if self.mode and "mp3" not in wanted.audio:
            yield "mode", "counts for mp3 only, which is not among what is asked for"
        if self.bitrate is not None and not _counts("bitrate", wanted):
            yield "bitrate", "counts for m4a, opus and mp3 (in mode cbr or abr), none of which is asked for"
        if self.quality is not None and not _counts("quality", wanted):
            yield "quality", "counts for ogg and mp3 (in mode vbr), none of which is asked for"
        if self.true_peak is not None and wanted.loudness == "off":
            yield "true_peak", "counts only where a loudness is asked for"
        if self.chapters and self.silence is not None:
            yield "chapters", "cannot be given where silence is cut, as nobody knows their times then"
        starts = [seconds_of(line.split()[0]) for line in self.chapters or ()]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            yield "chapters", "have to begin one after another"

    def profile(self, bitrate: int) -> "Profile":
        """What holds, with the preset and defaults filled in; `bitrate` is the installation's, kbit/s."""
        given = {name: value for name, value in self if name in Profile.model_fields and value not in (None, ())}
        if self.mode is None and (self.bitrate is not None or self.quality is not None):
            given["mode"] = "vbr" if self.bitrate is None else "cbr"
        asked = {**(PRESETS[self.preset] if self.preset else {}), **given}
        return Profile.model_validate({"bitrate": bitrate, "sized": not _SIZING.isdisjoint(asked), **asked})


def _counts(name: str, wanted: "Profile") -> bool:
    unused = "bitrate" if wanted.mode == "vbr" else "quality"
    return any(name in SIZES[form] and (form, name) != ("mp3", unused) for form in wanted.audio)


class Profile(BaseModel):
    """How every sound file of a job is made: presets and defaults resolved, as in `Audio`, None where there is nothing to do."""

    model_config = ConfigDict(frozen=True)

    audio: tuple[AudioFormat, ...] = ("mp3",)
    mode: Mode = "cbr"
    bitrate: int
    """kbit/s."""
    quality: int = 4
    sized: bool = False
    """A mode, bit rate or quality was asked for, by itself or with a preset: the bit rate is not the installation's."""
    channels: Channels | None = None
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
        """Nothing is done to the sound but encoding it, perhaps with other channels or at another rate."""
        done = (self.start, self.end, self.fade_in, self.fade_out, self.silence, self.speech, self.denoise)
        return not any(done) and self.loudness == "off" and self.speed == 1

    def seconds(self, recorded: float) -> float:
        """How long the sound of a recording of `recorded` seconds becomes, but for silence that is cut."""
        end = recorded if self.end is None else min(self.end, recorded)
        return max(0.0, end - self.start) / self.speed
