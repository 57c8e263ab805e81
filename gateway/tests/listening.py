"""An app whose clients listen to files."""

import time
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, request

from gateway.listeners import Event, Hub, News
from pipeline import problems
from pipeline.errors import Unavailable
from pipeline.problems import Problem

INTERVAL, KEEP_ALIVE, STALL, LIMIT, SHARE = 0.05, 0.3, 1.0, 250, 210
"""Seconds, and clients."""

app = Flask(__name__)
problems.register(app)
hub = Hub(INTERVAL, KEEP_ALIVE, STALL, LIMIT, SHARE)


@dataclass(frozen=True)
class Lines:
    """Each line of a file is an event; the line `end` is the last one. A file that is missing cannot be reached now."""

    path: Path

    def read(self) -> list[str]:
        with self.path.with_suffix(".looks").open("a") as looks:
            looks.write(".")
        try:
            return self.path.read_text().splitlines()
        except FileNotFoundError as error:
            raise Unavailable("no file") from error

    def __call__(self, cursor: str | None) -> News:
        begin, lines = int(cursor or 0), self.read()
        events = [Event(str(number), "line", line) for number, line in enumerate(lines, 1) if number > begin]
        return events, str(len(lines)), "end" in lines


@dataclass(frozen=True)
class Whole:
    """All lines, when the last one is there. A line that says `gone` or `broken` is an error."""

    lines: Lines

    def __call__(self, final: bool) -> Response | None:
        lines = self.lines.read()
        if "gone" in lines:
            raise Problem("not_found")
        if "broken" in lines:
            raise ValueError("a secret")
        return Response("\n".join(lines), content_type="text/plain") if final or "end" in lines else None


@app.after_request
def trace(response: Response) -> Response:
    response.headers["traceparent"] = "00-1-2-01"
    return response


@app.get("/events")
def events() -> Response:
    return hub.stream(_owner(), _lines(), request.headers.get("Last-Event-ID"), _until())


@app.get("/wait")
def wait() -> Response:
    return hub.wait(_owner(), Whole(_lines()), _until())


@app.get("/ping")
def ping() -> str:
    return "pong"


def _owner() -> str:
    return request.args.get("owner", request.args["path"])


def _lines() -> Lines:
    return Lines(Path(request.args["path"]))


def _until() -> float:
    return time.monotonic() + float(request.args.get("seconds", 110))
