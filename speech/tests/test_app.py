"""The HTTP side, with a model that says at once what it was told to say."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from flask import Flask
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)
from prometheus_client import REGISTRY

from dev.waiting import eventually
from pipeline.web import GIVE_UP
from speech.app import create_app
from speech.model import Hearing, Segment, Wishes, Word
from speech.tests.conftest import Connect


class Parrot:
    """Speaks when `may_speak` is set: the words of the file."""

    there = True
    pauses = False
    """After the first word, until who listens has left."""

    def __init__(self) -> None:
        self.heard, self.may_speak = Event(), Event()
        self.may_speak.set()
        self.folder = Path()

    def ready(self) -> Mapping[str, bool]:
        return {"parrot": self.there}

    @contextmanager
    def hearing(self, model: str, audio: Path, wishes: Wishes, beat: Callable[[], None]) -> Iterator[Hearing]:
        def may_speak() -> bool:
            beat()
            return self.may_speak.is_set()

        self.folder, self.beat = audio.parent, beat
        self.heard.set()
        eventually(may_speak, timeout=100)
        yield Hearing(1.5, "en", self.said(audio.read_text().split()))

    def said(self, words: Sequence[str]) -> Iterator[Segment]:
        for number, word in enumerate(words):
            if word == "ill":
                raise RuntimeError(f"cannot read {self.folder}")
            if number and self.pauses:
                eventually(lambda: self.beat() or False, timeout=100)
            yield segment(number, f" {word}")


def segment(number: int, text: str) -> Segment:
    figures = {"temperature": 0, "avg_logprob": -0.1, "compression_ratio": 1, "no_speech_prob": 0}
    words = [Word(word=text, start=number, end=number + 1, probability=0.5)]
    return Segment(id=number, seek=0, start=number, end=number + 1, text=text, tokens=[], words=words, **figures)


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def app(parrot: Parrot) -> Flask:
    return create_app(parrot)


def ask(client: OpenAI, content: bytes = b"", **wishes: Any) -> str:
    answer = client.audio.transcriptions.create(file=("a.wav", content), **{"model": "parrot", **wishes})
    return str(answer.text)


def test_models_are_listed(connect: Connect, app: Flask) -> None:
    assert [model.id for model in connect(app).models.list()] == ["parrot"]


def test_an_unknown_model_is_not_found(connect: Connect, app: Flask) -> None:
    with pytest.raises(NotFoundError) as refusal:
        ask(connect(app), model="whisper-9")
    assert refusal.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "srt", "stream": True}, "response_format"),
        ({"stream": "perhaps"}, "stream"),
        ({"prompt": "long " * 2001}, "prompt"),
        ({"timestamp_granularities": ["letter"]}, "timestamp_granularities[]"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_named(
    connect: Connect, app: Flask, wishes: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as refusal:
        ask(connect(app), **wishes)
    assert refusal.value.param == param
    assert refusal.value.type == "invalid_request_error"


def test_a_model_is_described_by_its_name(connect: Connect, app: Flask) -> None:
    models = connect(app).models
    assert (models.retrieve("parrot").id, models.retrieve("parrot").object) == ("parrot", "model")
    with pytest.raises(NotFoundError) as refusal:
        models.retrieve("whisper-9")
    assert refusal.value.code == "model_not_found"


def test_what_is_heard_is_streamed_piece_by_piece(connect: Connect, app: Flask) -> None:
    file = ("a.wav", b"polly wants a cracker")
    with connect(app).audio.transcriptions.create(file=file, model="parrot", stream=True) as events:
        told: list[Any] = list(events)
    assert [event.type for event in told] == 4 * ["transcript.text.delta"] + ["transcript.text.done"]
    assert [event.delta for event in told[:-1]] == ["polly", " wants", " a", " cracker"]
    assert told[-1].text == "polly wants a cracker"


def test_a_stream_of_silence_ends_at_once(connect: Connect, app: Flask) -> None:
    with connect(app).audio.transcriptions.create(file=("a.wav", b""), model="parrot", stream=True) as events:
        told: list[Any] = list(events)
    assert [(event.type, event.text) for event in told] == [("transcript.text.done", "")]


def test_a_stream_that_breaks_off_says_so_and_ends(connect: Connect, app: Flask, parrot: Parrot) -> None:
    client = connect(app)
    for _ in range(2):  # the first gives its turn back
        with client.audio.transcriptions.create(file=("a.wav", b"feeling ill"), model="parrot", stream=True) as events:
            first: Any = next(iter(events))
            assert first.delta == "feeling"
            with pytest.raises(APIError) as failure:
                list(events)
    assert "/" not in failure.value.message
    eventually(lambda: not parrot.folder.exists())


def test_a_stream_that_fails_at_its_beginning_has_a_status(connect: Connect, app: Flask) -> None:
    with pytest.raises(APIStatusError) as failure:
        connect(app).audio.transcriptions.create(file=("a.wav", b"ill"), model="parrot", stream=True)
    assert failure.value.status_code == 500


def test_answers_can_be_read_raw(connect: Connect, app: Flask) -> None:
    raw = connect(app).audio.transcriptions.with_raw_response.create(file=("a.wav", b"hello"), model="parrot")
    assert (raw.headers["Content-Type"], raw.parse().text) == ("application/json", "hello")


@pytest.mark.parametrize(
    ("form", "kind"),
    [("text", "text/plain"), ("srt", "text/plain"), ("vtt", "text/vtt"), ("json", "application/json")],
)
def test_each_format_has_its_type(connect: Connect, app: Flask, form: Any, kind: str) -> None:
    transcriptions = connect(app).audio.transcriptions.with_raw_response
    raw = transcriptions.create(file=("a.wav", b"hello"), model="parrot", response_format=form)
    assert raw.headers["Content-Type"].split(";")[0] == kind


def test_words_tell_how_sure_the_model_is(app: Flask) -> None:
    form = {"model": "parrot", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer = app.test_client().post("/v1/audio/transcriptions", data={**form, "file": (BytesIO(b"hi"), "a.wav")})
    assert answer.get_json()["words"] == [{"word": "hi", "start": 0, "end": 1, "probability": 0.5}]
    assert "words" not in answer.get_json()["segments"][0]


def test_metrics_tell_of_what_was_heard(connect: Connect, app: Flask) -> None:
    def heard() -> float:
        told = REGISTRY.get_sample_value("speech_audio_seconds_total", {"model": "parrot", "task": "transcribe"})
        return told or 0

    before = heard()
    ask(connect(app))
    assert heard() == before + 1.5


def test_without_piper_nothing_is_said(connect: Connect, app: Flask) -> None:
    with pytest.raises(APIStatusError) as refusal:
        connect(app).audio.speech.create(input="hello", model="piper", voice="joe")
    assert (refusal.value.status_code, refusal.value.code) == (501, "not_installed")


def test_a_file_is_required(app: Flask) -> None:
    answer = app.test_client().post("/v1/audio/transcriptions", data={"model": "parrot"})
    assert answer.status_code == 400
    assert answer.get_json()["error"] == {
        "message": "A file is required.",
        "type": "invalid_request_error",
        "param": "file",
        "code": None,
    }


def test_a_key_is_asked_for_where_one_is_set(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, key="clé secrète"))
    with pytest.raises(AuthenticationError) as refusal:
        ask(client)
    assert refusal.value.code == "invalid_api_key"
    keyed = create_app(parrot, key="right")
    assert ask(connect(keyed).with_options(api_key="right")) == ""


def test_a_file_over_the_limit_is_refused(connect: Connect, parrot: Parrot) -> None:
    with pytest.raises(APIStatusError) as refusal:
        ask(connect(create_app(parrot, upload_limit=1000)), bytes(2000))
    assert refusal.value.status_code == 413
    assert not parrot.heard.is_set()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/models", 405)])
def test_errors_of_the_server_itself_have_the_shape_too(app: Flask, method: str, path: str, status: int) -> None:
    answer = app.test_client().open(path, method=method)
    assert answer.status_code == status
    assert set(answer.get_json()["error"]) == {"message", "type", "param", "code"}


def test_a_failure_inside_says_nothing_of_the_inside(connect: Connect, app: Flask) -> None:
    with pytest.raises(APIStatusError) as failure:
        ask(connect(app), b"ill")
    assert failure.value.status_code == 500
    assert failure.value.type == "server_error"
    assert "ill" not in failure.value.message
    assert "/" not in failure.value.message


def test_readiness_hangs_on_the_model_and_asks_for_no_key(parrot: Parrot) -> None:
    probe = create_app(parrot, key="right").test_client()
    assert [probe.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
    parrot.there = False
    assert [probe.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]


def test_nothing_of_an_upload_is_left(connect: Connect, app: Flask, parrot: Parrot) -> None:
    ask(connect(app))
    assert parrot.folder.name
    assert not parrot.folder.exists()


def test_when_too_many_wait_the_next_is_told_to_come_back(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, waiting=0))
    parrot.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client)
        assert parrot.heard.wait(100)
        with pytest.raises(RateLimitError) as refusal:
            ask(client)
        parrot.may_speak.set()
        assert first.result(100) == ""
    assert int(refusal.value.response.headers["Retry-After"]) > 0
    assert ask(client) == ""


def test_nobody_waits_for_ever(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, patience=0.05))
    parrot.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client)
        assert parrot.heard.wait(100)
        with pytest.raises(RateLimitError):
            ask(client)
        parrot.may_speak.set()
        first.result(100)


@contextmanager
def asking(client: OpenAI, content: bytes = b"hello", still: int = 0, **wishes: str) -> Iterator[socket.socket]:
    """Somebody who asks, `still` bytes short of all, and leaves at the end of the block."""
    url = httpx.URL(f"{client.base_url}audio/transcriptions")
    asked = httpx.Request("POST", url, data={"model": "parrot", **wishes}, files={"file": content})
    asked.headers["Content-Length"] = str(len(asked.read()) + still)
    head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
    with socket.create_connection((url.host, url.port or 80), 100) as connection:
        connection.sendall(f"POST {url.path} HTTP/1.1\r\n{head}\r\n".encode() + asked.read())
        yield connection


def test_who_leaves_gives_up_the_turn(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot))
    parrot.may_speak.clear()
    with asking(client):
        assert parrot.heard.wait(100)
        parrot.heard.clear()
    with ThreadPoolExecutor() as pool:
        next_one = pool.submit(ask, client)
        assert parrot.heard.wait(100)
        parrot.may_speak.set()
        assert next_one.result(100) == ""


def test_who_leaves_a_stream_gives_up_the_turn(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, waiting=0))
    parrot.pauses = True
    with asking(client, b"one two", stream="true") as connection:
        assert "one" in read_until(connection, b"one")
        with pytest.raises(RateLimitError):
            ask(client)
    eventually(lambda: answered(client), timeout=100)


def read_until(connection: socket.socket, end: bytes) -> str:
    got = b""
    while end not in got:
        more = connection.recv(10_000)
        assert more, got
        got += more
    return got.decode()


def answered(client: OpenAI) -> bool:
    try:
        return ask(client) == ""
    except RateLimitError:
        return False


def waiting() -> float | None:
    return REGISTRY.get_sample_value("speech_waiting_requests", {"work": "hearing"})


def test_who_leaves_while_waiting_gives_up_the_place(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, waiting=1))
    parrot.may_speak.clear()
    with asking(client):
        assert parrot.heard.wait(100)
        with asking(client):
            eventually(lambda: waiting() == 1, timeout=100)
            with pytest.raises(RateLimitError):
                ask(client)
        eventually(lambda: waiting() == 0, timeout=100)
        with asking(client):  # the place is free again
            eventually(lambda: waiting() == 1, timeout=100)


def test_who_is_too_many_is_told_so_before_the_recording_was_sent(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, waiting=0))
    parrot.may_speak.clear()
    with asking(client):
        assert parrot.heard.wait(100)
        with asking(client, still=2**30) as late:
            assert read_until(late, b"rate_limit_exceeded").startswith("HTTP/1.1 429")


def test_a_recording_is_kept_in_the_scratch_folder_from_its_first_byte(
    connect: Connect, parrot: Parrot, tmp_path: Path
) -> None:
    client = connect(create_app(parrot, scratch=tmp_path))
    with asking(client, bytes(2**20), still=2**30):
        eventually(lambda: [path for path in tmp_path.glob("*/upload") if path.stat().st_size > 2**19], timeout=100)
    eventually(lambda: not list(tmp_path.iterdir()), timeout=100)


def test_where_there_is_no_room_the_sender_is_told_to_come_back(
    connect: Connect, parrot: Parrot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(create_app(parrot, scratch=tmp_path))
    monkeypatch.setattr("pipeline.room.shutil.disk_usage", lambda _: Mock(free=1000))
    with asking(client, still=2**30) as sender:
        told = read_until(sender, b"no_room")
    assert told.startswith("HTTP/1.1 503")
    assert "Retry-After" in told
    assert not list(tmp_path.iterdir())


def test_one_file_is_taken_at_a_time(app: Flask, parrot: Parrot) -> None:
    files = {"file": (BytesIO(b"hi"), "a.wav"), "other": (BytesIO(b"ho"), "b.wav")}
    answer = app.test_client().post("/v1/audio/transcriptions", data={"model": "parrot", **files})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "file")
    assert not parrot.heard.is_set()


def test_importing_the_service_loads_nothing_heavy() -> None:
    heavy = "{'faster_whisper', 'ctranslate2', 'numpy', 'av', 'onnxruntime', 'huggingface_hub'}"
    code = f"import sys, speech.wsgi; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_is_not_there_stops_the_start_with_one_line(tmp_path: Path) -> None:
    assert refused(SPOOL_SPEECH_MODEL=str(tmp_path)).startswith("SPOOL_SPEECH_MODEL, SPOOL_SPEECH_MODELS: ")
    assert f"there is no model {tmp_path.name} here" in refused(SPOOL_SPEECH_MODELS=str(tmp_path))


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("SPOOL_SPEECH_MODELS", {"SPOOL_SPEECH_MODELS": "/here/tiny.en"}),
        ("SPOOL_SPEECH_PIPER", {"SPOOL_SPEECH_PIPER": sys.executable}),
        ("SPOOL_SPEECH_PIPER", {"SPOOL_SPEECH_PIPER": sys.executable, "SPOOL_SPEECH_VOICES": "/nowhere"}),
    ],
)
def test_settings_that_do_not_fit_stop_the_start_with_one_line(setting: str, values: dict[str, str]) -> None:
    assert refused(**values).startswith(setting)


def refused(**settings: str) -> str:
    """The line with which the server gives up."""
    env = {**settings, "PYTHONPATH": str(Path(__file__).parents[2])}
    code = [sys.executable, "-c", "import speech.wsgi"]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == GIVE_UP
    (line,) = done.stderr.splitlines()
    return line
