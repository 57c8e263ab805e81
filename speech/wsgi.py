"""`gunicorn speech.wsgi:app`, in one process: each would load a model of its own."""

from flask import Flask

from pipeline import telemetry, web
from pipeline.settings import Settings
from speech import memory
from speech.app import app_of
from speech.piper import Piper
from speech.shelf import Shelf


def _app() -> Flask:
    settings = Settings.load()
    telemetry.configure(settings.log_format, "speech")
    memory.keep()
    try:
        _check(Shelf.of(settings), Piper.of(settings))
        return app_of(settings)
    except ValueError as error:
        raise SystemExit(str(error)) from None


def _check(shelf: Shelf, piper: Piper | None) -> None:
    away = [name for name, there in shelf.ready().items() if not there]
    if away:
        raise SystemExit(f"SPOOL_SPEECH_MODEL, SPOOL_SPEECH_MODELS: there is no model {', '.join(away)} here.")
    if piper and not piper.ready():
        raise SystemExit("SPOOL_SPEECH_PIPER, SPOOL_SPEECH_VOICES: there is no Python or no voice there.")


app = web.entry(_app)
