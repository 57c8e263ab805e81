"""The one place that speaks to an OpenAI-shaped service, and puts its troubles into the pipeline's words."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event
from typing import Annotated, Any, Literal

import openai
from pydantic import BaseModel, Field, ValidationError

from pipeline.background import begin
from pipeline.errors import Reject, Retry
from pipeline.telemetry import traceparent

BEAT = 0.25
"""Seconds between two calls of `beat` while the service thinks."""

LONGEST_DELAY = 600.0
"""Seconds that a service may ask us to stay away."""

_CONNECT_SECONDS = 10

_REJECTIONS = {
    401: "The speech service does not accept the key of this server. Please tell whoever runs it.",
    403: "The speech service does not let this server in. Please tell whoever runs it.",
    404: "The speech service does not have the model that this server asks for. Please tell whoever runs it.",
    413: "The recording is too long for the speech service.",
}
_TEMPORARY = {408, 409, 425, 429}


Seconds = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]


class Piece(BaseModel):
    start: Seconds
    end: Seconds
    text: str


class Answer(BaseModel):
    """What we read of a service's answer; `segments` and `language` are not there in the plain `json` format."""

    text: str
    language: str | None = None
    segments: list[Piece] | None = None


def ask(
    client: openai.OpenAI,
    model: str,
    audio: Path,
    language: str | None = None,
    *,
    limit: float,
    beat: Callable[[float], None],
) -> Answer:
    """Sends `audio`, spoken in `language` (ISO 639-1) if that is known, and calls `beat` with the seconds gone, several times a second, until the answer is there.

    It takes `limit` seconds at most. What `beat` raises goes on at once; the connection of the call that is left behind is
    cut, so that the service can see that nobody waits any more.
    Raises Retry or Reject.
    """
    with _connection() as connection, _translated():
        own = client.with_options(
            http_client=connection,
            max_retries=0,
            timeout=openai.Timeout(limit, connect=_CONNECT_SECONDS),
            default_headers={"traceparent": trace} if (trace := traceparent()) else {},
        )
        return _await(begin(lambda: _transcribe(own, model, audio, language), "speech-service"), limit, beat)


@contextmanager
def _connection() -> Iterator[openai.DefaultHttpxClient]:
    """A client whose connections are cut at the end of the block: closing one while another thread reads from it tells nobody."""
    sockets: list[socket.socket] = []
    over = Event()

    def note(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            sockets.append(info["return_value"].get_extra_info("socket"))
            if over.is_set():
                _cut(sockets[-1])

    def watch(request: Any) -> None:
        request.extensions["trace"] = note

    with openai.DefaultHttpxClient(event_hooks={"request": [watch]}) as client:
        try:
            yield client
        finally:
            over.set()
            for each in sockets:
                _cut(each)


def _cut(connection: socket.socket) -> None:
    """Below TLS: what another thread still sends must not go out in the clear, as after the shutdown of a TLS socket."""
    with suppress(OSError):  # closed already, or its TLS socket has taken it over
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _transcribe(client: openai.OpenAI, model: str, audio: Path, language: str | None) -> Answer:
    try:
        return _request(client, model, audio, language, "verbose_json")
    except openai.BadRequestError as error:
        if "response_format" not in f"{error.param} {error.message}":
            raise
        return _request(client, model, audio, language, "json")


def _request(
    client: openai.OpenAI, model: str, audio: Path, language: str | None, form: Literal["json", "verbose_json"]
) -> Answer:
    # Raw, since the SDK checks no answer: a proxy's HTML page would come out of it as a transcript.
    raw = client.audio.transcriptions.with_raw_response.create(
        file=audio, model=model, language=language or openai.omit, response_format=form
    )
    return Answer.model_validate_json(raw.content)


def _await(future: Future[Answer], limit: float, beat: Callable[[float], None]) -> Answer:
    began = time.monotonic()
    while not wait([future], BEAT).done:
        gone = time.monotonic() - began
        beat(gone)
        if gone > limit:
            raise Retry("The speech service took too long.")
    return future.result()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except openai.APIStatusError as error:
        raise _judged(error) from error
    except openai.APITimeoutError as error:
        raise Retry("The speech service took too long.") from error
    except openai.APIConnectionError as error:
        raise Retry("The speech service cannot be reached.") from error
    except ValidationError as error:
        raise Retry("The speech service gave an answer that makes no sense.") from error


def _judged(error: openai.APIStatusError) -> Retry | Reject:
    status = error.status_code
    if status in _TEMPORARY or not 400 <= status < 500:
        return Retry("The speech service is busy or out of order.", _delay(error.response.headers.get("Retry-After")))
    if isinstance(error, openai.BadRequestError) and error.param == "language":
        return Reject("The speech service does not know the language that was asked for.")
    return Reject(_REJECTIONS.get(status, "The speech service could not read this recording."))


def _delay(retry_after: str | None) -> float | None:
    """Reads Retry-After, RFC 9110 section 10.2.3: seconds or a date. None for the usual backoff."""
    if not retry_after:
        return None
    if retry_after.isdecimal():
        return min(float(retry_after), LONGEST_DELAY)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return min(max((date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_DELAY)
