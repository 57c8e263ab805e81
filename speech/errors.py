"""Errors in OpenAI's shape, https://platform.openai.com/docs/guides/error-codes, so that its SDKs understand them."""

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, InternalServerError

from speech.model import Unusable


class ApiError(Exception):
    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class Busy(ApiError):
    """Too many requests wait already. Its sender should come back after `PAUSE` seconds."""

    PAUSE = 10

    def __init__(self) -> None:
        super().__init__(429, "Too many transcriptions are waiting. Try again in a moment.", "rate_limit_exceeded")


def register(app: Flask) -> None:
    """Every error that leaves `app` has the shape; causes stay in the log."""
    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(Unusable, lambda e: _answer(ApiError(400, e.reason, param=e.param)))
    app.register_error_handler(HTTPException, lambda e: _answer(ApiError(e.code or 500, e.description or e.name)))
    app.register_error_handler(InternalServerError, lambda _: _answer(ApiError(500, "The server failed.")))


def _answer(error: ApiError) -> Response:
    body = {"message": error.message, "type": _type(error.status), "param": error.param, "code": error.code}
    response = jsonify(error=body)
    response.status_code = error.status
    if isinstance(error, Busy):
        response.headers["Retry-After"] = str(Busy.PAUSE)
    return response


def _type(status: int) -> str:
    if status == 429:
        return "requests"
    return "server_error" if status >= 500 else "invalid_request_error"
