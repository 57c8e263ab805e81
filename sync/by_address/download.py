"""One recording on its way in: counted, hashed and looked at as it comes, gone on with where it was cut."""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from werkzeug.http import parse_date, parse_options_header

from pipeline.blobs import Writer
from pipeline.errors import Reject, Retry
from pipeline.fingerprint import Fingerprint
from pipeline.names import safe_name
from pipeline.retry_after import retry_after
from pipeline.work import Progress
from sync.by_address.address import last_segment
from sync.by_address.client import Answer, Client, Cut

log = structlog.get_logger()

LONGEST_DELAY = 3600.0
"""Seconds that a server may ask us to stay away."""

PAUSE = 0.2
"""Seconds between a cut and going on, so that a server that cuts all the time is not hammered."""

NOTHING = "There is nothing at this address (any more)."
CLOSED = "The server at this address gives the recording only to those it knows; use an address that opens without signing in."
DOCUMENT = "This address gives a web page or document, not a recording."
EMPTY = "This address gives an empty file."
BROKEN = "The connection to the server at this address broke off."
TOO_LONG = "Fetching this recording took too long, so it was given up."

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")


class StartAgain(Exception):
    """What came so far is of no use: the server cannot go on where it stopped, or has something else there now."""


@dataclass
class Meter:
    """How far a download is. `end`: when it must be done, by the monotonic clock."""

    progress: Progress
    end: float
    percent: float = 0

    def beat(self) -> None:
        """Raises Reject when time is over, and Interrupted."""
        if time.monotonic() > self.end:
            raise Reject(TOO_LONG)
        self.progress(self.percent)


@dataclass
class Body:
    """The bytes so far, written on to `target`. `limit` and `total`, which may be unknown, are bytes."""

    target: Writer
    limit: int
    meter: Meter
    total: int | None = None
    whole: bool = False
    seen: Fingerprint = field(default_factory=Fingerprint)

    @property
    def size(self) -> int:
        return self.seen.bytes

    def announce(self, total: int | None) -> None:
        """Raises Reject if that is too much."""
        self.total = total
        self._check_size(total or 0)

    def take(self, answer: Answer) -> None:
        """Takes what the answer brings; sets `whole` if that was all. Raises Retry if it brings nothing, Reject, StartAgain."""
        before, ended = self.size, False
        try:
            for piece in answer.pieces():
                self._write(piece)
            ended = True
        except Cut as cut:
            log.warning("download cut", bytes=self.size, total=self.total, cause=str(cut.__cause__))
        self.whole = ended if self.total is None else self.size == self.total
        if self.whole:
            self._check_head()
        elif self.size == before:
            raise Retry(BROKEN)

    def _write(self, piece: bytes) -> None:
        size = self.size + len(piece)
        self._check_size(size)
        if self.total is not None and size > self.total:
            raise StartAgain
        self.seen.add(piece)
        if self.seen.begun:
            self._check_head()
        self.target.write(piece)
        self.meter.percent = 100 * size / self.total if self.total else 0

    def _check_size(self, size: int) -> None:
        if size > self.limit:
            raise Reject(f"The recording at this address is larger than {self.limit:,} bytes, the most that is taken.")

    def _check_head(self) -> None:
        if not self.size:
            raise Reject(EMPTY)
        if self.seen.plainly_not_media:
            raise Reject(DOCUMENT)


def download(client: Client, url: str, body: Body) -> str:
    """Brings all bytes at `url` into `body`, over as many connections as it takes while each brings some. Returns a safe name.

    Raises StartAgain, Retry, Reject, Interrupted.
    """
    with client.get(url) as first:
        _check_status(first, 200)
        body.announce(None if first.header("transfer-encoding") else _number(first.header("content-length")))
        body.take(first)
    while not body.whole:
        _go_on(client, url, body, first)
    return _name(first)


def _go_on(client: Client, url: str, body: Body, first: Answer) -> None:
    """Asks for what is missing, on condition that it is still the same (RFC 9110, sections 13.1.5 and 14.2)."""
    validator = _validator(first)
    if not validator:
        raise StartAgain
    time.sleep(PAUSE)
    with client.get(url, {"Range": f"bytes={body.size}-", "If-Range": validator}) as answer:
        if answer.status in (200, 412, 416):
            raise StartAgain
        _check_status(answer, 206)
        total = _continues(answer, first, body)
        body.announce(total)
        body.take(answer)


def _continues(answer: Answer, first: Answer, body: Body) -> int:
    """The total, if this answer begins where the body ends, and is of the same thing. Raises StartAgain."""
    found = _CONTENT_RANGE.fullmatch(answer.header("content-range"))
    if not found or any(answer.header(name) not in ("", first.header(name)) for name in ("etag", "last-modified")):
        raise StartAgain
    start, total = int(found[1]), int(found[2])
    if start != body.size or body.total not in (None, total):
        raise StartAgain
    return total


def _validator(answer: Answer) -> str:
    """A strong ETag, or a Last-Modified that is strong because it was past (RFC 9110, section 8.8.2.2); or an empty string."""
    etag, modified = answer.header("etag"), answer.header("last-modified")
    if etag.startswith('"'):
        return etag
    changed, said = parse_date(modified), parse_date(answer.header("date"))
    return modified if changed and said and said - changed >= timedelta(seconds=1) else ""


def _check_status(answer: Answer, expected: int) -> None:
    match answer.status:
        case status if status == expected:
            return
        case 404 | 410:
            raise Reject(NOTHING)
        case 401 | 403 | 407:
            raise Reject(CLOSED)
        case 408 | 429 as status:
            raise Retry(_busy(status), _delay(answer))
        case status if status >= 500:
            raise Retry(_busy(status), _delay(answer))
        case status:
            raise Reject(f"The server at this address does not give the recording (it answers with status {status}).")


def _busy(status: int) -> str:
    return f"The server at this address cannot give the recording now (it answers with status {status})."


def _delay(answer: Answer) -> float | None:
    return retry_after(answer.header("retry-after"), LONGEST_DELAY)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _name(answer: Answer) -> str:
    """What the server calls it (RFC 6266), or the last part of the address where it was found."""
    options = parse_options_header(answer.header("content-disposition"))[1]
    return safe_name(options.get("filename") or last_segment(answer.url))
