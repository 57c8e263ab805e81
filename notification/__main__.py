"""`python -m notification`: a worker that sends mail and calls webhooks."""

from notification.worker import handlers
from pipeline import wiring
from pipeline.settings import Settings

if __name__ == "__main__":
    wiring.run_worker(
        "notification",
        Settings.load("database_url", "blob_url", "queue_url", "mail_url", "link_keys", "public_url"),
        handlers,
    )
