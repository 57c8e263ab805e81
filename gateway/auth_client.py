"""Speaks to auth over HTTP."""

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from pipeline import telemetry
from pipeline.errors import Unavailable

SECONDS = 5
"""How long auth may take to answer."""


class WrongPassword(Exception):
    """Nobody has this address and password."""


class TooManyAttempts(Exception):
    """Auth looks at no password for this address before `retry_after` seconds have passed."""

    def __init__(self, retry_after: str) -> None:
        super().__init__("too many attempts")
        self.retry_after = retry_after


class Grant(BaseModel):
    access_token: str


class KeySet(BaseModel):
    keys: list[dict[str, Any]]


Form = TypeVar("Form", bound=BaseModel)


class AuthClient:
    """`url` is where auth is reached. Every method raises `Unavailable` when it is away."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=SECONDS, trust_env=False)  # passwords go through nobody's proxy

    def sign_in(self, email: str, password: str) -> str:
        """A token for this person. Raises WrongPassword or TooManyAttempts."""
        answer = self._ask("POST", "/v1/tokens", httpx.BasicAuth(email, password))
        if answer.status_code == 401:
            raise WrongPassword
        if answer.status_code == 429:
            raise TooManyAttempts(answer.headers.get("Retry-After", "30"))
        return _read(answer, Grant).access_token

    def keys(self) -> dict[str, Any]:
        """The key set that tokens are checked with, RFC 7517."""
        return _read(self._ask("GET", "/.well-known/jwks.json"), KeySet).model_dump()

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, auth: httpx.Auth | None = None) -> httpx.Response:
        headers = {"traceparent": telemetry.traceparent() or ""}
        try:
            return self._http.request(method, path, auth=auth, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("auth does not answer") from error


def _read(answer: httpx.Response, form: type[Form]) -> Form:
    try:
        return form.model_validate_json(answer.raise_for_status().content)
    except (httpx.HTTPStatusError, ValidationError) as error:
        raise Unavailable("auth does not answer as it should") from error
