"""What was said in a recording, and when: what the parts of a transcript, its versions and its corrections are made of.

A layer is one version of a transcript as a file: JSON Lines (https://jsonlines.org), first what is known of the whole, then a
segment a line, so that hours of speech are read and written a segment at a time.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter

from pipeline.work import Artifact, Passage


def _thousandths(value: float) -> float:
    return round(value, 3)


Seconds = Annotated[
    float,
    Field(ge=0, le=1e7, allow_inf_nan=False),
    AfterValidator(_thousandths),
    PlainSerializer(_thousandths, return_type=float),
]
"""Of the recording; times are kept to the millisecond."""
Share = Annotated[
    float, Field(ge=0, le=1), AfterValidator(_thousandths), PlainSerializer(_thousandths, return_type=float)
]
"""Kept to the thousandth: nobody is surer than that, and hours of speech have words by the hundred thousand."""


@dataclass(frozen=True, slots=True)
class Word:
    start: Seconds
    end: Seconds
    text: str
    confidence: Share | None = None
    """The model's own probability, where it tells one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of what was said, a sentence or so."""

    start: Seconds
    end: Seconds
    text: str
    words: tuple[Word, ...] = ()
    """Empty where the model tells no times of words."""
    speaker: str | None = None
    """As the model, or a person, calls who speaks; never guessed."""
    confidence: Share | None = None
    doubtful: bool = False
    """The model may have made it up: it repeats itself, also when asked again."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a transcript as a whole."""

    duration: Seconds
    """Of the recording."""
    language: str | None = None
    """ISO 639, as the service found it or the user named it."""
    model: str | None = None
    """None for what a person wrote."""
    translated: bool = False
    """The text is English, whatever was spoken."""
    timed: bool = True
    """Times are the model's own; otherwise they are shared out by the length of the text."""


class LayerFacts(BaseModel):
    """The facts of an artifact `layer`: what its owner sees of a version before reading it."""

    model_config = ConfigDict(frozen=True)

    version: int = Field(ge=1)
    """Counts from 1 over all of a job; the highest is the one that holds."""
    author: str | None = None
    """The owner who corrected it; None for the machine."""
    at: AwareDatetime
    model: str | None = None
    language: str | None = None
    translated: bool = False

    @classmethod
    def of(cls, layer: Artifact) -> Self:
        return cls.model_validate(layer.facts)


MEDIA_TYPE: Final = "application/jsonl"
"""Of a layer."""

_ABOUT, _SEGMENT = TypeAdapter(About), TypeAdapter(Segment)


def write_layer(path: Path, about: About, segments: Iterable[Segment]) -> None:
    with path.open("wb") as file:
        file.write(_ABOUT.dump_json(about) + b"\n")
        for segment in segments:
            file.write(_SEGMENT.dump_json(segment, exclude_defaults=True) + b"\n")


@dataclass(frozen=True)
class Layer:
    """A layer in the file `path`."""

    path: Path

    @property
    def about(self) -> About:
        """Raises ValueError for what is no layer."""
        with self.path.open("rb") as file:
            return _ABOUT.validate_json(file.readline())

    def segments(self) -> Iterator[Segment]:
        """In the order of the file. Raises ValueError."""
        with self.path.open("rb") as file:
            next(file, None)
            yield from map(_SEGMENT.validate_json, file)


def fold(text: str) -> str:
    """One line, without control characters and halves of characters, which no subtitle file can hold."""
    kept = (" " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)
    return " ".join("".join(kept).split())


CJK: Final = r"\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
"""Characters of Chinese and Japanese, for a class in a regular expression."""
_CJK = re.compile(f"[{CJK}]")


def joint(before: str, after: str) -> str:
    """What goes between two pieces of text: a space, but nothing where both sides are Chinese or Japanese."""
    return "" if _CJK.match(before[-1:]) and _CJK.match(after[:1]) else " "


PASSAGE_SECONDS, PASSAGE_CHARACTERS = 30.0, 300
"""What a passage is about as long as: a hit is found by ear from where it begins, and its text fits a line or two."""


def passages(segments: Iterable[Segment]) -> Iterator[Passage]:
    """What search finds a transcript by: all that was said, in order, in pieces that are neither long nor cut at every breath."""
    last: Passage | None = None
    for piece in chain.from_iterable(map(_pieces, segments)):
        if last and _fit(last, piece):
            text = f"{last.text}{joint(last.text, piece.text)}{piece.text}"
            last = Passage(last.start, max(last.end, piece.end), text)
            continue
        if last:
            yield last
        last = piece
    if last:
        yield last


def _fit(last: Passage, piece: Passage) -> bool:
    long = piece.end - last.start > PASSAGE_SECONDS
    return not long and len(last.text) + len(piece.text) < PASSAGE_CHARACTERS


def _pieces(segment: Segment) -> Iterator[Passage]:
    """A service that tells no times may give minutes of text as one segment; its time is shared out by length then."""
    texts = wrap(fold(segment.text), PASSAGE_CHARACTERS, break_on_hyphens=False)
    pace = max(0.0, segment.end - segment.start) / max(1, sum(map(len, texts)))
    ends = [segment.start + pace * said for said in accumulate(map(len, texts), initial=0)]
    for (start, end), text in zip(pairwise(ends), texts, strict=True):
        yield Passage(round(start, 3), round(end, 3), text)
