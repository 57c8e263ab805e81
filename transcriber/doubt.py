"""Which of what a model heard it may have made up, and what becomes of that.

Models of speech invent on silence, noise and music: thanks for watching, or one line again and again. The bounds are those of
Whisper's own decoder (https://github.com/openai/whisper, `whisper/transcribe.py`).
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from transcriber.heard import Heard
from transcriber.parts import Span

MOST_COMPRESSION = 2.4
"""Text that gets smaller than this repeats itself."""
MOST_NO_SPEECH, LEAST_LOGPROB = 0.6, -1.0
"""Where nobody seems to speak, and the model is not sure of the words either, nobody does."""
HOTTER = 0.4
"""The temperature at which a model is asked once more."""

_WINDOW = 90.0
"""Seconds whose text is looked at as one, where the service tells nothing of it; longer texts get small by themselves."""


def is_silence(piece: Heard) -> bool:
    return (piece.no_speech or 0) > MOST_NO_SPEECH and (piece.logprob is None or piece.logprob < LEAST_LOGPROB)


def repeats(piece: Heard) -> bool:
    return (piece.compression or 0) > MOST_COMPRESSION


def is_doubtful(piece: Heard) -> bool:
    return is_silence(piece) or repeats(piece)


def weighed(pieces: Iterable[Heard]) -> list[Heard]:
    """With a compression for those of which the service told none: that of all the text around them.

    Letters count, not bytes: most scripts take two or three in UTF-8, which get small by themselves.
    """
    return [_weigh(piece, text) for window in _windows(pieces) for text in [_text(window)] for piece in window]


def stretches(pieces: Iterable[Heard]) -> list[Span]:
    """Where the doubtful ones are, in order and apart from each other."""
    found: list[Span] = []
    for piece in filter(is_doubtful, pieces):
        if found and piece.start <= found[-1].end:
            found[-1] = Span(start=found[-1].start, end=max(found[-1].end, piece.end))
        else:
            found.append(Span(start=piece.start, end=piece.end))
    return [span for span in found if span.end > span.start]


def settled(pieces: Iterable[Heard]) -> list[Heard]:
    """What still is silence is dropped, what still repeats itself is kept and marked."""
    return [replace(piece, doubtful=repeats(piece)) for piece in pieces if not is_silence(piece)]


def _windows(pieces: Iterable[Heard]) -> Iterator[list[Heard]]:
    window: list[Heard] = []
    for piece in pieces:
        if window and piece.end - window[0].start > _WINDOW:
            yield window
            window = []
        window.append(piece)
    if window:
        yield window


def _text(window: list[Heard]) -> bytes:
    return _letters(" ".join(piece.text for piece in window))


def _weigh(piece: Heard, text: bytes) -> Heard:
    if piece.compression is None:
        return replace(piece, compression=len(text) / len(zlib.compress(text)))
    written = len(piece.text.encode())
    return replace(piece, compression=piece.compression * len(_letters(piece.text)) / written) if written else piece


def _letters(text: str) -> bytes:
    """A byte for each: within a script the lower ones tell them apart."""
    return text.encode("utf-16-le")[::2]
