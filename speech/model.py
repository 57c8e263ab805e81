"""What a speech model is asked and what it answers; `speech.shelf` has the real ones."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import BaseModel, Field, field_validator, model_validator

PROMPT_CHARACTERS = 10_000
"""More than any model reads: Whisper takes the last 223 tokens."""


class Wishes(BaseModel):
    """The form of POST /v1/audio/transcriptions, https://platform.openai.com/docs/api-reference/audio/createTranscription.

    `task` is what the address says.
    """

    task: Literal["transcribe", "translate"] = "transcribe"
    model: str
    language: str | None = None
    """ISO 639-1, of what is said; detected where it is not given."""
    prompt: str | None = Field(None, max_length=PROMPT_CHARACTERS)
    temperature: float = Field(0, ge=0, le=1)
    response_format: Literal["json", "text", "verbose_json", "srt", "vtt"] = "json"
    granularities: list[Literal["segment", "word"]] = Field([], alias="timestamp_granularities[]")
    stream: bool = False

    @field_validator("language")
    @classmethod
    def _plain(cls, language: str | None) -> str | None:
        return language.strip().lower() or None if language else None

    @model_validator(mode="after")
    def _streamable(self) -> Self:
        if self.stream and self.timed:
            raise Unusable("Only json and text can be streamed.", "response_format")
        return self

    @property
    def timed(self) -> bool:
        """The answer tells when something was said."""
        return self.response_format not in ("json", "text")


class Word(BaseModel):
    """`probability` is not OpenAI's; its SDKs hand it on."""

    word: str
    start: float
    end: float
    probability: float


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
    words: list[Word] = Field([], exclude=True)

    def moved(self, number: int, offset: float) -> "Segment":
        """As the one of that number, `offset` seconds later."""

        def later(time: float) -> float:
            return round(time + offset, 3)

        words = [word.model_copy(update={"start": later(word.start), "end": later(word.end)}) for word in self.words]
        times = {"start": later(self.start), "end": later(self.end), "seek": self.seek + round(offset * 100)}
        return self.model_copy(update={"id": number, "words": words, **times})


@dataclass
class Hearing:
    """A recording of `duration` seconds while it is heard: `segments` come one by one, and `beat` is called all along."""

    duration: float
    language: str
    """ISO 639-1; sure once the first segment has come."""
    segments: Iterator[Segment]


class Unusable(Exception):
    """The request can never be answered. `reason` is a sentence for its sender, `param` the field at fault."""

    def __init__(self, reason: str, param: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param


class Models(Protocol):
    def ready(self) -> Mapping[str, bool]:
        """Tells of each model whether its files are there; loads nothing."""

    def hearing(
        self, model: str, audio: Path, wishes: Wishes, beat: Callable[[], None]
    ) -> AbstractContextManager[Hearing]:
        """Entered for one request at a time. `audio` lies alone in a folder that the model may write to.

        `beat` is called every few seconds, and what it raises goes on. Raises Unusable.
        """
