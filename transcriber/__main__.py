"""`python -m transcriber`: a worker that makes transcripts."""

from functools import partial

from pipeline import wiring
from pipeline.settings import Settings
from pipeline.speech_models import Choice
from transcriber.choice import remarks
from transcriber.worker import handlers

if __name__ == "__main__":
    settings = Settings.load("database_url", "blob_url", "queue_url", "speech_url")
    wiring.run_worker("transcriber", settings, handlers, partial(remarks, Choice.of(settings)))
