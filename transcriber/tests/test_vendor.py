"""What a speech service can do to us, over a real connection."""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import structlog
from openai import OpenAI

from pipeline.errors import Interrupted, Reject, Retry
from transcriber.tests.conftest import KEY, Act, Service, hang, refusal, reply
from transcriber.vendor import LONGEST_DELAY, Answer, ask

SPOKEN = {
    "text": "Hello.",
    "language": "english",
    "segments": [{"start": 0.5, "end": 1.25, "text": " Hello.", "id": 0}],
}
PAGE = b"<!doctype html><title>502 Bad Gateway</title>"


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "speech.ogg"
    path.write_bytes(b"OggS and so on")
    return path


def listen(service: Service, audio: Path, limit: float = 20) -> Answer:
    return ask(service.client(), "tiny.en", audio, limit=limit, beat=lambda _: None)


def test_the_recording_and_the_model_are_sent_and_the_answer_is_read(service: Service, audio: Path) -> None:
    service.answers(reply(200, SPOKEN))
    answer = listen(service, audio)
    assert answer.language == "english"
    assert [(piece.start, piece.end, piece.text) for piece in answer.segments or ()] == [(0.5, 1.25, " Hello.")]
    (body,) = service.bodies
    assert all(part in body for part in (b"OggS and so on", b"tiny.en", b"verbose_json", b'filename="speech.ogg"'))


def test_the_trace_and_the_key_go_with_the_request(service: Service, audio: Path) -> None:
    service.answers(reply(200, SPOKEN))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with structlog.contextvars.bound_contextvars(trace=trace):
        listen(service, audio)
    assert service.headers[0]["traceparent"] == trace
    assert service.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "refused",
    [
        {"param": "response_format", "code": "unsupported_value"},
        {"message": "response_format 'verbose_json' is not compatible with model 'gpt-4o-transcribe'."},
    ],
)
def test_a_service_without_segments_is_asked_for_the_text_alone(
    service: Service, audio: Path, refused: dict[str, str]
) -> None:
    service.answers(refusal(400, **refused), reply(200, {"text": "Hello."}))
    answer = listen(service, audio)
    assert answer.text == "Hello."
    assert answer.segments is None
    assert b"verbose_json" not in service.bodies[1]
    assert b"OggS and so on" in service.bodies[1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_refusal_is_final_and_says_so_in_a_sentence(service: Service, audio: Path, status: int) -> None:
    service.answers(refusal(status))
    with pytest.raises(Reject) as rejection:
        listen(service, audio)
    assert len(service.bodies) == 1
    reason = rejection.value.reason
    assert reason.endswith(".")
    assert not any(secret in reason for secret in (KEY, "/", str(status)))


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_trouble_is_tried_again_later_and_not_at_once(service: Service, audio: Path, status: int) -> None:
    service.answers(refusal(status))
    with pytest.raises(Retry) as trouble:
        listen(service, audio)
    assert trouble.value.delay is None
    assert KEY not in trouble.value.reason
    assert len(service.bodies) == 1


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        ("Fri, 31 Dec 9999 23:59:59 -0000", LONGEST_DELAY, LONGEST_DELAY),
        ("9" * 30, LONGEST_DELAY, LONGEST_DELAY),
    ],
)
def test_retry_after_is_kept_to_within_reason(
    service: Service, audio: Path, value: str, low: float, high: float
) -> None:
    service.answers(reply(429, {}, {"Retry-After": value}))
    with pytest.raises(Retry) as trouble:
        listen(service, audio)
    assert trouble.value.delay is not None
    assert low <= trouble.value.delay <= high


@pytest.mark.parametrize(("ahead", "low", "high"), [(250, 200, 250), (-500, 0, 0)])
def test_retry_after_may_be_a_date(service: Service, audio: Path, ahead: int, low: float, high: float) -> None:
    service.answers(reply(429, {}, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=ahead))}))
    with pytest.raises(Retry) as trouble:
        listen(service, audio)
    assert trouble.value.delay is not None
    assert low <= trouble.value.delay <= high


@pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "1e999", "Fri, 99 Foo 2026"])
def test_a_retry_after_that_makes_no_sense_is_passed_over(service: Service, audio: Path, value: str) -> None:
    service.answers(reply(503, {}, {"Retry-After": value}))
    with pytest.raises(Retry) as trouble:
        listen(service, audio)
    assert trouble.value.delay is None


@pytest.mark.parametrize(
    "act",
    [
        reply(200, PAGE, {"Content-Type": "text/html"}),
        reply(200, PAGE),
        reply(502, PAGE, {"Content-Type": "text/html"}),
        reply(200, b'{"text": "Hel'),
        reply(200, b""),
        reply(200, b"\xff\xfe"),
        reply(200, ["Hello."]),
        reply(200, {"text": None}),
        reply(200, b'{"text": "a", "segments": [{"start": NaN, "end": 1, "text": "a"}]}'),
        reply(200, b'{"text": "a", "segments": [{"start": 0, "end": 1e300, "text": "a"}]}'),
        reply(200, b'{"text": "Hel', length=1000),
        lambda request: request.connection.shutdown(socket.SHUT_RDWR),
    ],
)
def test_nonsense_is_tried_again(service: Service, audio: Path, act: Act) -> None:
    service.answers(act)
    with pytest.raises(Retry):
        listen(service, audio)


def test_a_service_that_is_away_is_tried_again(audio: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(Retry):
        ask(client, "tiny.en", audio, limit=20, beat=lambda _: None)


def silent(service: Service) -> Act:
    def act(request: BaseHTTPRequestHandler) -> None:
        hang(request)
        service.hung_up.set()

    return act


def dripping(service: Service) -> Act:
    """Sends a byte now and then, so that no single read ever takes long."""

    def act(request: BaseHTTPRequestHandler) -> None:
        reply(200, b"{", length=10**9)(request)
        try:
            while not service.hung_up.wait(0.02):
                request.wfile.write(b" ")
        except OSError:
            service.hung_up.set()

    return act


@pytest.mark.parametrize("slow", [silent, dripping])
def test_a_service_that_never_ends_is_given_up(service: Service, audio: Path, slow: Callable[[Service], Act]) -> None:
    service.answers(reply(200, SPOKEN), slow(service))
    listen(service, audio)  # the SDK loads what it needs at the first call, which may take longer than the limit
    began = time.monotonic()
    with pytest.raises(Retry):
        listen(service, audio, limit=2)
    assert time.monotonic() - began < 15
    assert service.hung_up.wait(15)


@pytest.mark.parametrize("slow", [silent, dripping])
def test_an_interruption_goes_on_at_once(service: Service, audio: Path, slow: Callable[[Service], Act]) -> None:
    service.answers(slow(service))

    def beat(gone: float) -> None:
        if service.bodies:
            raise Interrupted

    began = time.monotonic()
    with pytest.raises(Interrupted):
        ask(service.client(), "tiny.en", audio, limit=60, beat=beat)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("slow", [silent, dripping])
def test_the_connection_of_a_call_that_is_left_behind_is_cut(
    service: Service, audio: Path, slow: Callable[[Service], Act]
) -> None:
    service.answers(slow(service))

    def beat(gone: float) -> None:
        if service.bodies:
            raise Interrupted

    with pytest.raises(Interrupted):
        ask(service.client(), "tiny.en", audio, limit=60, beat=beat)
    assert service.hung_up.wait(15)
