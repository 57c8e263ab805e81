"""The stand-in on a real port."""

import io
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock
from typing import Any

import av
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from dev.paid_api import answers, offers
from dev.paid_api.faults import FAULTS, Fault
from dev.paid_api.offers import Refused
from dev.threaded import running

HOST = "127.0.0.1"
_ENDPOINTS = {"/v1/audio/transcriptions": "transcribe", "/v1/audio/translations": "translate"}


@dataclass(frozen=True)
class Call:
    """A request as it came, with the fields of its form; `seconds` of its audio, which is `size` bytes long."""

    path: str
    headers: Message
    form: Mapping[str, list[str]]
    name: str
    size: int
    seconds: float


@dataclass
class PaidApi:
    """What a stand-in does and has seen. `delay`: seconds that each call takes."""

    key: str = "sk-stand-in"
    delay: float = 0.0
    faults: deque[Fault] = field(default_factory=deque)
    """What happens to the next calls, one each; then they are answered."""
    calls: list[Call] = field(default_factory=list)
    most_at_once: int = 0
    seconds: float = 0.0
    """That all calls took together."""
    hung_up: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    url: str = ""
    _at_once: int = 0
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def at_work(self, call: Call) -> Iterator[Fault | None]:
        """Counts the call while it lasts, and gives what is to happen to it then."""
        began = time.monotonic()
        with self._lock:
            self.calls.append(call)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.faults.popleft() if self.faults else None
        try:
            yield fault
        finally:
            with self._lock:
                self._at_once -= 1
                self.seconds += time.monotonic() - began


class _Exchange(BaseHTTPRequestHandler):
    api: PaidApi

    @property
    def hung_up(self) -> Event:
        return self.api.hung_up

    def do_GET(self) -> None:
        match self.path:
            case "/v1/models":
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in offers.OFFERS]
                self._say(200, {"object": "list", "data": data})
            case "/admin/calls":
                self._say(200, {"calls": len(self.api.calls), "most_at_once": self.api.most_at_once})
            case _:
                self._say(404, {"error": {"message": "Not found"}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if self.path == "/admin/faults":
                self.api.faults.extend(FAULTS[name] for name in json.loads(body))
                self._say(200, {"faults": len(self.api.faults)})
            else:
                self._transcribe(body)
        except Refused as refused:
            self._say(refused.status, {"error": refused.error})

    def _transcribe(self, body: bytes) -> None:
        if self.path not in _ENDPOINTS:
            raise Refused(404, f"Invalid URL (POST {self.path})")
        form, name, audio = self._form(body)
        call = Call(self.path, self.headers, form, name, len(audio), _seconds(audio))
        with self.api.at_work(call) as fault:  # no longer than this: whoever is answered may call again at once
            self.api.over.wait(self.api.delay)
        (fault or self._answerer(call))(self)

    def _answerer(self, call: Call) -> Fault:
        """Raises Refused."""
        if self.headers["Authorization"] != f"Bearer {self.api.key}":
            raise Refused(401, "Incorrect API key provided.", None, "invalid_api_key")
        task = _ENDPOINTS[call.path]
        offers.check(call.form, call.name, call.size, call.seconds, task == "translate")
        media_type, content = answers.body(call.form, call.seconds, task)
        return lambda exchange: exchange.answer(200, content, {"Content-Type": media_type})

    def _form(self, body: bytes) -> tuple[Mapping[str, list[str]], str, bytes]:
        kind, options = parse_options_header(self.headers["Content-Type"])
        _, form, files = FormDataParser(_in_memory).parse(io.BytesIO(body), kind, len(body), options)
        if "file" not in files:
            raise Refused(400, "file is a required field.", "file")
        return dict(form.lists()), files["file"].filename or "", files["file"].read()

    def answer(self, status: int, content: bytes, headers: Mapping[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content) if length is None else length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.send(content)

    def send(self, content: bytes) -> None:
        self.wfile.write(content)

    def _say(self, status: int, body: Any) -> None:
        self.answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what this is for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(api: PaidApi, port: int = 0) -> Iterator[str]:
    """Serves `api` on `port`, or any free one, and gives the address that clients are given as their base."""
    server = _Server((HOST, port), type("Exchange", (_Exchange,), {"api": api}))
    api.url = f"http://{HOST}:{server.server_port}/v1"
    with running(server):
        try:
            yield api.url
        finally:
            api.over.set()
            api.hung_up.set()


def _in_memory(*_: Any, **__: Any) -> io.BytesIO:
    """Where a file is kept: temporary files would have to be closed."""
    return io.BytesIO()


def _seconds(audio: bytes) -> float:
    try:
        with av.open(io.BytesIO(audio), "r") as opened:
            return (opened.duration or 0) / av.time_base
    except (av.FFmpegError, ValueError):
        raise Refused(400, "Audio file might be corrupted or unsupported", "file", "invalid_value") from None
