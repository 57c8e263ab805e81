"""The whole server: who may ask, which models there are, and the routes of `speech.listening` and `speech.speaking`."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request

from pipeline.settings import Settings
from pipeline.web import instrument
from speech import errors, listening, speaking
from speech.errors import ApiError, known
from speech.model import Models
from speech.piper import Piper
from speech.shelf import Shelf
from speech.turns import Turns

UPLOAD_LIMIT = 2 * 2**30
"""Bytes of a request."""


def app_of(settings: Settings) -> Flask:
    """The server as the settings describe it. Raises ValueError."""
    return create_app(
        Shelf.of(settings),
        Piper.of(settings),
        key=settings.speech_key.get_secret_value() if settings.speech_key else None,
        waiting=settings.speech_waiting,
        patience=settings.speech_waiting_seconds,
        scratch=settings.scratch,
    )


def create_app(
    models: Models,
    piper: Piper | None = None,
    *,
    key: str | None = None,
    upload_limit: int = UPLOAD_LIMIT,
    waiting: int = 2,
    patience: float = 900,
    scratch: Path | None = None,
) -> Flask:
    """`key`: what senders must show as their bearer token. `waiting`, `patience` as in `Turns`, of those who hear and who speak each."""
    app = Flask("speech")
    app.config["MAX_CONTENT_LENGTH"] = upload_limit
    instrument(
        app, "speech", lambda: {name: "ok" if there else "away" for name, there in _ready(models, piper).items()}
    )
    errors.register(app)
    if key:
        _ask_for(key, app)
    _show_models(app, models, piper)
    listening.register(app, models, Turns("hearing", waiting, patience), scratch)
    speaking.register(app, piper, Turns("speaking", waiting, patience), scratch)
    return app


def _ready(models: Models, piper: Piper | None) -> Mapping[str, bool]:
    return {**models.ready(), **({speaking.MODEL: piper.ready()} if piper else {})}


def _ask_for(key: str, app: Flask) -> None:
    @app.before_request
    def check_key() -> None:
        given = request.authorization.token if request.authorization else None
        if request.path.startswith("/v1/") and not hmac.compare_digest((given or "").encode(), key.encode()):
            raise ApiError(401, "Incorrect API key provided.", "invalid_api_key")


def _show_models(app: Flask, models: Models, piper: Piper | None) -> None:
    @app.get("/v1/models")
    def all_models() -> Response:
        return jsonify(object="list", data=[_described(name) for name in _ready(models, piper)])

    @app.get("/v1/models/<path:name>")
    def one_model(name: str) -> Response:
        return jsonify(_described(known(name, _ready(models, piper))))


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "spool"}
