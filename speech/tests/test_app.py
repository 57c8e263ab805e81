"""The HTTP side, with a model that says at once what it was told to say."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from flask import Flask
from openai import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from dev.waiting import eventually
from pipeline.web import GIVE_UP
from speech.app import create_app
from speech.model import Speech, Wishes
from speech.tests.conftest import Connect


class Parrot:
    """Speaks when `may_speak` is set."""

    name = "parrot"
    there = True

    def __init__(self) -> None:
        self.heard, self.may_speak = Event(), Event()
        self.may_speak.set()
        self.folder = Path()

    def ready(self) -> bool:
        return self.there

    def transcribe(self, audio: Path, wishes: Wishes, beat: Callable[[], None]) -> Speech:
        self.folder = audio.parent
        self.heard.set()
        eventually(lambda: beat() or self.may_speak.is_set(), timeout=100)
        if audio.read_bytes() == b"ill":
            raise RuntimeError(f"cannot read {audio}")
        return Speech(language="en", duration=1.5, segments=[])


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def app(parrot: Parrot) -> Flask:
    return create_app(parrot)


def ask(client: OpenAI, content: bytes = b"hello", **wishes: Any) -> str:
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
        ({"response_format": "srt"}, "response_format"),
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
        assert parrot.heard.wait(10)
        with pytest.raises(RateLimitError) as refusal:
            ask(client)
        parrot.may_speak.set()
        assert first.result(10) == ""
    assert int(refusal.value.response.headers["Retry-After"]) > 0
    assert ask(client) == ""


def test_nobody_waits_for_ever(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, patience=0.05))
    parrot.may_speak.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, client)
        assert parrot.heard.wait(10)
        with pytest.raises(RateLimitError):
            ask(client)
        parrot.may_speak.set()
        first.result(10)


@contextmanager
def asking(client: OpenAI) -> Iterator[None]:
    """Somebody who asks, and leaves at the end of the block."""
    url = httpx.URL(f"{client.base_url}audio/transcriptions")
    asked = httpx.Request("POST", url, data={"model": "parrot"}, files={"file": b"hello"})
    head = "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
    with socket.create_connection((url.host, url.port or 80), 10) as connection:
        connection.sendall(f"POST {url.path} HTTP/1.1\r\n{head}\r\n".encode() + asked.read())
        yield


def test_who_leaves_gives_up_the_turn(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot))
    parrot.may_speak.clear()
    with asking(client):
        assert parrot.heard.wait(10)
        parrot.heard.clear()
    with ThreadPoolExecutor() as pool:
        next_one = pool.submit(ask, client)
        assert parrot.heard.wait(10)
        parrot.may_speak.set()
        assert next_one.result(10) == ""


def is_full(client: OpenAI) -> bool:
    """Whether one more is sent away at once, instead of waiting."""
    try:
        ask(client.with_options(timeout=0.5))
    except RateLimitError:
        return True
    except APITimeoutError:
        return False
    raise AssertionError("nobody was to be heard")


def test_who_leaves_while_waiting_gives_up_the_place(connect: Connect, parrot: Parrot) -> None:
    client = connect(create_app(parrot, waiting=1))
    parrot.may_speak.clear()
    with asking(client):
        assert parrot.heard.wait(10)
        with asking(client):
            eventually(lambda: is_full(client))
        eventually(lambda: not is_full(client))


def test_importing_the_service_loads_nothing_heavy() -> None:
    heavy = "{'faster_whisper', 'ctranslate2', 'numpy', 'av', 'onnxruntime', 'huggingface_hub'}"
    code = f"import sys, speech.wsgi; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_is_not_there_stops_the_start_with_one_line(tmp_path: Path) -> None:
    env = {"SPOOL_SPEECH_MODEL": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    code = [sys.executable, "-c", "import speech.wsgi"]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == GIVE_UP
    assert done.stderr.startswith("SPOOL_SPEECH_MODEL: ")
    assert len(done.stderr.splitlines()) == 1
