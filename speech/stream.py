"""What is being said, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) of OpenAI's kinds."""

import json
from collections.abc import Iterator
from itertools import chain

import structlog
from flask import Response
from werkzeug.exceptions import ClientDisconnected

from speech.errors import ApiError, described
from speech.model import Hearing

log = structlog.get_logger()


def stream(hearing: Hearing) -> Response:
    """The first piece has been heard when this returns: what fails so far gets a status."""
    first = next(hearing.segments, None)
    texts = (segment.text for segment in chain([first], hearing.segments) if segment)
    response = Response(_events(texts), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-cache"
    return response


def _events(texts: Iterator[str]) -> Iterator[str]:
    said = ""
    try:
        for text in texts:
            delta = text if said else text.lstrip()
            said += delta
            yield _event({"type": "transcript.text.delta", "delta": delta})
    except ClientDisconnected:
        return
    except Exception:
        log.exception("a stream broke off")
        yield _event({"error": described(ApiError(500, "The server failed."))})
        return
    yield _event({"type": "transcript.text.done", "text": said})


def _event(data: dict[str, object]) -> str:
    return f"data: {json.dumps(data)}\n\n"
