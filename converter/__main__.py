"""`python -m converter`: a worker that takes the sound out of recordings and makes MP3s of it."""

from converter.worker import handlers
from pipeline import wiring
from pipeline.settings import Settings

if __name__ == "__main__":
    wiring.run_worker("converter", Settings.load("database_url", "blob_url", "queue_url"), handlers)
