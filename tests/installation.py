"""The suite as it is installed: each service a process, on MySQL, MongoDB and RabbitMQ, with settings from the environment alone."""

import secrets
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pika
from cryptography.fernet import Fernet

from dev.mail.server import MailServer
from dev.services.server import free_port
from pipeline import topology
from pipeline.blobs.gridfs import GridFSBlobs
from tests.client import Client
from tests.processes import ROOT, Process, gunicorn, python, wait_for

USER, PASSWORD = "ada@example.org", "correct horse battery"
HASTE = {
    "SPOOL_LEASE_SECONDS": "4",
    "SPOOL_SWEEP_SECONDS": "0.5",
    "SPOOL_LOST_SECONDS": "2",
    "SPOOL_GRACE_SECONDS": "10",
    "SPOOL_DIGEST_JOBS": "1000",
}
"""Short times, so that tests need not wait for long ones, and a mail for each of the many jobs that they start."""


class Installation:
    """Services by name in `services`; a test may kill and start them. `given` are settings of all that share the catalog."""

    def __init__(self, folder: Path, catalog: str, users: str, blobs: str, broker: str, **given: str) -> None:
        self.folder, self.catalog, self.blobs, self.broker, self.given = folder, catalog, blobs, broker, given
        self.mailbox = MailServer()
        self.ports = {name: free_port() for name in ("gateway", "auth", "speech")}
        self.url = self.address("gateway")
        self.users, self.link_key = users, secrets.token_hex(32)
        self.secret_key = Fernet.generate_key().decode()
        self.services: dict[str, Process] = {}
        self._stack = ExitStack()

    def environment(self, service: str) -> dict[str, str]:
        """What this service needs, and nothing else."""
        shared = {
            "SPOOL_DATABASE_URL": self.catalog,
            "SPOOL_BLOB_URL": self.blobs,
            "SPOOL_QUEUE_URL": self.broker,
            **HASTE,
            **self.given,
        }
        own = {
            "auth": {"SPOOL_AUTH_DATABASE_URL": self.users, "SPOOL_SIGNING_KEYS": str(self.folder / "keys.pem")},
            "speech": {},
            "gateway": {
                **shared,
                "SPOOL_AUTH_URL": f"http://127.0.0.1:{self.ports['auth']}",
                "SPOOL_LINK_KEYS": self.link_key,
                "SPOOL_PUBLIC_URL": self.url,
                "SPOOL_SECRET_KEYS": self.secret_key,
            },
            "sync": {
                **shared,
                "SPOOL_FETCH_NETWORKS": "127.0.0.0/8",
                "SPOOL_LINK_KEYS": self.link_key,
                "SPOOL_SECRET_KEYS": self.secret_key,
                "SPOOL_PUBLIC_URL": self.url,
            },
            "converter": shared,
            "transcriber": {"SPOOL_SPEECH_URL": f"http://127.0.0.1:{self.ports['speech']}/v1", **shared},
            "notification": {
                **shared,
                "SPOOL_MAIL_URL": f"smtp://127.0.0.1:{self.mailbox.port}",
                "SPOOL_LINK_KEYS": self.link_key,
                "SPOOL_SECRET_KEYS": self.secret_key,
                "SPOOL_PUBLIC_URL": self.url,
            },
        }
        return own[service]

    def run(self, service: str, *arguments: str, standard_input: str = "", **changed: str) -> str:
        """A command that ends; `changed` is what its environment has beside the service's."""
        environment = {"PATH": "/usr/bin:/bin", **self.environment(service), **changed}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def worker(self, service: str, name: str | None = None) -> Process:
        """One more replica of a worker."""
        process = python(name or service, "-m", service, environment=self.environment(service), folder=self.folder)
        self.services[process.name] = self._stack.enter_context(process)
        return process

    def web(self, service: str, name: str | None = None, **changed: str) -> Process:
        """One more replica if it has a name of its own; `changed` is what its environment has beside."""
        name, environment = name or service, {**self.environment(service), **changed}
        port = self.ports.setdefault(name, free_port())
        process = gunicorn(service, port, environment=environment, folder=self.folder, name=name)
        self.services[name] = self._stack.enter_context(process)
        return process

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def mend(self) -> None:
        """Starts what is down, and waits until every service is ready."""
        self.mailbox.start()
        for service in (*self.ports, "sync", "converter", "transcriber", "notification"):
            self.services[service].start()
        for service, port in self.ports.items():
            wait_for(f"http://127.0.0.1:{port}/readyz", self.services[service])

    def client(self, gateway: str = "gateway") -> Client:
        return Client(self.address(gateway), USER, PASSWORD).sign_in()

    def mails_about(self, job_id: str) -> list[str]:
        return self.mailbox.about(job_id)

    def idle(self, kind: str) -> int:
        """How many workers wait for a task of this kind."""
        with pika.BlockingConnection(pika.URLParameters(self.broker)) as connection:
            declared = connection.channel().queue_declare(topology.queue_name(kind), passive=True)
        count: int = declared.method.consumer_count
        return count

    def stored(self) -> set[str]:
        """The ids of all blobs, also of unfinished ones."""
        with closing(GridFSBlobs(self.blobs)) as store:
            return {blob.id for blob in store.list()}

    def __enter__(self) -> Self:
        (self.folder / "keys.pem").write_text(self.run("auth", "-m", "auth", "key", "new"))
        self.run("auth", "-m", "auth", "migrate")
        self.run("auth", "-m", "auth", "user", "add", USER, "--password-stdin", standard_input=PASSWORD)
        self.run("gateway", "-m", "pipeline", "migrate")
        self.mailbox.start()
        self._stack.callback(self.mailbox.stop)
        for service in ("auth", "speech", "gateway"):
            self.web(service)
        for service in ("sync", "converter", "transcriber", "notification"):
            self.worker(service)
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
