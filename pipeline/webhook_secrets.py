"""What signs for a webhook: secrets as Standard Webhooks has them (https://www.standardwebhooks.com), sealed in its row."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, TypeAdapter

from pipeline.database import now
from pipeline.vault import Vault

OVERLAP = timedelta(days=1)
"""How long a secret that was replaced signs beside the new one."""
MOST = 5
"""Secrets that sign at a time."""
_BYTES = 32
"""Of chance in a secret; the specification asks for 24 to 64."""


class _Secret(BaseModel):
    secret: str
    until: datetime | None = None
    """When it signs no more; None for the newest."""


_List = TypeAdapter(list[_Secret])


def fresh(vault: Vault) -> str:
    """One new secret, sealed."""
    return _seal(vault, [_new()])


def rotated(vault: Vault, sealed: str) -> str:
    """With a new secret before those there were. Raises Unopened."""
    old = [found.model_copy(update={"until": found.until or now() + OVERLAP}) for found in _current(vault, sealed)]
    return _seal(vault, [_new(), *old][:MOST])


def signing(vault: Vault, sealed: str) -> Sequence[str]:
    """Those that sign now, the newest first. Raises Unopened."""
    return [found.secret for found in _current(vault, sealed)]


def _new() -> _Secret:
    return _Secret(secret=f"whsec_{base64.b64encode(secrets.token_bytes(_BYTES)).decode()}")


def _current(vault: Vault, sealed: str) -> list[_Secret]:
    return [found for found in _List.validate_json(vault.open(sealed)) if found.until is None or found.until > now()]


def _seal(vault: Vault, found: list[_Secret]) -> str:
    return vault.seal(_List.dump_json(found).decode())
