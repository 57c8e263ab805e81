"""What every Flask service answers beside its own routes: health, readiness, metrics, a log line and a trace a request."""

import sys
from collections.abc import Callable
from time import perf_counter

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

from pipeline import readiness, telemetry
from pipeline.readiness import Ready

GIVE_UP = 3
"""The exit status of a worker that makes gunicorn stop; after any other it starts the next worker."""

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_QUIET = {"/healthz", "/readyz", "/metrics"}
_SECONDS = Histogram(
    "http_request_duration_seconds",
    "HTTP requests, from the first byte in to the last byte out.",
    ("service", "method", "route", "status"),
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 5, 30, 120, 600),
)

log = structlog.get_logger()


def entry(build: Callable[[], Flask]) -> Flask:
    """The app of a `wsgi` module. What `build` refuses is printed, and gunicorn told to stop instead of trying for ever."""
    try:
        return build()
    except SystemExit as refusal:
        print(refusal, file=sys.stderr)  # noqa: T201
        raise SystemExit(GIVE_UP) from None


def instrument(app: Flask, service: str, ready: Ready) -> None:
    """Adds /healthz, /readyz and /metrics, and follows, counts and logs every request. Register it before other hooks."""

    @app.before_request
    def begin() -> None:
        g.began = perf_counter()
        g.trace = telemetry.follow(request.headers.get("traceparent"))

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["traceparent"] = str(g.trace)
        response.headers["X-Request-Id"] = g.trace.trace_id
        response.call_on_close(_account(service, response.status_code, g.began))
        return response

    app.add_url_rule("/healthz", "healthz", lambda: {"status": "ok"})
    app.add_url_rule("/readyz", "readyz", lambda: readiness.answer(ready()))
    app.add_url_rule("/metrics", "metrics", lambda: Response(generate_latest(), content_type=CONTENT_TYPE_LATEST))


def _account(service: str, status: int, began: float) -> Callable[[], None]:
    """Made while the request is at hand, called when the last byte is out. Routes, unlike paths, hold no secrets."""
    method = request.method if request.method in _METHODS else "other"
    route = request.url_rule.rule if request.url_rule else "none"

    def account() -> None:
        seconds = perf_counter() - began
        _SECONDS.labels(service, method, route, str(status)).observe(seconds)
        if route not in _QUIET:
            log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4))

    return account
