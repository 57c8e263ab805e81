"""What a speech model is asked and what it answers; `speech.whisper` is the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, Field


class Wishes(BaseModel):
    """The form of POST /v1/audio/transcriptions, https://platform.openai.com/docs/api-reference/audio/createTranscription."""

    model: str
    language: str | None = None
    """ISO 639-1; detected where it is not given."""
    prompt: str | None = None
    temperature: float = Field(0, ge=0, le=1)
    response_format: Literal["json", "text", "verbose_json"] = "json"
    granularities: list[Literal["segment", "word"]] = Field([], alias="timestamp_granularities[]")


class Word(BaseModel):
    word: str
    start: float
    end: float


class Segment(BaseModel):
    """A piece of what was said; times in seconds. The other figures are Whisper's own."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Speech(BaseModel):
    """What was said in `duration` seconds."""

    language: str
    duration: float
    segments: list[Segment]
    words: list[Word] = []

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments).strip()


class Unusable(Exception):
    """The request can never be answered. `reason` is a sentence for its sender, `param` the field at fault."""

    def __init__(self, reason: str, param: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param


class Model(Protocol):
    name: str

    def ready(self) -> bool:
        """Tells whether the model's files are there; loads nothing."""

    def transcribe(self, audio: Path, wishes: Wishes, beat: Callable[[], None]) -> Speech:
        """Called for one request at a time. `audio` lies alone in a folder that the model may write to.

        It calls `beat` every few seconds, and what that raises goes on. Raises Unusable.
        """
