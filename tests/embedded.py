"""The embedded suite as a process of its own."""

from pathlib import Path

from dev.services.server import free_port
from dev.waiting import eventually
from pipeline.blobs.directory import DirectoryBlobs
from tests.client import Client
from tests.processes import Process, python, wait_for


class Embedded:
    """`make up` without make, on a port and a folder of its own, with settings `given`; it can be killed and started again."""

    def __init__(self, folder: Path, **given: str) -> None:
        self.data, self.port = folder / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {
            "SPOOL_FETCH_NETWORKS": "127.0.0.0/8",
            "SPOOL_LOG_FORMAT": "text",
            "SPOOL_DIGEST_JOBS": "1000",
            **given,
        }
        environment = {"SPOOL_DATA": str(self.data), "SPOOL_PORT": str(self.port), **settings}
        self.process: Process = python("suite", "-m", "dev", "up", environment=environment, folder=folder)

    def start(self) -> "Embedded":
        known = len(self.process.output())
        self.process.start()
        wait_for(f"{self.url}/readyz", self.process)
        eventually(lambda: "Ctrl-C stops it." in self.process.output()[known:])  # it answers before it has said so
        return self

    def client(self) -> Client:
        email, password = (self.data / "sign-in").read_text().strip().split(" ", 1)
        return Client(self.url, email, password).sign_in()

    def mails(self) -> list[str]:
        return [path.read_text() for path in sorted((self.data / "mails").glob("*.eml"))]

    def mails_about(self, job_id: str) -> list[str]:
        return [mail for mail in self.mails() if job_id in mail]

    def stored(self) -> set[str]:
        """The ids of all blobs, also of unfinished ones."""
        return {blob.id for blob in DirectoryBlobs(self.data / "blobs").list()}
