"""Files as one zip, made while it is sent: nothing of it is ever on a disk, and little in memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo

import structlog
from flask import Response, request
from flask_openapi3.types import ResponseDict

from gateway import ranges
from gateway.downloads import attachment
from gateway.services import services
from pipeline.blobs import BlobMissing
from pipeline.jobs import Job
from pipeline.names import Folded, free_names, stem
from pipeline.problems import Problem
from pipeline.work import Artifact

log = structlog.get_logger()

ARCHIVE: ResponseDict = {
    200: {
        "description": "The files.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""Responses of a route that sends an archive."""

_MODE = 0o644 << 16
"""Permissions, where zip has them for Unix."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a zip, which is opened when its turn comes."""

    name: str
    modified: datetime
    bytes: int
    open: Callable[[], BinaryIO]

    @property
    def info(self) -> ZipInfo:
        """Times are UTC. From the size `ZipFile` knows who needs zip64."""
        info = ZipInfo(self.name, self.modified.timetuple()[:6])
        info.file_size, info.external_attr = self.bytes, _MODE
        return info


class _Sink:
    """What `ZipFile` writes to. It tells but cannot seek, so sizes and checksums are written behind the data."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def write(self, data: bytes) -> int:
        self._written.append(data)
        self._position += len(data)
        return len(data)

    def skip(self, count: int) -> None:
        self._position += count

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        pass

    def take(self) -> Sequence[bytes]:
        taken, self._written = self._written, []
        return taken


def send_archive(job: Job | None) -> Response:
    """A zip of what the job has now. Raises `Problem` (404) if there is no such job, or a file of it is gone."""
    if job is None:
        raise Problem("not_found")
    if not job.artifacts:
        raise Problem("not_found", "This job has no files.")
    if request.method == "GET":
        _check_blobs(job.artifacts)
    entries = list(_entries(job))
    return send_zip(stem(job.title), lambda: entries)


def send_zip(name: str, entries: Callable[[], Iterable[Entry]]) -> Response:
    """Calls `entries` once for the length and once for the files, and must get the same both times."""
    response = Response(content_type="application/zip")
    response.content_length = length(entries())
    response.headers["Content-Disposition"] = attachment(f"{name}.zip")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.private = True
    response.accept_ranges = "none"
    if request.method == "GET":
        response.response = zipped(entries())
    return response


def _check_blobs(artifacts: Sequence[Artifact]) -> None:
    """While there still can be an answer that says what is wrong."""
    for artifact in artifacts:
        try:
            services().blobs.size(artifact.blob)
        except BlobMissing:
            log.error("a blob is missing", blob=artifact.blob)
            raise Problem("not_found", "A file of this job is missing.") from None


def _entries(job: Job) -> Iterator[Entry]:
    """Names are unique also where case does not count."""
    moment, blobs = job.finished_at or job.created_at, services().blobs
    names = free_names((artifact.name for artifact in job.artifacts), Folded())
    for name, artifact in zip(names, job.artifacts, strict=True):
        yield Entry(name, moment, artifact.bytes, partial(blobs.open, artifact.blob))


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Raises BlobMissing, EOFError or `Unavailable` before its end, which closes the connection: half a zip must not look whole."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for entry in entries:
            with entry.open() as source, archive.open(entry.info, "w") as target:
                for chunk in ranges.read(source, range(entry.bytes)):
                    target.write(chunk)
                    yield from sink.take()
    yield from sink.take()


def length(entries: Iterable[Entry]) -> int:
    """Bytes of the zip: it is written once without the files, as if they were there."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for entry in entries:
            info = entry.info
            with archive.open(info, "w"):
                sink.skip(entry.bytes)
            info.file_size = info.compress_size = entry.bytes
            sink.take()
    return sink.tell()
