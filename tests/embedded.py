"""The embedded suite as a process of its own."""

from pathlib import Path

from tests.client import Client
from tests.processes import Process, free_port, python, wait_for


class Embedded:
    """`make up` without make, on a port and a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.data, self.port = folder / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"SPOOL_DATA": str(self.data), "SPOOL_PORT": str(self.port), "SPOOL_LOG_FORMAT": "text"}
        self.process: Process = python("suite", "-m", "dev", "up", environment=environment, folder=folder)

    def start(self) -> "Embedded":
        self.process.start()
        wait_for(f"{self.url}/readyz", self.process)
        return self

    def client(self) -> Client:
        email, password = (self.data / "sign-in").read_text().strip().split(" ", 1)
        return Client(self.url, email, password).sign_in()

    def mails(self) -> list[str]:
        return [path.read_text() for path in sorted((self.data / "mails").glob("*.eml"))]
