"""POST /login: a password for a token."""

from flask import Response

from gateway.access import authorization
from gateway.api import routes
from gateway.auth_client import TooManyAttempts, WrongPassword
from gateway.services import services
from pipeline.problems import Problem

api = routes("sign in", [401, 429, 503])

_TEXT = {"description": "A JSON Web Token.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@api.post("/login", summary="Sign in", security=[{"password": []}], responses={200: _TEXT})
def login() -> Response:
    """Takes Basic authentication, answers the token as text; it goes into the header `Authorization: Bearer ...`."""
    given = authorization("basic")
    if given is None:
        raise _refused("unauthorized")
    try:
        token = services().auth.sign_in(given.username or "", given.password or "")
    except WrongPassword:
        raise _refused("credentials_wrong") from None
    except TooManyAttempts as error:
        raise Problem("too_many_requests", headers={"Retry-After": error.retry_after}) from None
    return Response(token, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})


def _refused(code: str) -> Problem:
    return Problem(code, headers={"WWW-Authenticate": 'Basic realm="spool", charset="UTF-8"'})
