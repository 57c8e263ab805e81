"""What was said in a recording, and when."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Self


@dataclass(frozen=True)
class Segment:
    """A piece of what was said; `start` and `end` in milliseconds from the recording's beginning."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Transcript:
    """`segments` are in order, one after the other: none is empty, overlaps the next, or lasts no time. `duration` in seconds."""

    language: str | None
    duration: float
    model: str
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, pieces: Iterable[Segment], *, language: str | None, duration: float, model: str) -> Self:
        """Makes a transcript of whatever pieces a speech service gave."""
        return cls(language, duration, model, _in_order(pieces))


def _in_order(pieces: Iterable[Segment]) -> tuple[Segment, ...]:
    """Of two pieces that overlap, the first ends where the second begins: people hear the second begin."""
    folded = (Segment(max(0, piece.start), piece.end, _fold(piece.text)) for piece in pieces)
    ordered: list[Segment] = []
    for piece in sorted((piece for piece in folded if piece.text), key=attrgetter("start")):
        start = piece.start
        if ordered:
            last = ordered.pop()
            start = max(start, last.start + 1)
            ordered.append(Segment(last.start, min(last.end, start), last.text))
        ordered.append(Segment(start, max(piece.end, start + 1), piece.text))
    return tuple(ordered)


def _fold(text: str) -> str:
    """One line, without control characters and halves of characters, which no subtitle file can hold."""
    kept = (" " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)
    return " ".join("".join(kept).split())
