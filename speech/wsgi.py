"""`gunicorn speech.wsgi:app`, with `--workers 1 --threads 8`: each worker process loads a model of its own."""

from pipeline import telemetry
from pipeline.settings import Settings
from speech.app import create_app
from speech.whisper import Whisper

_settings = Settings.load()
telemetry.configure(_settings, "speech")
_whisper = Whisper(_settings.speech_model)
if not _whisper.ready():
    raise SystemExit(f"SPOOL_SPEECH_MODEL: there is no model {_settings.speech_model!r} here.")
app = create_app(
    _whisper,
    key=_settings.speech_key.get_secret_value() if _settings.speech_key else None,
    scratch=_settings.scratch,
)
