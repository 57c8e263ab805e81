"""What an owner makes of a transcript: checked, and joined with what of the machine's work still holds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.alignment import aligned
from pipeline.correction import LONGEST_NAME, LONGEST_TEXT, MOST_SEGMENTS, TOLERANCE
from pipeline.options import Wording
from pipeline.problems import Problem
from pipeline.transcript import Seconds, Segment, fold


def _has_text(text: str) -> str:
    if not text:
        raise PydanticCustomError("no_text", "there is no text; leave the segment out")
    return text


class GivenSegment(BaseModel):
    """As a transcript's segments are answered. When words were said, and how sure the model was, is taken from what is there already."""

    start: Seconds = Field(description="Seconds of the recording, as `end`.")
    end: Seconds
    text: Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(fold), AfterValidator(_has_text)]
    speaker: Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(fold)] | None = None

    @field_validator("end")
    @classmethod
    def _is_behind_the_start(cls, end: float, info: ValidationInfo) -> float:
        if end <= info.data.get("start", -1):
            raise PydanticCustomError("end", "the end has to be behind the start")
        return end


class Correction(BaseModel):
    """The whole of a transcript as it should be."""

    segments: Annotated[list[GivenSegment], FailFast()] = Field(
        max_length=MOST_SEGMENTS, description="In any order; they may overlap."
    )
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="ISO 639-1; as it was if unset.")


class Again(Wording):
    """How to transcribe once more: what is not given stays as the job has it, null and empty give the default back."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given or {}
        fields = cls.model_fields
        return {
            name: fields[name].default if name in fields and value in (None, "", []) else value
            for name, value in given.items()
        }


def corrected(given: Sequence[GivenSegment], before: Iterable[Segment], duration: float) -> list[Segment]:
    """In the order of time, with what the version `before` knows of segments that stayed where they were.

    Raises `Problem` 422 for a segment behind the end of a recording of `duration` seconds.
    """
    for number, segment in enumerate(given):
        if segment.end > duration + TOLERANCE:
            raise Problem("invalid", f"segments.{number}.end: the recording ends at {duration:g} seconds")
    return sorted(_merged(given, before), key=lambda made: (made.start, made.end))


def _merged(given: Sequence[GivenSegment], before: Iterable[Segment]) -> Iterator[Segment]:
    """Each segment that was there is taken once: of copies without end, one has its words."""
    known = {(segment.start, segment.end, fold(segment.text)): segment for segment in before}
    kept = [known.pop((segment.start, segment.end, segment.text), None) for segment in given]
    changed = {(segment.start, segment.end): segment for segment in known.values()}
    for segment, same in zip(given, kept, strict=True):
        yield replace(same or _changed(segment, changed), speaker=segment.speaker or None)


def _changed(given: GivenSegment, changed: dict[tuple[float, float], Segment]) -> Segment:
    """A text that is new: nothing is known of it, but of words that are still there, or in whose place others are, when they were said."""
    times = given.start, given.end
    before = changed.pop(times, None)
    return Segment(*times, given.text, aligned(given.text, before.words) if before else ())
