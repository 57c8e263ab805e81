"""Secrets that the catalog keeps: sealed, so that who reads the database alone cannot use them."""

from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipeline.settings import Settings


class Unopened(Exception):
    """None of the keys opens it: they were changed, or it was."""


@dataclass(frozen=True)
class Vault:
    """Fernet (https://github.com/fernet/spec) under keys that can be rotated."""

    fernet: MultiFernet

    def seal(self, text: str) -> str:
        return self.fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises Unopened."""
        try:
            return self.fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise Unopened from error

    def reseal(self, sealed: str) -> str:
        """The same, under the newest key. Raises Unopened."""
        try:
            return self.fernet.rotate(sealed).decode()
        except InvalidToken as error:
            raise Unopened from error


def vault(settings: Settings) -> Vault | None:
    """As the settings say, None if they name no keys. Raises SystemExit for keys that are none."""
    keys = settings.secret_keys.get_secret_value().split() if settings.secret_keys else []
    try:
        return Vault(MultiFernet([Fernet(key) for key in reversed(keys)])) if keys else None
    except ValueError:
        raise SystemExit(
            "SPOOL_SECRET_KEYS: a key is 32 bytes in URL-safe base64; `openssl rand -base64 32 | tr +/ -_` makes one"
        ) from None
