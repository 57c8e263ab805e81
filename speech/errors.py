"""Errors in OpenAI's shape, https://platform.openai.com/docs/guides/error-codes, so that its SDKs understand them."""

from collections.abc import Container
from typing import Any

from flask import Flask, Response, jsonify
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, InternalServerError

from speech.model import Unusable


class ApiError(Exception):
    pause: int | None = None
    """After how many seconds its sender should come back."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class Busy(ApiError):
    """Too many requests wait already."""

    pause = 10

    def __init__(self) -> None:
        super().__init__(429, "Too many requests are waiting. Try again in a moment.", "rate_limit_exceeded")


class NoRoom(ApiError):
    """The disk is full, until others have been heard."""

    pause = 60

    def __init__(self) -> None:
        super().__init__(503, "The server has no room for this file now. Try again later.", "no_room")


def known(model: str, models: Container[str]) -> str:
    """Returns the name of a model that is there. Raises ApiError."""
    if model not in models:
        raise ApiError(404, f"The model {model!r} does not exist.", "model_not_found", "model")
    return model


def named(error: ValidationError) -> ApiError:
    """The first thing wrong with a request, with the field at fault."""
    first = error.errors()[0]
    return ApiError(400, first["msg"], param=str(first["loc"][0]) if first["loc"] else None)


def described(error: ApiError) -> dict[str, Any]:
    return {"message": error.message, "type": _type(error.status), "param": error.param, "code": error.code}


def register(app: Flask) -> None:
    """Every error that leaves `app` has the shape; causes stay in the log."""
    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(Unusable, lambda e: _answer(ApiError(400, e.reason, param=e.param)))
    app.register_error_handler(HTTPException, lambda e: _answer(ApiError(e.code or 500, e.description or e.name)))
    app.register_error_handler(InternalServerError, lambda _: _answer(ApiError(500, "The server failed.")))


def _answer(error: ApiError) -> Response:
    response = jsonify(error=described(error))
    response.status_code = error.status
    if error.pause:
        response.headers["Retry-After"] = str(error.pause)
    return response


def _type(status: int) -> str:
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"
