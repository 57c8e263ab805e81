"""What sync does for a job: `fetch`."""

import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.address import check
from pipeline.blobs import BlobStore
from pipeline.errors import Retry
from pipeline.guard import Guard
from pipeline.names import media_type
from pipeline.network import GuardedNetwork, Resolver, look_up
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from sync.by_address.client import Client
from sync.by_address.download import BROKEN, Body, Meter, StartAgain, download

STARTS = 3
"""How often a download may begin at zero in one attempt, where its server cannot go on after a cut."""


@dataclass(frozen=True)
class Limits:
    """`size` is in bytes; `seconds` are for the whole; `silence` is in seconds."""

    size: int
    seconds: float
    silence: float


def fetch(
    task: Task,
    blobs: BlobStore,
    _folder: Path,
    progress: Progress,
    *,
    guard: Guard,
    limits: Limits,
    tls: ssl.SSLContext,
    resolver: Resolver = look_up,
) -> Result:
    """Stores what is at `task.args["url"]`, an http or https address, as the job's original.

    Raises Retry, Reject. No reason and no log line holds any part of the address: it may be a secret.
    """
    meter = Meter(progress, time.monotonic() + limits.seconds)
    url = check(str(task.args["url"]))
    with Client(GuardedNetwork(guard, meter.beat, resolver), tls, limits.silence) as client:
        size = min(limits.size, int(task.args.get("limit", limits.size)))
        original = _store(client, url, blobs, task.blob_id("original"), size, meter)
    return Result([original], [NextTask("extract")])


def _store(client: Client, url: str, blobs: BlobStore, blob: str, limit: int, meter: Meter) -> Artifact:
    for _ in range(STARTS):
        with suppress(StartAgain):
            with blobs.create(blob) as target:
                body = Body(target, limit, meter)
                name = download(client, url, body)
            return Artifact(name, "original", media_type(name), body.size, body.seen.hexdigest(), blob)
    raise Retry(BROKEN)
