"""Stretches of a part's audio in a file of their own, and where that was said which is heard in it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import ffmpeg

from pipeline.errors import Retry
from pipeline.ffmpeg import FFmpegFailed, run, sound
from pipeline.work import Progress
from transcriber import tokens
from transcriber.heard import Heard
from transcriber.parts import Clock, Span
from transcriber.samples import BARE, RATE, put_together

_GAP: Final = 1.0
"""Seconds of silence between two stretches: models end a sentence there, and go on with none."""


def excerpt(audio: Path, spans: Sequence[Span], seconds: float, progress: Progress) -> Path:
    """Writes `spans` of `audio`, which lasts `seconds`, one after the other beside it: to the sample, and coded as it is.

    There is silence between them, of which `excerpt_clock` knows. What `progress` raises goes on. Raises Retry.
    """
    made = audio.with_stem("excerpt")
    opus = {} if audio.suffix == ".flac" else {"acodec": "libopus", "audio_bitrate": "48k"}
    _convert(audio, "whole", seconds, progress, **BARE)
    put_together(audio.with_name("whole"), spans, audio.with_name("excerpt.wav"), _GAP)
    _convert(audio.with_name("excerpt.wav"), made.name, seconds, progress, map_metadata=-1, **opus)
    return made


def excerpt_clock(spans: Sequence[Span]) -> Clock:
    """From the time of an excerpt of `spans`. Raises ValueError for none."""
    return Clock(spans, _GAP / 2, _GAP)


def said_apart(piece: Heard, clock: Clock) -> Iterator[Heard]:
    """What was heard in an excerpt, when it was said: parted by its words where it goes on from one stretch to the next."""
    segment = _sounding(piece, clock).segment()
    by_stretch = groupby(tokens.tokens([segment]), lambda token: clock.number(token.middle))
    said = [(number, tokens.excerpt(segment, list(group))) for number, group in by_stretch]
    for number, cut in said:
        parted = replace(piece, start=cut.start, end=cut.end, text=cut.text, words=cut.words)
        yield (parted if len(said) > 1 else piece).at(partial(clock.placed_in, number))


def _sounding(piece: Heard, clock: Clock) -> Heard:
    """Where words have no times, its text would be shared out over the silence too: segments often have none between them."""
    if piece.words:
        return piece
    start, end = clock.without_gaps(piece.start, piece.end)
    return replace(piece, start=start, end=end)


def _convert(audio: Path, name: str, seconds: float, progress: Progress, **coded: Any) -> None:
    output = ffmpeg.output(sound(audio.name), f"file:{name}", **coded)
    try:
        run(
            output,
            folder=audio.parent,
            duration=None,
            deadline=60 + seconds,
            progress=lambda *_: progress(0),
            output_limit=2**20 + int(2 * RATE * seconds),
        )
    except FFmpegFailed as failed:
        raise Retry("A part of the recording could not be cut out.") from failed
