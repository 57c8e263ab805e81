"""A program that takes webhooks, and checks them as the `standardwebhooks` library does."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import Any, NamedTuple

from standardwebhooks import Webhook

from dev.threaded import running


class Received(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The message. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver(ThreadingHTTPServer):
    """Answers with the functions given, one after another, and then the last for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.answers: list[Answer] = [says(204)]
        self.received: list[Received] = []
        self.closing = Event()
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}/hook?a=b"

    def handle_error(self, *_: object) -> None:
        """Callers go away in the middle here; that is what is tested."""


class Visit(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, headers, body))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *_: object) -> None:
        pass


Answer = Callable[[Visit], None]


def says(status: int, **headers: str) -> Answer:
    """Names of headers are given with underscores."""

    def answer(visit: Visit) -> None:
        visit.send_response(status)
        for name, value in {"Content_Length": "0", **headers}.items():
            visit.send_header(name.replace("_", "-"), value)
        visit.end_headers()

    return answer


def is_silent(visit: Visit) -> None:
    visit.server.closing.wait(60)


def hangs_up(visit: Visit) -> None:
    visit.connection.close()


def answers_without_end(status: int) -> Answer:
    def answer(visit: Visit) -> None:
        visit.send_response(status)
        visit.end_headers()
        while not visit.server.closing.is_set():
            visit.wfile.write(b"x" * 1000)

    return answer


def begins_to_answer(status: int) -> Answer:
    """And says no more."""

    def answer(visit: Visit) -> None:
        says(status, Content_Length="10")(visit)
        is_silent(visit)

    return answer


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(tls)
    with running(receiver):
        try:
            yield receiver
        finally:
            receiver.closing.set()
