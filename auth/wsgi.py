"""`gunicorn auth.wsgi:app`"""

from pathlib import Path

from flask import Flask

from auth.app import create_app
from auth.keys import Keys
from auth.tokens import Tokens
from auth.users import Users
from pipeline import telemetry, web
from pipeline.database import connect
from pipeline.settings import Settings


def build() -> Flask:
    """The app as the environment says. Raises SystemExit with one line a mistake."""
    settings = Settings.load("auth_database_url", "signing_keys")
    telemetry.configure(settings.log_format, "auth")
    try:
        engine = connect(settings.auth_database_url or "")
    except ValueError as error:
        raise SystemExit(f"SPOOL_AUTH_DATABASE_URL: {error}") from None
    keys = _keys(settings.signing_keys or Path())
    return create_app(Users(engine), Tokens(engine, keys, settings.token_seconds))


def _keys(path: Path) -> Keys:
    try:
        return Keys.load(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"SPOOL_SIGNING_KEYS: {error}") from None


app = web.entry(build)
