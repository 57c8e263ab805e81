"""Logs, traces and metrics that all services have in common. `pipeline.web` adds what Flask services need."""

import json
import logging
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any, Self, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app
from structlog.typing import EventDict, Processor, WrappedLogger

from pipeline import readiness
from pipeline.readiness import Ready

_SECRET_NAME = re.compile(r"password|secret|token|authorization|cookie|(\b|_)keys?$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?<=://)[^/\s]+(?=@)"  # user and password in an address
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=\bBearer\s)\S+|(?<=\bBasic\s)\S+"
)
_HIDDEN = "[hidden]"
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True)
class Trace:
    """One hop of a trace; `str` gives its traceparent (https://www.w3.org/TR/trace-context/)."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_hex(16), secrets.token_hex(8))

    @classmethod
    def parse(cls, header: str | None) -> Self | None:
        """None for what the recommendation calls invalid; a later version is read as far as it is known."""
        match = _TRACEPARENT.fullmatch(header or "")
        if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
            return None
        if not int(match[2], 16) or not int(match[3], 16):
            return None
        return cls(match[2], match[3], f"{int(match[4], 16) & 1:02x}")

    def child(self) -> Self:
        return type(self)(self.trace_id, secrets.token_hex(8), self.flags)

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def follow(header: str | None) -> Trace:
    """Goes on with the trace in `header`, or begins one: from now on this thread's log lines hold it, and nothing older."""
    came = Trace.parse(header)
    trace = came.child() if came else Trace.new()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(trace=str(trace))
    return trace


def traceparent() -> str | None:
    """The trace that this thread follows, for the next hop."""
    trace: str | None = structlog.contextvars.get_contextvars().get("trace")
    return trace


def configure(log_format: str, service: str, stream: TextIO | None = None) -> None:
    """Sends this process's logs to `stream`, or stderr, one event a line, as `json` or `text`, without secrets.

    Libraries are heard from WARNING on.
    """
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _named(service),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer = _renderer(log_format)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=processors))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: hides values with telling names, and credentials inside texts."""
    return {name: _HIDDEN if _SECRET_NAME.search(name) else _without_secrets(value) for name, value in event.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_HIDDEN, value)
    if isinstance(value, dict):
        return hide_secrets(None, "", {str(name): item for name, item in value.items()})
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    return value


def _named(service: str) -> Processor:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return add_service


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


class MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds a client may be silent

    def log_message(self, format: str, *args: Any) -> None:
        """Probes are not worth a line each."""


Remarks = Callable[[], Mapping[str, str]]
"""Gives what whoever runs a service should know, and what is no reason to send it no work."""


def serve_metrics(port: int, ready: Ready, remarks: Remarks = dict, **said: str) -> MetricsServer:
    """Serves /metrics, /healthz and /readyz beside a worker until the process ends or `shutdown` and `server_close` are called.

    `said`, and what `remarks` give at the time, stand in what /readyz tells.
    Raises OSError if the port is taken; port 0 takes a free one, see `server_port`.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = _metrics_app(environ, start_response)
                return body
            case "/healthz":
                return _say(start_response, {"status": "ok"}, 200)
            case "/readyz":
                told, status = readiness.answer(ready())
                return _say(start_response, {**told, **said, **remarks()}, status)
        return _say(start_response, {"status": "not found"}, 404)

    server = make_server("", port, serve, server_class=MetricsServer, handler_class=_Handler)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


_metrics_app = make_wsgi_app()


def _say(start_response: Callable[..., Any], body: Mapping[str, object], status: int) -> Iterable[bytes]:
    start_response(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]
