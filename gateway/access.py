"""Who is asking: the bearer of a sign-in token (RFC 6750)."""

from typing import cast

from flask import g, request
from werkzeug.datastructures import Authorization

from gateway.services import services
from gateway.tokens import BadToken, Identity
from pipeline.problems import Problem


def require_token() -> None:
    """Runs before the views that need a sign-in. Raises `Problem` (401), or `Unavailable` if tokens cannot be checked."""
    if request.method == "OPTIONS":  # browsers ask without a token what they may do (CORS)
        return
    given = authorization("bearer")
    if given is None or not given.token:
        raise Problem("unauthorized", headers={"WWW-Authenticate": "Bearer"})
    try:
        g.identity = services().tokens.check(given.token)
    except BadToken:
        raise Problem("token_invalid", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None


def authorization(scheme: str) -> Authorization | None:
    """What the client signs in with, if it is of this scheme."""
    try:
        given = request.authorization
    except ValueError:  # werkzeug's answer to Basic credentials that are not even ASCII
        return None
    return given if given and given.type == scheme else None


def identity() -> Identity:
    return cast(Identity, g.identity)
