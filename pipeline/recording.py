"""What is known of a recording's sound: found out once by `extract`, kept beside the track, read by all that follows."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from pipeline.work import Task


class Chapter(BaseModel):
    model_config = ConfigDict(frozen=True)

    start: float
    """Seconds of the recording."""
    title: str


class Track(BaseModel):
    """The facts of an artifact of kind `track`."""

    model_config = ConfigDict(frozen=True)

    stream: int
    """Its place among all streams of the file."""
    seconds: float
    begins: float = 0.0
    """What the file's clock shows at the beginning, in seconds; see `pipeline.ffmpeg.sound`."""
    codec: str
    """libav's name of the decoder."""
    channels: int
    sample_rate: int
    """Hz."""
    bit_rate: int | None = None
    """Bits a second, where the file says so, or holds little else."""
    constant: bool = False
    """An MP3 whose bit rate does not change."""
    container: str | None = None
    """libav's name of the demuxer, where the track is the original, and that is this sound and at most covers and chapters."""
    bits: int | None = None
    """Of a sample as the decoder gives it, where that is known: 16, or 32 also for 24."""
    exact: bool = False
    """Sample n is found by seeking: no packet is missing, and none depends on more than those just before it."""
    partial: bool = False
    """The recording breaks off, and its owner takes what there is."""
    tags: dict[str, str] = {}
    """The maker's `title`, `artist`, `date`."""
    chapters: tuple[Chapter, ...] = ()

    @classmethod
    def of(cls, task: Task) -> Self:
        """Of the task's job. Raises LookupError before `extract` was done."""
        return cls.model_validate(task.only("track").facts)


class Level(BaseModel):
    """Loudness by EBU R128 (ITU-R BS.1770)."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    integrated: float | None
    """LUFS; None for silence."""
    range: float | None = None
    """LU."""
    true_peak: float | None = None
    """dBTP."""


class SoundFacts(BaseModel):
    """The facts of an artifact of kind `audio`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    seconds: float
    codec: str
    bit_rate: int
    """Bits a second, on the average."""
    channels: int
    sample_rate: int
    """Hz."""
    partial: bool = False
    gain: float | None = None
    """dB by which the loudness was changed, where one was asked for."""
    measured: Level | None = None
    """Before that change."""
    loudness: Level | None = None
    """As the file is; of the one that a waveform was drawn of."""
