"""All files of a job as one zip, made while it is sent: nothing of it is ever on a disk, and little in memory."""

from collections.abc import Iterator, Sequence
from zipfile import ZipFile, ZipInfo

import structlog
from flask import Response, request
from flask_openapi3.types import ResponseDict

from gateway import ranges
from gateway.downloads import attachment
from gateway.services import services
from pipeline.blobs import BlobMissing, BlobStore
from pipeline.jobs import Job
from pipeline.names import free_name, stem
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


class _Folded(set[str]):
    """Names of which some computers cannot tell upper from lower case."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).casefold())


def send_archive(job: Job | None) -> Response:
    """A zip of what the job has now. Raises `Problem` (404) if there is no such job, or a file of it is gone."""
    if job is None:
        raise Problem("not_found")
    if not job.artifacts:
        raise Problem("not_found", "This job has no files.")
    response = Response(content_type="application/zip")
    response.content_length = _length(job)
    response.headers["Content-Disposition"] = attachment(f"{stem(job.title)}.zip")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.private = True
    response.accept_ranges = "none"
    if request.method == "GET":
        _check_blobs(job.artifacts)
        response.response = _zipped(job, services().blobs)
    return response


def _check_blobs(artifacts: Sequence[Artifact]) -> None:
    """While there still can be an answer that says what is wrong."""
    for artifact in artifacts:
        try:
            services().blobs.size(artifact.blob)
        except BlobMissing:
            log.error("a blob is missing", blob=artifact.blob)
            raise Problem("not_found", "A file of this job is missing.") from None


def _entries(job: Job) -> Iterator[tuple[ZipInfo, Artifact]]:
    """Names are unique also where case does not count; times are UTC. From the size `ZipFile` knows who needs zip64."""
    moment, taken = (job.finished_at or job.created_at).timetuple(), _Folded()
    for artifact in job.artifacts:
        info = ZipInfo(free_name(artifact.name, taken), moment[:6])
        info.file_size, info.external_attr = artifact.bytes, _MODE
        taken.add(info.filename.casefold())
        yield info, artifact


def _zipped(job: Job, blobs: BlobStore) -> Iterator[bytes]:
    """Raises BlobMissing, EOFError or `Unavailable` before its end, which closes the connection: half a zip must not look whole."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for info, artifact in _entries(job):
            with blobs.open(artifact.blob) as blob, archive.open(info, "w") as entry:
                for chunk in ranges.read(blob, range(artifact.bytes)):
                    entry.write(chunk)
                    yield from sink.take()
    yield from sink.take()


def _length(job: Job) -> int:
    """Bytes of the zip: it is written once without the files, as if they were there."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]
        for info, artifact in _entries(job):
            with archive.open(info, "w"):
                sink.skip(artifact.bytes)
            info.file_size = info.compress_size = artifact.bytes
    return sink.tell()
