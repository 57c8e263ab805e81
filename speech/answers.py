"""What was said, in each of OpenAI's response formats."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from flask import Response, jsonify

from speech.model import Hearing, Segment, Wishes


def answer(hearing: Hearing, wishes: Wishes) -> Response:
    """Hears all of it first."""
    segments = list(hearing.segments)
    match wishes.response_format:
        case "text":
            return _plain(_text(segments) + "\n", "text/plain")
        case "srt":
            return _plain("".join(_srt(segments)), "text/plain")
        case "vtt":
            return _plain("".join(_vtt(segments)), "text/vtt")
    body: dict[str, Any] = {"text": _text(segments)}
    if wishes.response_format == "verbose_json":
        body |= _verbose(hearing, segments, wishes)
    return jsonify(body | {"usage": {"type": "duration", "seconds": ceil(hearing.duration)}})


def _verbose(hearing: Hearing, segments: Sequence[Segment], wishes: Wishes) -> dict[str, Any]:
    translated = wishes.task == "translate"
    body: dict[str, Any] = {
        "task": wishes.task,
        "language": "english" if translated else hearing.language,  # as OpenAI says it of translations
        "duration": hearing.duration,
        "segments": [segment.model_dump() for segment in segments],
    }
    if "word" in wishes.granularities:
        words = [word for segment in segments for word in segment.words]
        body["words"] = [word.model_dump() | {"word": word.word.strip()} for word in words]
    return body


def _text(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments).strip()


def _plain(text: str, kind: str) -> Response:
    return Response(text, content_type=f"{kind}; charset=utf-8")


def _srt(segments: Sequence[Segment]) -> Iterator[str]:
    for number, segment in enumerate(segments, 1):
        times = f"{_clock(segment.start)} --> {_clock(segment.end)}".replace(".", ",")
        yield f"{number}\n{times}\n{segment.text.strip()}\n\n"


def _vtt(segments: Sequence[Segment]) -> Iterator[str]:
    """https://www.w3.org/TR/webvtt1/"""
    yield "WEBVTT\n\n"
    for segment in segments:
        text = segment.text.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{_clock(segment.start)} --> {_clock(segment.end)}\n{text}\n\n"


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"
