"""Piper, asked by the real SDK."""

import re
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from structlog.testing import capture_logs

from speech.app import create_app
from speech.piper import Piper
from speech.shelf import Shelf
from speech.speaking import MOST_CHARACTERS
from speech.tests.conftest import Connect

TEXT = "The boats came in this morning, and nobody spoke."


@pytest.fixture
def client(connect: Connect, shelf: Shelf, piper: Piper) -> OpenAI:
    return connect(create_app(shelf, piper))


def say(client: OpenAI, **wishes: Any) -> bytes:
    return client.audio.speech.create(
        **{"input": TEXT, "model": "piper", "voice": "en_US-joe-medium", "response_format": "wav", **wishes}
    ).read()


def test_what_is_said_is_heard(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(file=("said.wav", say(client)), model="tiny.en")
    assert re.findall(r"\w+", answer.text.lower()) == re.findall(r"\w+", TEXT.lower())


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
def test_each_format_is_heard(client: OpenAI, form: str) -> None:
    said = say(client, input="Good morning.", response_format=form)
    answer = client.audio.transcriptions.create(file=(f"said.{form}", said), model="tiny.en")
    assert "morning" in answer.text


def test_pcm_is_bare_samples_at_24_khz(client: OpenAI) -> None:
    samples = len(say(client, response_format="pcm")) / 2
    wav = client.audio.transcriptions.create(file=say(client), model="tiny.en", response_format="verbose_json")
    assert samples / 24_000 == pytest.approx(wav.duration, rel=0.2)


def test_speed_is_heard(client: OpenAI) -> None:
    assert len(say(client, speed=0.5)) > 2 * len(say(client, speed=2))


def test_voices_may_be_named_as_objects_and_models_are_listed(client: OpenAI) -> None:
    assert say(client, input="Hi.", voice={"id": "en_US-joe-medium"})
    assert [model.id for model in client.models.list()] == ["tiny.en", "base", "piper"]


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "..."}, "input"),
        ({"input": "a" * (MOST_CHARACTERS + 1)}, "input"),
        ({"voice": "../en_US-joe-medium"}, "voice"),
        ({"voice": {"name": "joe"}}, "voice"),
        ({"speed": 4.1}, "speed"),
        ({"response_format": "wma"}, "response_format"),
        ({"stream_format": "sse"}, "stream_format"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_named(client: OpenAI, wishes: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refusal:
        say(client, **wishes)
    assert refusal.value.param == param


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        say(client, model="tts-1")


@pytest.mark.parametrize(("body", "status"), [("{", 400), ("[]", 400), ('"text"', 400), (b'{"input": "\\ud800"}', 400)])
def test_a_body_that_makes_no_sense_is_refused(shelf: Shelf, piper: Piper, body: str, status: int) -> None:
    client = create_app(shelf, piper).test_client()
    answer = client.post("/v1/audio/speech", data=body, content_type="application/json")
    assert answer.status_code == status
    assert set(answer.get_json()["error"]) == {"message", "type", "param", "code"}


def test_a_text_is_no_option_of_a_command(client: OpenAI) -> None:
    assert say(client, input="--help\n-m /etc/passwd")


def test_who_takes_too_long_is_stopped(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speech.piper._SECONDS", 0.1)
    with pytest.raises(APIStatusError) as refusal:
        say(client)
    assert refusal.value.status_code == 503


def test_a_voice_that_is_broken_fails_without_its_reasons(connect: Connect, shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_text("no voice")
    client = connect(create_app(shelf, Piper(Path("/usr/bin/false"), tmp_path)))
    with capture_logs() as logs, pytest.raises(APIStatusError) as refusal:
        say(client, voice="broken")
    assert "piper failed" in [entry["event"] for entry in logs]
    assert refusal.value.status_code == 500
    assert str(tmp_path) not in str(refusal.value)


def test_piper_is_never_imported() -> None:
    root = Path(__file__).parents[1]
    imports = [line for path in root.glob("*.py") for line in path.read_text().splitlines() if "import" in line]
    assert imports
    assert not [line for line in imports if re.match(r"\s*(import|from) piper", line)]
