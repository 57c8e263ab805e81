"""`python -m sync`: a worker that fetches recordings by their addresses."""

from pipeline import wiring
from pipeline.settings import Settings
from sync.worker import handlers

if __name__ == "__main__":
    wiring.run_worker("sync", Settings.load("database_url", "blob_url", "queue_url"), handlers)
