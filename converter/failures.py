"""What goes wrong with strangers' recordings, in words that the worker and the user understand."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from pipeline.errors import Reject, Retry
from pipeline.ffmpeg import FFmpegFailed, Kind

_REASONS: dict[Kind, str] = {
    "error": "The sound of this recording cannot be decoded; the file seems to be damaged or copy-protected.",
    "deadline": "The recording took too long to convert.",
    "memory": "This recording takes more memory than any should; the file seems to be damaged, or made to do harm.",
    "output limit": "The sound of this recording is larger than can be converted.",
}


@contextmanager
def explained() -> Iterator[None]:
    """Turns failures of ffmpeg into Reject and Retry."""
    try:
        yield
    except FFmpegFailed as failed:
        if failed.kind == "machine":
            raise Retry("ffmpeg was stopped by its machine") from failed
        raise Reject(_REASONS[failed.kind]) from failed


def breaks_off(seconds: float, promised: float | None) -> bool:
    """Codecs pad and trim up to 0.06 s at the ends, and clocks of long recordings drift."""
    return bool(promised) and seconds < promised - max(0.5, promised / 1000)


def check_length(seconds: float, promised: float | None) -> None:
    """Raises Reject if the sound is shorter than it has to be; both are seconds."""
    if promised and breaks_off(seconds, promised):
        raise Reject(
            f"The recording breaks off after {int(seconds)} of {ceil(promised)} seconds; the file seems to be cut short."
        )
