"""Signed links: who holds one may fetch what it was made for until it expires, without a login."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer

from pipeline.settings import Settings

SALT = "spool.links"
SHORTEST = 32

Kind = Literal["file", "job", "row"]


class BadLink(ValueError):
    """The link was not made here, or was changed."""


class ExpiredLink(BadLink):
    """The link was good once."""


def links(settings: Settings) -> "Links":
    """As the settings say. Raises SystemExit for keys that could be guessed."""
    keys = settings.link_keys.get_secret_value().split() if settings.link_keys else []
    if not keys or any(len(key) < SHORTEST for key in keys):
        raise SystemExit(
            f"SPOOL_LINK_KEYS: every key needs {SHORTEST} characters or more; `openssl rand -hex 32` makes one"
        )
    return Links(keys, settings.link_days * 86400)


@dataclass(frozen=True)
class Grant:
    """What a token opens: the file with this `fid`, all files of a job, or what the catalog's row of the link says."""

    kind: Kind
    id: str
    signed_at: datetime | None
    """None for a row, which is revoked by its removal."""
    expires_at: datetime


@dataclass(frozen=True)
class Links:
    """`keys` sign: the newest last, older ones are still accepted. `seconds` is how long a new link is good for.

    A token is the id of its key and what itsdangerous signs with it (HMAC, SHA-256): a kind, an id,
    and when it was signed and when it ends in Unix time.
    """

    keys: Sequence[str]
    seconds: int

    def sign(self, fid: str) -> str:
        """A token for the file `fid`, safe in a URL."""
        return self._sign_now("file", fid)

    def sign_job(self, job_id: str) -> str:
        """A token for all files of a job, or of an export."""
        return self._sign_now("job", job_id)

    def sign_row(self, row_id: str, expires_at: datetime) -> str:
        """A token for what `pipeline.shares` keeps as `row_id`; the same every time while no key is added."""
        return self._sign("row", row_id, None, int(expires_at.timestamp()))

    def open(self, token: str) -> Grant:
        """Raises BadLink or ExpiredLink."""
        kid, _, signed = token.partition(".")
        try:
            kind, found, since, expires = _serializer(self._key(kid)).loads(signed)
        except (BadData, ValueError) as error:
            raise BadLink from error
        if time.time() > expires:
            raise ExpiredLink
        return Grant(kind, found, since and datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(expires, UTC))

    def _sign_now(self, kind: Kind, found: str) -> str:
        signed = time.time()
        return self._sign(kind, found, signed, int(signed) + self.seconds)

    def _sign(self, kind: Kind, found: str, since: float | None, expires: int) -> str:
        key = self.keys[-1]
        return f"{_key_id(key)}.{_serializer(key).dumps([kind, found, since, expires])}"

    def _key(self, kid: str) -> str:
        for key in self.keys:
            if _key_id(key) == kid:
                return key
        raise BadLink


def _key_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _serializer(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt=SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256})
