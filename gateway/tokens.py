"""Checks sign-in tokens against the published keys, without asking auth each time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import jwt
import structlog

from pipeline.errors import Unavailable

log = structlog.get_logger()

MAX_AGE = 300
"""Seconds after which keys are fetched again, so that a withdrawn one is soon forgotten."""
PAUSE = 5
"""Seconds between two attempts to fetch keys, however many tokens name unknown ones."""
LEEWAY = 5
"""Seconds by which the clocks of two machines may differ."""
CLAIMS = ("exp", "iss", "aud", "sub", "email")
NAME = "spool"
"""Issuer and audience of tokens."""


class BadToken(ValueError):
    """The token was not made by our auth, was changed, or has expired."""


@dataclass(frozen=True)
class Identity:
    owner: str
    email: str
    expires: int
    """Seconds since the epoch."""


class Tokens:
    """`fetch` gets the key set (RFC 7517) and raises `Unavailable`; while it does, keys already known go on working."""

    def __init__(self, fetch: Callable[[], dict[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = self._tried = float("-inf")

    def check(self, token: str) -> Identity:
        """Who the token was made for. Raises BadToken, or Unavailable before there are any keys."""
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid", ""))
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=NAME,
                issuer=NAME,
                leeway=LEEWAY,
                options={"require": list(CLAIMS)},
            )
        except jwt.InvalidTokenError as error:
            raise BadToken from error
        return Identity(owner=claims["sub"], email=claims["email"], expires=claims["exp"])

    def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys:
            self._refresh(wait=True)
        elif self._clock() - self._fetched > MAX_AGE:
            self._refresh(wait=False)
        if kid not in self._keys:
            raise BadToken
        return self._keys[kid]

    def _refresh(self, *, wait: bool) -> None:
        """One thread fetches; others wait for it only if they cannot go on without."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            if self._clock() - self._tried > PAUSE or not self._keys:
                self._replace_keys()
        finally:
            self._lock.release()

    def _replace_keys(self) -> None:
        self._tried = self._clock()
        try:
            fetched = jwt.PyJWKSet.from_dict(self._fetch())
        except (Unavailable, jwt.PyJWKSetError) as error:
            if not self._keys:
                raise Unavailable("auth does not publish its keys") from error
            log.warning("keys not refreshed", cause=str(error))
            return
        self._keys = {key.key_id: key for key in fetched.keys if key.key_id}
        self._fetched = self._clock()
