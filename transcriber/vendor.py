"""The one place that speaks to an OpenAI-shaped service."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from threading import Event
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx2
import openai

from pipeline.background import begin
from pipeline.errors import Retry
from pipeline.telemetry import traceparent
from transcriber.answer import Answer
from transcriber.request import Request, to_leave_out
from transcriber.troubles import NONSENSE, SLOW, Untaken, translated

BEAT = 0.25
"""Seconds between two calls of `beat` while the service thinks."""

_CONNECT_SECONDS = 10

_MOST_BYTES = 8 * 2**20
"""Of an answer; one with all words of 20 minutes has half a million."""


_MEMORY = 3600
"""Seconds: services change, and a refusal may have been about one recording alone."""


class _Refusal(NamedTuple):
    fields: frozenset[str]
    """Of a request, which the service does not take."""
    until: float


@dataclass(frozen=True)
class Vendor:
    """A speech service. What it refused, and then answered without or had no room for, it is not asked for again for an hour."""

    client: openai.OpenAI
    patience: float = 86400
    """The most seconds that it may ask us to stay away."""
    clock: Callable[[], float] = time.monotonic
    _refusals: dict[str, _Refusal] = field(default_factory=dict)
    """By model."""

    def ask(
        self, request: Request, *, limit: float, before: Callable[[], None], beat: Callable[[float], None]
    ) -> Answer:
        """Calls `before` before each request, and `beat` with the seconds gone, several times a second, until the answer is
        there. There is a further request only where the one before was refused for a field of it, and so not heard.

        A request takes `limit` seconds at most. What `beat` raises goes on at once; the connection of the call that is left
        behind is cut, so that the service can see that nobody waits any more.
        Raises Reject, Retry, and of that Untaken where nothing was heard.
        """
        known = refused = self._refused(request.model.name)
        try:
            with translated(self.patience):
                while True:
                    form = request.form(refused)
                    before()
                    try:
                        answer = self._call(request, form, limit, beat)
                        break
                    except openai.BadRequestError as error:
                        # Each time less is sent, so this ends.
                        if not (more := to_leave_out(form, str(error.param or ""), error.message)):
                            raise
                        refused |= more
        except Untaken:
            # Each attempt would begin with the refusal otherwise: twice the calls, where there is no room for one.
            self._remember(request.model.name, known, refused)
            raise
        self._remember(request.model.name, known, refused)
        return answer

    def _remember(self, model: str, known: frozenset[str], refused: frozenset[str]) -> None:
        if refused != known:
            self._refusals[model] = _Refusal(refused, self.clock() + _MEMORY)

    def _refused(self, model: str) -> frozenset[str]:
        refusal = self._refusals.get(model)
        return refusal.fields if refusal and self.clock() < refusal.until else frozenset()

    def _call(self, request: Request, form: dict[str, Any], limit: float, beat: Callable[[float], None]) -> Answer:
        with _Line() as line:
            own = self.client.with_options(
                http_client=line.http,
                max_retries=0,
                timeout=openai.Timeout(limit, connect=_CONNECT_SECONDS),
                default_headers={"traceparent": trace} if (trace := traceparent()) else {},
            )
            try:
                return _await(begin(lambda: _send(own, request, form), "speech-service"), limit, beat)
            except openai.APIConnectionError as error:
                if line.used:
                    raise
                raise Untaken("The speech service cannot be reached.") from error


def _send(client: openai.OpenAI, request: Request, form: dict[str, Any]) -> Answer:
    # Raw, since the SDK checks no answer: a proxy's HTML page would come out of it as a transcript. By `post`, since the SDK
    # warns of translations, which go away at OpenAI's, but not elsewhere.
    raw = client.post(
        "/audio/translations" if request.translate else "/audio/transcriptions",
        cast_to=httpx2.Response,
        body=form,
        files=[("file", request.audio)],
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )
    return Answer.model_validate_json(raw.content)


def _await(future: Future[Answer], limit: float, beat: Callable[[float], None]) -> Answer:
    began = time.monotonic()
    while not wait([future], BEAT).done:
        gone = time.monotonic() - began
        beat(gone)
        if gone > limit:
            raise Retry(SLOW)
    return future.result()


class _Line:
    """An HTTP client whose connections are cut at the end of the block: closing one while another thread reads from it tells nobody."""

    def __init__(self) -> None:
        self.used = False
        """The service was reached: something of the request was sent."""
        self._sockets: list[socket.socket] = []
        self._over = Event()
        self.http = openai.DefaultHttpxClient(
            verify=_trust(),
            # Compressed, a few bytes could become as many as there is no memory for.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [self._watch], "response": [_bound]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._sockets:
            _cut(each)
        self.http.close()

    def _watch(self, request: Any) -> None:
        request.extensions["trace"] = self._note

    def _note(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))
            if self._over.is_set():
                _cut(self._sockets[-1])
        self.used = self.used or event.endswith("send_request_headers.started")


def _bound(response: httpx2.Response) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Retry(NONSENSE)
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.SyncByteStream):
    """A body; raises Retry after _MOST_BYTES."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        left = _MOST_BYTES
        for chunk in self._body:
            if (left := left - len(chunk)) < 0:
                raise Retry(NONSENSE)
            yield chunk

    def close(self) -> None:
        self._body.close()


@cache
def _trust() -> ssl.SSLContext:
    """Whom to believe; reading it anew would cost 30 ms a call."""
    return httpx2.create_ssl_context()


def _cut(connection: socket.socket) -> None:
    """Below TLS: what another thread still sends must not go out in the clear, as after the shutdown of a TLS socket."""
    with suppress(OSError):  # closed already, or its TLS socket has taken it over
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
