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
    """The secret at `path`, which is made of `fresh` if there is none."""
    if not path.exists():
        write(path, fresh)
    return path.read_text().strip()


def write(path: Path, text: str) -> None:
    """Mode 0600 from the start, and whole or not there."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.rename(path)


def sign_in(path: Path, email: str | None, password: str | None) -> SignIn:
    """The first user: what is given now, else what was kept, else made now. It is kept for the next start."""
    kept_email, kept_password = secret(path, f"admin@localhost {secrets.token_urlsafe(12)}\n").split(" ", 1)
    found = SignIn(email or kept_email, password or kept_password)
    if found != SignIn(kept_email, kept_password):
        write(path, f"{found.email} {found.password}\n")
    return found
