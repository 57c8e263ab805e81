"""Which of what a model heard it may have made up, and what becomes of that.

Models of speech invent on silence, noise and music: thanks for watching, or one line again and again. The bounds are those of
Whisper's own decoder (https://github.com/openai/whisper, `whisper/transcribe.py`).
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

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
    by_figure = groupby(pieces, attrgetter("compression"))
    windows = (window for told, group in by_figure for window in (_windows(group) if told is None else [list(group)]))
    return [
        replace(piece, compression=told) for window in windows for told in [_compression(window)] for piece in window
    ]


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


def _compression(window: Sequence[Heard]) -> float:
    """Of all the text, by what the service told of it, if it told anything."""
    told, text = window[0].compression, " ".join(piece.text for piece in window)
    by_letters = _times_smaller(text.encode("utf-16-le")[::2])  # within a script, the lower bytes tell letters apart
    return by_letters if told is None else told * by_letters / _times_smaller(text.encode())


def _times_smaller(text: bytes) -> float:
    return max(len(text), 1) / len(zlib.compress(text))
