"""What goes wrong with strangers' recordings, in words that the worker and the user understand."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import GUARDS, FFmpegFailed, Kind
from pipeline.probe import Why

REASONS: dict[Kind | Why, str] = {
    "empty": "This file is empty.",
    "not media": "This file cannot be read as a recording: it is of another kind.",
    "damaged": "This file cannot be read as a recording: it is damaged.",
    "no index": "This file cannot be read as a recording: its index (moov) is missing, which is written last. The file is "
    "cut short, or its recording never ended; copy or save it again.",
    "streams": f"This recording has more than {GUARDS['max_streams']} tracks; that is more than can be taken.",
    "playlist": "This file is a playlist: it only points at recordings; upload those.",
    "time": "Looking into this recording took too long; the file seems to be damaged, or made to do harm.",
    "error": "The sound of this recording cannot be decoded; the file seems to be damaged or copy-protected.",
    "deadline": "The recording took too long to convert.",
    "memory": "This recording takes more memory than any should; the file seems to be damaged, or made to do harm.",
    "channels": "The sound of this recording has channels without a known place, such as left or right, so they cannot be "
    "mixed.",
    "changes": "The sound of this recording changes its channels or sample rate too often to be converted.",
    "output limit": "The sound of this recording is larger than can be converted.",
}
"""What a person reads, by what ffmpeg ran into, or why the probe could not read the file."""


@contextmanager
def explained() -> Iterator[None]:
    """Turns failures of ffmpeg into Reject and Retry."""
    try:
        yield
    except FFmpegFailed as failed:
        if failed.kind == "machine":
            raise Retry("ffmpeg was stopped by its machine") from failed
        raise Reject(REASONS[failed.kind]) from failed


def breaks_off(seconds: float, promised: float | None) -> bool:
    """Codecs pad and trim up to 0.06 s at the ends, and clocks of long recordings drift."""
    return promised is not None and seconds < promised - min(2.0, max(0.5, promised / 1000))


def lasts_on(seconds: float, promised: float | None) -> bool:
    """By the same measure too long."""
    return promised is not None and breaks_off(promised, seconds)


def check_length(seconds: float, promised: float | None) -> None:
    """Raises Reject if the sound is shorter than it has to be; both are seconds."""
    if promised and breaks_off(seconds, promised):
        raise Reject(
            f"The recording breaks off after {int(seconds)} of {ceil(promised)} seconds; the file seems to be cut short."
        )
