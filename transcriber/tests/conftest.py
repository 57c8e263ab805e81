import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
from openai import OpenAI

KEY = "sk-secret-of-the-house"
Act = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Service:
    """A speech service on a real port that does what a test says: one act for each request, the last one for all further."""

    acts: list[Act] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)
    hung_up: Event = field(default_factory=Event)
    """The client closed a connection on which it was waiting."""
    url: str = ""

    def answers(self, *acts: Act) -> None:
        self.acts = list(acts)

    def act(self, request: BaseHTTPRequestHandler) -> None:
        self.headers.append(request.headers)
        self.bodies.append(request.rfile.read(int(request.headers["Content-Length"])))
        (self.acts.pop(0) if len(self.acts) > 1 else self.acts[0])(request)

    def client(self) -> OpenAI:
        return OpenAI(api_key=KEY, base_url=self.url)


def reply(status: int, body: Any, headers: dict[str, str] | None = None, length: int | None = None) -> Act:
    """Answers with `body`, as JSON if it is not bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        fields = {"Content-Type": "application/json", "Content-Length": str(length or len(content))}
        for name, value in (fields | (headers or {})).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return act


def refusal(status: int, **error: str) -> Act:
    return reply(status, {"error": {"message": f"{KEY} is at /srv/vendor", "type": "x", "param": None} | error})


def hang(request: BaseHTTPRequestHandler) -> None:
    """Says nothing until the client hangs up."""
    request.connection.recv(1)


@pytest.fixture
def service() -> Iterator[Service]:
    stand_in = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stand_in.act(self)

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield stand_in
    server.shutdown()
    thread.join()
    server.server_close()
