"""`python -m sync`: a worker that fetches recordings, keeps up with connected accounts, and writes down what an export has."""

from pipeline import wiring
from pipeline.settings import Settings
from sync.worker import handlers

if __name__ == "__main__":
    wiring.run_worker(
        "sync", Settings.load("database_url", "blob_url", "queue_url", "link_keys", "public_url"), handlers
    )
