"""The HTTP side: POST /v1/audio/transcriptions and GET /v1/models, as the `openai` SDKs speak them."""

import hmac
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask, Response, jsonify, request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected

from pipeline.client_socket import has_left
from pipeline.web import instrument
from speech import errors
from speech.errors import ApiError
from speech.model import Model, Speech, Wishes
from speech.turns import Turns

UPLOAD_LIMIT = 2 * 2**30
"""Bytes of a request; Werkzeug keeps a large upload in a temporary file."""


def create_app(
    model: Model,
    *,
    key: str | None = None,
    upload_limit: int = UPLOAD_LIMIT,
    waiting: int = 2,
    patience: float = 60,
    scratch: Path | None = None,
) -> Flask:
    """`key`: what senders must show as their bearer token. `waiting`, `patience` as in `Turns`."""
    app = Flask("speech")
    app.config["MAX_CONTENT_LENGTH"] = upload_limit
    instrument(app, "speech", lambda: {"model": "ok" if model.ready() else "away"})
    errors.register(app)
    turns = Turns(waiting, patience)

    @app.before_request
    def check_key() -> None:
        given = request.authorization.token if request.authorization else None
        if key and request.path.startswith("/v1/") and not hmac.compare_digest((given or "").encode(), key.encode()):
            raise ApiError(401, "Incorrect API key provided.", "invalid_api_key")

    @app.get("/v1/models")
    def models() -> Response:
        return jsonify(object="list", data=[_described(model)])

    @app.post("/v1/audio/transcriptions")
    def transcriptions() -> Response:
        wishes, upload = _wishes(request.form), _upload()
        if Path(wishes.model).name != model.name:
            raise ApiError(404, f"The model {wishes.model!r} does not exist.", "model_not_found")
        with turns.turn(_stay), TemporaryDirectory(prefix="speech-", dir=scratch) as folder:
            audio = Path(folder, "upload")
            upload.save(audio)
            return _answer(model.transcribe(audio, wishes, _stay), wishes)

    return app


def _stay() -> None:
    """Gives up the turn, or the place of who waits for it, once nobody waits for the answer any more."""
    if has_left(request.environ):
        raise ClientDisconnected


def _described(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "spool"}


def _wishes(form: MultiDict[str, str]) -> Wishes:
    given: dict[str, Any] = {name: form[name] for name in Wishes.model_fields if name in form}
    granularities = "timestamp_granularities[]"
    try:
        return Wishes.model_validate(given | {granularities: form.getlist(granularities)})
    except ValidationError as error:
        first = error.errors()[0]
        raise ApiError(400, first["msg"], param=str(first["loc"][0])) from None


def _upload() -> FileStorage:
    if "file" not in request.files:
        raise ApiError(400, "A file is required.", param="file")
    return request.files["file"]


def _answer(speech: Speech, wishes: Wishes) -> Response:
    if wishes.response_format == "text":
        return Response(speech.text + "\n", content_type="text/plain; charset=utf-8")
    answer: dict[str, Any] = {"text": speech.text}
    if wishes.response_format == "verbose_json":
        left_out = None if "word" in wishes.granularities else {"words"}
        answer |= {"task": "transcribe"} | speech.model_dump(exclude=left_out)
    return jsonify(answer | {"usage": {"type": "duration", "seconds": ceil(speech.duration)}})
