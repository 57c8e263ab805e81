"""What a speech service can do to us, over a real connection."""

import socket
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import openai
import pytest
import structlog
from openai import OpenAI

from dev.paid_api.faults import FAULTS, PAGE, SECRET, Fault, cut, drip, endless, hang, packed, refusal, reply
from dev.paid_api.offers import OFFERS
from dev.paid_api.server import PaidApi, serving
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.speech_models import Model, model
from transcriber.answer import Answer
from transcriber.request import Request, prompt
from transcriber.tests.conftest import KEY
from transcriber.troubles import Untaken
from transcriber.vendor import Vendor

JFK = Path(__file__).parents[2] / "tests" / "media" / "jfk.flac"
WHISPER = model("whisper-1")


def listen(vendor: Vendor, limit: float = 20, using: Model = WHISPER, **wishes: Any) -> Answer:
    request = Request(JFK, using, **wishes)
    return vendor.ask(request, limit=limit, before=lambda: None, beat=lambda _: None)


def test_segments_and_words_are_asked_for_and_read(api: PaidApi, vendor: Vendor) -> None:
    answer = listen(vendor, language="en")
    (call,) = api.calls
    assert (call.name, call.size) == ("jfk.flac", JFK.stat().st_size)
    assert call.form == {
        "model": ["whisper-1"],
        "language": ["en"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
    }
    assert answer.language == "en"
    assert [(piece.start, piece.end) for piece in answer.segments or ()] == [(0, 5), (5, 10), (10, 11)]
    assert answer.segments
    assert answer.segments[0].no_speech_prob == 0.01
    assert len(answer.words or ()) == 22


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_every_model_takes_all_that_it_is_asked_at_the_first_call(api: PaidApi, vendor: Vendor, name: str) -> None:
    answer = listen(vendor, using=model(name), language="en", terms=["Kennedy"])
    assert answer.text.startswith("aaaa")
    assert (answer.segments is not None) == model(name).timed
    assert (answer.confidence is not None) == model(name).logprobs
    assert len(api.calls) == 1


def test_a_model_that_tells_speakers_apart_is_told_how_to_cut(api: PaidApi, vendor: Vendor) -> None:
    answer = listen(vendor, using=model("gpt-4o-transcribe-diarize"))
    assert api.calls[0].form["chunking_strategy"] == ["auto"]
    assert [piece.speaker for piece in answer.segments or ()] == ["A", "B", "A"]


def test_a_translation_is_asked_for_where_translations_are_made(api: PaidApi, vendor: Vendor) -> None:
    assert listen(vendor, translate=True, language="de").segments
    (call,) = api.calls
    assert call.path == "/v1/audio/translations"
    assert not call.form.keys() & {"language", "timestamp_granularities[]"}


def test_names_are_told_in_the_way_of_the_model(api: PaidApi, vendor: Vendor) -> None:
    for name in ("whisper-1", "gpt-transcribe", "gpt-4o-transcribe-diarize"):
        listen(vendor, using=model(name), terms=["Kennedy", "Ted Sorensen"], language="en")
    first, second, third = (call.form for call in api.calls)
    assert first["prompt"] == ["Kennedy, Ted Sorensen."]
    assert (second["keywords[]"], second["languages[]"]) == (["Kennedy", "Ted Sorensen"], ["en"])
    assert not third.keys() & {"prompt", "keywords[]"}


def test_a_glossary_is_cut_to_what_whisper_heeds_and_the_first_terms_stay() -> None:
    told = prompt([f"Wort{number:03}" for number in range(200)])
    assert told.startswith("Wort000, Wort001, ")
    assert 600 < len(told) <= 3 * 224
    assert len(prompt(["語" * 100] * 5).encode()) <= 3 * 224


def test_the_trace_and_the_key_go_with_the_request(api: PaidApi, vendor: Vendor) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with structlog.contextvars.bound_contextvars(trace=trace):
        listen(vendor)
    assert api.calls[0].headers["traceparent"] == trace
    assert api.calls[0].headers["Authorization"] == f"Bearer {KEY}"
    assert api.calls[0].headers["Accept-Encoding"] == "identity"


FORMAT = "response_format 'verbose_json' is not compatible with model 'x'. Use 'json' or 'text' instead."


@pytest.mark.parametrize(
    "refused",
    [{"param": "response_format", "code": "unsupported_value"}, {"message": FORMAT}, {"param": "response_format[]"}],
)
def test_a_service_without_segments_is_asked_for_the_text_alone_from_then_on(
    api: PaidApi, vendor: Vendor, refused: dict[str, str]
) -> None:
    api.faults.append(refusal(400, None, **refused))
    assert listen(vendor).segments is None
    assert listen(vendor).text.startswith("aaaa")
    assert [call.form.get("response_format") for call in api.calls] == [["verbose_json"], None, None]
    assert api.calls[1].form.keys() == {"model"}


@pytest.mark.parametrize(
    "refused",
    [{"param": "timestamp_granularities[]"}, {"message": "Extra field timestamp_granularities[] is not known here."}],
)
def test_a_service_without_times_of_words_still_tells_those_of_segments(
    api: PaidApi, vendor: Vendor, refused: dict[str, str]
) -> None:
    api.faults.append(refusal(400, None, **refused))
    assert listen(vendor).segments
    assert listen(vendor).words is None
    assert all(call.form["response_format"] == ["verbose_json"] for call in api.calls)


@pytest.mark.parametrize(
    "message",
    [
        "'prompt' is not supported here",
        "Unsupported parameter: `prompt`.",
        'Unknown field ("prompt")',
        "Look up the model's card. The field prompt[] is not allowed with it.",
    ],
)
def test_a_service_without_prompts_is_asked_for_the_times_all_the_same(
    api: PaidApi, vendor: Vendor, message: str
) -> None:
    api.faults.append(refusal(400, message=message))
    assert listen(vendor, terms=["Kennedy"]).segments
    assert listen(vendor, terms=["Kennedy"]).segments
    assert ["prompt" in call.form for call in api.calls] == [True, False, False]


@pytest.mark.parametrize(
    "refused",
    [
        {"message": "prompt injected"},
        {"message": "The file includes no audio; 'include' some."},
        {"message": "The format of prompt.ogg is not supported."},
        {"message": "An unsupported file. You asked for response_format 'verbose_json'."},
        {"message": "my_response_format is unknown"},
        {"param": "file", "message": "response_format is not compatible with this file"},
        {"param": "prompted", "message": "'prompt' is not supported"},
        {"param": "model", "message": "'prompt' is not supported"},
    ],
)
def test_a_refusal_of_something_else_takes_nothing_from_anybody(
    api: PaidApi, vendor: Vendor, refused: dict[str, str]
) -> None:
    api.faults.append(refusal(400, None, **refused))
    with pytest.raises(Reject):
        listen(vendor, terms=["Kennedy"])
    assert len(api.calls) == 1
    assert listen(vendor, terms=["Kennedy"]).words
    assert "prompt" in api.calls[1].form


def test_what_helped_nothing_is_not_remembered(api: PaidApi, vendor: Vendor) -> None:
    api.faults.extend([refusal(400, param="response_format"), refusal(400, message="The audio is broken.")])
    with pytest.raises(Reject):
        listen(vendor)
    assert listen(vendor).words
    assert len(api.calls) == 3


def test_what_was_refused_is_remembered_where_nothing_was_heard_afterwards(api: PaidApi, vendor: Vendor) -> None:
    api.faults.extend([refusal(400, param="prompt"), refusal(429), refusal(429)])
    for _ in range(2):
        with pytest.raises(Untaken):
            listen(vendor, terms=["Kennedy"])
    assert listen(vendor, terms=["Kennedy"]).words
    assert ["prompt" in call.form for call in api.calls] == [True, False, False, False]


def test_after_an_hour_a_service_is_asked_for_everything_again(api: PaidApi) -> None:
    now = [1000.0]
    with OpenAI(api_key=KEY, base_url=api.url) as client:
        vendor = Vendor(client, clock=lambda: now[0])
        api.faults.append(refusal(400, param="response_format"))
        for now[0] in (1000.0, 2800.0, 4599.0):
            assert listen(vendor).segments is None
        now[0] = 4601.0
        assert listen(vendor).segments


def test_what_one_model_refuses_another_is_still_asked_for(api: PaidApi, vendor: Vendor) -> None:
    api.faults.append(refusal(400, param="response_format"))
    listen(vendor)
    assert listen(vendor, using=Model(name="whisper-1", formats=("verbose_json",))).segments is None
    listen(vendor, using=model("gpt-4o-transcribe-diarize"))
    assert api.calls[-1].form["response_format"] == ["diarized_json"]


def test_a_format_is_refused_only_once(api: PaidApi, vendor: Vendor) -> None:
    api.faults.extend([refusal(400, param="response_format")] * 2)
    with pytest.raises(Reject):
        listen(vendor)
    assert len(api.calls) == 2


def test_every_request_is_announced(api: PaidApi, vendor: Vendor) -> None:
    announced: list[int] = []
    api.faults.append(refusal(400, param="response_format"))
    vendor.ask(Request(JFK, WHISPER), limit=20, before=lambda: announced.append(len(api.calls)), beat=lambda _: None)
    assert announced == [0, 1]


def test_nothing_is_sent_that_must_not_be(api: PaidApi, vendor: Vendor) -> None:
    def before() -> None:
        raise Reject("Enough.")

    with pytest.raises(Reject, match="Enough"):
        vendor.ask(Request(JFK, WHISPER), limit=20, before=before, beat=lambda _: None)
    assert api.calls == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_a_refusal_is_final_and_says_so_in_a_sentence(api: PaidApi, vendor: Vendor, status: int) -> None:
    api.faults.append(refusal(status))
    with pytest.raises(Reject) as rejection:
        listen(vendor)
    assert len(api.calls) == 1
    reason = rejection.value.reason
    assert reason.endswith(".")
    assert not any(secret in reason for secret in (KEY, SECRET, "/", str(status)))


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, {}, "key"),
        (403, {}, "let this server in"),
        (404, {}, "does not have the model"),
        (413, {}, "too long"),
        (400, {"message": "audio duration 1450 seconds is longer than 1400 seconds which is the maximum"}, "too long"),
        (400, {"param": "language"}, "does not know the language"),
        (400, {"param": "languages"}, "does not know the language"),
        (400, {}, "could not read"),
    ],
)
def test_a_refusal_says_what_is_wrong(
    api: PaidApi, vendor: Vendor, status: int, error: dict[str, str], said: str
) -> None:
    api.faults.append(refusal(status, None, **error))
    with pytest.raises(Reject, match=said):
        listen(vendor)


def test_a_wrong_key_is_found_out(api: PaidApi) -> None:
    with OpenAI(api_key="sk-other", base_url=api.url) as client, pytest.raises(Reject, match="key"):
        listen(Vendor(client))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_trouble_is_tried_again_later_and_not_at_once(api: PaidApi, vendor: Vendor, status: int) -> None:
    api.faults.append(refusal(status))
    with pytest.raises(Retry) as trouble:
        listen(vendor)
    assert trouble.value.delay is None
    assert SECRET not in trouble.value.reason
    assert len(api.calls) == 1
    assert isinstance(trouble.value, Untaken) == (status == 429)


def test_an_account_that_is_used_up_is_told_of(api: PaidApi, vendor: Vendor) -> None:
    api.faults.append(refusal(429, code="insufficient_quota"))
    with pytest.raises(Untaken, match="used up"):
        listen(vendor)


@pytest.mark.parametrize(("value", "delay"), [("7", 7), ("Fri, 31 Dec 9999 23:59:59 -0000", 900), ("9" * 30, 900)])
def test_retry_after_is_kept_to_within_the_patience_of_tasks(api: PaidApi, value: str, delay: float) -> None:
    api.faults.append(refusal(429, {"Retry-After": value}))
    with OpenAI(api_key=KEY, base_url=api.url) as client, pytest.raises(Untaken) as trouble:
        listen(Vendor(client, patience=900))
    assert trouble.value.delay == delay


@pytest.mark.parametrize(("ahead", "low", "high"), [(250, 200, 250), (-500, 0, 0)])
def test_retry_after_may_be_a_date(api: PaidApi, vendor: Vendor, ahead: int, low: float, high: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead))
    api.faults.append(refusal(503, {"Retry-After": date}))
    with pytest.raises(Untaken) as trouble:
        listen(vendor)
    assert trouble.value.delay is not None
    assert low <= trouble.value.delay <= high


@pytest.mark.parametrize("value", ["soon", "", "-5", "nan", "1e999", "Fri, 99 Foo 2026"])
def test_a_retry_after_that_makes_no_sense_is_passed_over(api: PaidApi, vendor: Vendor, value: str) -> None:
    api.faults.append(refusal(503, {"Retry-After": value}))
    with pytest.raises(Retry) as trouble:
        listen(vendor)
    assert trouble.value.delay is None


@pytest.mark.parametrize(
    "fault",
    [
        *(FAULTS[name] for name in ("cut", "empty", "half", "html", "not-json", "wrong")),
        reply(200, PAGE),
        reply(502, PAGE, {"Content-Type": "text/html"}),
        reply(200, b"\xff\xfe"),
        reply(200, ["Hello."]),
        reply(200, {"text": None}),
        reply(200, {"text": "a", "segments": "none"}),
        reply(200, {"text": "a", "segments": [{"start": "soon", "end": 1, "text": "a"}]}),
        reply(200, b'{"text": "a", "segments": [{"start": NaN, "end": 1, "text": "a"}]}'),
        reply(200, b'{"text": "a", "segments": [{"start": 0, "end": 1e300, "text": "a"}]}'),
    ],
)
def test_nonsense_is_tried_again_and_counts_as_a_call(api: PaidApi, vendor: Vendor, fault: Fault) -> None:
    api.faults.append(fault)
    with pytest.raises(Retry) as trouble:
        listen(vendor)
    assert not isinstance(trouble.value, Untaken)


@pytest.mark.parametrize("fault", [endless, packed])
def test_no_more_is_read_than_an_answer_may_have(api: PaidApi, vendor: Vendor, fault: Fault) -> None:
    api.faults.append(fault)
    tracemalloc.start()
    try:
        with pytest.raises(Retry, match="no sense"):
            listen(vendor)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 * 2**20


def test_the_answer_of_twenty_minutes_is_read(api: PaidApi, vendor: Vendor) -> None:
    words = [
        {"word": f"word{number}", "start": number / 4, "end": number / 4 + 0.2, "probability": 0.123456789}
        for number in range(4800)
    ]
    segments = [
        {"start": number / 2, "end": number / 2 + 0.5, "text": "one two " * 20, "tokens": [50364] * 50}
        for number in range(2400)
    ]
    api.faults.append(reply(200, {"text": "a", "words": words, "segments": segments}))
    answer = listen(vendor)
    assert (len(answer.words or ()), len(answer.segments or ())) == (4800, 2400)


def test_figures_that_make_no_sense_are_passed_over(api: PaidApi, vendor: Vendor) -> None:
    odd = b'{"text": "a", "segments": [{"start": 0, "end": 1, "text": "a", "avg_logprob": NaN, "no_speech_prob": "x"}]}'
    api.faults.append(reply(200, odd))
    pieces = listen(vendor).segments or []
    (piece,) = pieces
    assert (piece.avg_logprob, piece.no_speech_prob) == (None, None)


def test_a_service_that_is_away_is_tried_again_and_has_heard_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1") as client, pytest.raises(Untaken):
        listen(Vendor(client))


def test_a_connection_that_ends_in_the_middle_has_cost_a_call(api: PaidApi, vendor: Vendor) -> None:
    api.faults.append(cut)
    with pytest.raises(Retry) as trouble:
        listen(vendor)
    assert not isinstance(trouble.value, Untaken)


@pytest.mark.parametrize("slow", [hang, drip])
def test_a_service_that_never_ends_is_given_up(api: PaidApi, vendor: Vendor, slow: Fault) -> None:
    listen(vendor)  # the SDK loads what it needs at the first call, which may take longer than the limit
    api.faults.append(slow)
    with pytest.raises(Retry, match="too long"):
        listen(vendor, limit=2)
    assert api.hung_up.wait(15)


@pytest.mark.parametrize("slow", [hang, drip])
def test_an_interruption_goes_on_at_once_and_the_connection_is_cut(api: PaidApi, vendor: Vendor, slow: Fault) -> None:
    api.faults.append(slow)

    def beat(gone: float) -> None:
        if api.calls:
            raise Interrupted

    with pytest.raises(Interrupted):
        vendor.ask(Request(JFK, WHISPER), limit=60, before=lambda: None, beat=beat)
    assert api.hung_up.wait(15)


@pytest.fixture
def slow_api() -> Iterator[PaidApi]:
    api = PaidApi(KEY, delay=1.0)
    with serving(api):
        yield api


def test_progress_is_told_while_the_service_thinks(slow_api: PaidApi) -> None:
    told: list[float] = []
    with openai.OpenAI(api_key=KEY, base_url=slow_api.url) as client:
        Vendor(client).ask(Request(JFK, WHISPER), limit=20, before=lambda: None, beat=told.append)
    assert told
    assert told == sorted(told)
