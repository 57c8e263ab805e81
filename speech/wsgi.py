"""`gunicorn speech.wsgi:app`, in one process: each would load a model of its own."""

from flask import Flask

from pipeline import telemetry, web
from pipeline.settings import Settings
from speech.app import create_app
from speech.whisper import Whisper


def _app() -> Flask:
    settings = Settings.load()
    telemetry.configure(settings.log_format, "speech")
    whisper = Whisper(settings.speech_model)
    if not whisper.ready():
        raise SystemExit(f"SPOOL_SPEECH_MODEL: there is no model {settings.speech_model!r} here.")
    key = settings.speech_key.get_secret_value() if settings.speech_key else None
    return create_app(whisper, key=key, scratch=settings.scratch)


app = web.entry(_app)
