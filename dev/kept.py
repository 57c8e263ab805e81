"""What the embedded suite makes once and keeps: secrets, in files that only their owner may read."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SignIn:
    email: str
    password: str


def secret(path: Path, fresh: str) -> str:
    """The secret at `path`, which is made of `fresh` if there is none. Its mode is 0600 from the start, and it is whole or not there."""
    if not path.exists():
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(fresh)
        draft.rename(path)
    return path.read_text().strip()


def sign_in(path: Path, email: str | None, password: str | None) -> SignIn:
    """The first user, given or made once."""
    kept_email, kept_password = secret(path, f"admin@localhost {secrets.token_urlsafe(12)}\n").split(" ", 1)
    return SignIn(email or kept_email, password or kept_password)
