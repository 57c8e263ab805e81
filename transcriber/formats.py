"""A transcript as files. Every function returns the whole text of a file, to be stored as UTF-8.

Written out here rather than by a subtitle library: those read `{...}` and backslashes in speech as styling, and stop at 100 hours.
"""

import json
from collections.abc import Callable
from html import escape

from transcriber.transcript import Segment, Transcript


def txt(transcript: Transcript) -> str:
    """A segment a line; empty where nothing was said."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def srt(transcript: Transcript) -> str:
    """SubRip, https://www.loc.gov/preservation/digital/formats/fdd/fdd000569.shtml. It has no way to escape an arrow."""
    return "".join(
        f"{number}\n{_times(segment, ',')}\n{segment.text.replace('-->', '→')}\n\n"
        for number, segment in enumerate(transcript.segments, 1)
    )


def vtt(transcript: Transcript) -> str:
    """WebVTT, https://www.w3.org/TR/webvtt1/."""
    cues = (f"{_times(segment, '.')}\n{escape(segment.text, quote=False)}\n\n" for segment in transcript.segments)
    return "WEBVTT\n\n" + "".join(cues)


def as_json(transcript: Transcript) -> str:
    """`{"language", "duration", "model", "text", "segments": [{"start", "end", "text"}]}`; times in seconds.

    `language` is what the speech service calls it, or null; `text` is all segments, with spaces between.
    """
    segments = [
        {"start": segment.start / 1000, "end": segment.end / 1000, "text": segment.text}
        for segment in transcript.segments
    ]
    document = {
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        "model": transcript.model,
        "text": " ".join(segment.text for segment in transcript.segments),
        "segments": segments,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


FORMATS: dict[str, tuple[str, Callable[[Transcript], str]]] = {
    "txt": ("text/plain; charset=utf-8", txt),
    "srt": ("application/x-subrip", srt),
    "vtt": ("text/vtt", vtt),
    "json": ("application/json", as_json),
}
"""By extension: media type and writer."""


def _times(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}"


def _clock(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"
