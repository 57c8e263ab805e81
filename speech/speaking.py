"""POST /v1/audio/speech, https://platform.openai.com/docs/api-reference/audio/createSpeech."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from flask import Flask, Response, request
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from speech.errors import ApiError, known, named
from speech.piper import FORMATS, Format, Piper
from speech.turns import Turns, stay

MODEL = "piper"

MOST_CHARACTERS = 4096
"""OpenAI's own limit: five minutes of speech."""


def _name(voice: Any) -> Any:
    return voice.get("id") if isinstance(voice, dict) else voice


class Utterance(BaseModel):
    model: str
    input: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    voice: Annotated[str, BeforeValidator(_name)]
    response_format: Format = "mp3"
    speed: float = Field(1, ge=0.25, le=4)
    stream_format: Literal["audio"] = "audio"


def register(app: Flask, piper: Piper | None, turns: Turns, scratch: Path | None) -> None:
    @app.post("/v1/audio/speech")
    def speech() -> Response:
        if piper is None:
            raise ApiError(501, "This server does not speak: Piper is not installed here.", "not_installed")
        wanted, beat = _utterance(), partial(stay, request.environ)
        known(wanted.model, [MODEL])
        with turns.place(), turns.turn(beat), TemporaryDirectory(prefix="speech-", dir=scratch) as folder:
            audio = piper.say(
                wanted.input, wanted.voice, wanted.speed, wanted.response_format, folder=Path(folder), beat=beat
            )
            return Response(audio.read_bytes(), content_type=FORMATS[wanted.response_format].content_type)


def _utterance() -> Utterance:
    try:
        return Utterance.model_validate(request.get_json())
    except ValidationError as error:
        raise named(error) from None
