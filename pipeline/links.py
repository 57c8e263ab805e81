"""Signed links: who holds one may fetch one file until it expires, without a login."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer

from pipeline.settings import Settings

SALT = "spool.links"
SHORTEST = 32


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
class Links:
    """`keys` sign: the newest last, older ones are still accepted. `seconds` is how long a new link is good for."""

    keys: Sequence[str]
    seconds: int

    def sign(self, fid: str) -> str:
        """A token for the file `fid`, safe in a URL."""
        return str(self._serializer().dumps([fid, int(time.time()) + self.seconds]))

    def open(self, token: str) -> str:
        """The file a token is for. Raises BadLink or ExpiredLink."""
        try:
            fid, expires = self._serializer().loads(token)
        except BadData as error:
            raise BadLink from error
        if time.time() > expires:
            raise ExpiredLink
        return str(fid)

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(list(self.keys), salt=SALT)
