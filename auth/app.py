"""The HTTP interface of auth."""

from functools import partial

from flask import Flask, Response, jsonify, request
from pydantic import BaseModel, Field, ValidationError

from auth.brake import TooManyFailures
from auth.tokens import Grant, TokenRefused, Tokens
from auth.users import Users, WrongPassword
from pipeline import problems, web
from pipeline.database import ping
from pipeline.problems import Problem
from pipeline.readiness import checks

BODY_LIMIT = 16 * 1024
JWKS_SECONDS = 300
"""How long the published keys may be cached: publish a new key that long before it signs."""

_BASIC = {"WWW-Authenticate": 'Basic realm="spool", charset="UTF-8"'}
_BEARER = {"WWW-Authenticate": 'Bearer realm="spool", error="invalid_token"'}


class RefreshToken(BaseModel):
    refresh_token: str = Field(min_length=1, max_length=200)


def create_app(users: Users, tokens: Tokens) -> Flask:
    app = Flask("auth", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    web.instrument(app, "auth", checks(database=partial(ping, users.engine)))
    problems.register(app)
    app.register_error_handler(WrongPassword, lambda _: Problem("credentials_wrong", headers=_BASIC).response())
    app.register_error_handler(TokenRefused, lambda _: Problem("token_invalid", headers=_BEARER).response())
    app.register_error_handler(TooManyFailures, _slow_down)
    app.register_error_handler(ValidationError, _invalid)
    _add_routes(app, users, tokens)
    return app


def _add_routes(app: Flask, users: Users, tokens: Tokens) -> None:
    @app.post("/v1/tokens")
    def sign_in() -> Response:
        given = request.authorization
        if given is None or given.type != "basic":
            raise Problem("unauthorized", headers=_BASIC)
        return _granted(tokens.issue(users.verify(given.username or "", given.password or "")))

    @app.post("/v1/tokens/refresh")
    def refresh() -> Response:
        return _granted(tokens.refresh(_refresh_token()))

    @app.post("/v1/tokens/revoke")
    def revoke() -> tuple[str, int]:
        tokens.revoke(_refresh_token())
        return "", 204

    @app.get("/.well-known/jwks.json")
    def keys() -> Response:
        response = jsonify(tokens.keys.published())
        response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
        return response


def _refresh_token() -> str:
    return RefreshToken.model_validate(request.get_json(silent=True)).refresh_token


def _granted(grant: Grant) -> Response:
    response = jsonify(
        access_token=grant.access_token,
        token_type="Bearer",  # noqa: S106 - the name of a scheme
        expires_in=grant.expires_in,
        refresh_token=grant.refresh_token,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _slow_down(error: TooManyFailures) -> Response:
    return Problem("too_many_requests", headers={"Retry-After": str(int(error.seconds) + 1)}).response()


def _invalid(_: ValidationError) -> Response:
    return Problem("invalid", 'A JSON object with a "refresh_token" is expected.').response()
