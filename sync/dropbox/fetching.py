"""What sync does for a recording that was found in Dropbox: `fetch`."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from dropbox.content_hash import DropboxContentHasher

from pipeline.blobs import BlobStore, Writer
from pipeline.errors import Reject, Retry
from pipeline.fingerprint import Fingerprint
from pipeline.names import media_type
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from sync.by_address.download import Meter, StartAgain
from sync.by_address.fetch import STARTS, Limits
from sync.dropbox.account import Account
from sync.dropbox.accounts import Accounts
from sync.dropbox.errors import CUT, SPOILED
from sync.dropbox.patience import pause

log = structlog.get_logger()

RANGE = 64 * 2**20
"""Bytes that are asked for at once."""
FRUITLESS = 3
"""How many calls in a row may bring nothing before the task has to begin again."""
PAUSE = 0.5
"""Seconds between a cut and going on."""
PATIENCE = 600.0
"""Seconds that an attempt waits in all where Dropbox wants to be left alone in the middle: what has come would be lost."""

DISCONNECTED = "The Dropbox that this recording was found in was disconnected before it was fetched."
DOCUMENT = "This file is a document, not a recording."
EMPTY = "This file is empty."
TOO_LARGE = "This recording is larger than {:,} bytes, the most that is taken."


@dataclass(frozen=True)
class Found:
    """A revision of a file, as it was listed; `size` in bytes."""

    rev: str
    size: int
    content_hash: str


def fetch_found(
    task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, accounts: Accounts, limits: Limits
) -> Result:
    """Stores the revision of a file that `task.args` name as the job's original. Raises Retry, Reject."""
    connection = accounts.connections.load(str(task.args["connection"]))
    if connection is None or connection.state == "leaving":
        raise Reject(DISCONNECTED)
    meter = Meter(progress, time.monotonic() + limits.seconds)
    return accounts.use(connection, meter.beat, partial(_fetch, task, blobs, limits, meter))


def _fetch(task: Task, blobs: BlobStore, limits: Limits, meter: Meter, account: Account) -> Result:
    found = _checked(task.args, limits.size)
    for _ in range(STARTS):
        with suppress(StartAgain):
            return Result([_store(task, blobs, account, found, meter)], [NextTask("extract")])
    raise Retry(SPOILED)


def _checked(args: Any, limit: int) -> Found:
    """Raises Reject for what need not be begun."""
    found = Found(str(args["rev"]), int(args["size"]), str(args["content_hash"]))
    limit = min(limit, int(args.get("limit", limit)))
    if found.size > limit:
        raise Reject(TOO_LARGE.format(limit))
    if not found.size:
        raise Reject(EMPTY)
    return found


def _store(task: Task, blobs: BlobStore, account: Account, found: Found, meter: Meter) -> Artifact:
    name, blob = str(task.args["name"]), task.blob_id("original")
    with blobs.create(blob) as target:
        copy = Copy(target, found, meter)
        copy.fill(account)
    return Artifact(name, "original", media_type(name), found.size, copy.seen.hexdigest(), blob)


@dataclass
class Copy:
    """The bytes so far, written on to `target`: counted, hashed and looked at as they come."""

    target: Writer
    found: Found
    meter: Meter
    patience: float = PATIENCE
    """Seconds that may still be waited."""
    seen: Fingerprint = field(default_factory=Fingerprint)
    hasher: DropboxContentHasher = field(default_factory=DropboxContentHasher)

    def fill(self, account: Account) -> None:
        """Brings all of it, over as many calls as it takes while they bring something. Raises StartAgain, Retry, Reject, Broken."""
        fruitless = 0
        while self.seen.bytes < self.found.size:
            before = self.seen.bytes
            cut = self._take(account, before)
            fruitless = 0 if self.seen.bytes > before else fruitless + 1
            if fruitless >= FRUITLESS:
                raise cut
            if self.seen.bytes < min(before + RANGE, self.found.size):
                pause(PAUSE, self.meter.beat)
        self._check_head()
        if self.hasher.hexdigest() != self.found.content_hash:
            log.warning("download spoiled", bytes=self.seen.bytes)
            raise StartAgain

    def _take(self, account: Account, start: int) -> Retry:
        """Takes what one call brings, and gives what to say if that was nothing. Raises Retry if Dropbox wants to be left alone for long."""
        try:
            for piece in account.pieces(self.found.rev, start, min(start + RANGE, self.found.size)):
                self._write(piece)
        except Retry as cut:
            if cut.delay is None:
                log.warning("download cut", bytes=self.seen.bytes, total=self.found.size, reason=cut.reason)
            else:
                self._wait(cut, cut.delay)
            return cut
        return Retry(CUT)

    def _wait(self, cut: Retry, seconds: float) -> None:
        """As Dropbox wants it. Raises `cut` where nothing has come yet, or that is too long."""
        self.patience -= seconds
        if not self.seen.bytes or self.patience < 0:
            raise cut
        pause(seconds, self.meter.beat)

    def _write(self, piece: bytes) -> None:
        if self.seen.bytes + len(piece) > self.found.size:
            raise StartAgain
        self.seen.add(piece)
        self.hasher.update(piece)
        if self.seen.begun:
            self._check_head()
        self.target.write(piece)
        self.meter.percent = 100 * self.seen.bytes / self.found.size

    def _check_head(self) -> None:
        if self.seen.plainly_not_media:
            raise Reject(DOCUMENT)
