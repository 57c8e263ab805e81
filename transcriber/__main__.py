"""`python -m transcriber`: a worker that makes transcripts."""

from pipeline import wiring
from pipeline.settings import Settings
from transcriber.worker import handlers

if __name__ == "__main__":
    wiring.run_worker("transcriber", Settings.load("database_url", "blob_url", "queue_url", "speech_url"), handlers)
