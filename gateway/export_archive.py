"""All files of an export as one zip, with its manifests."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from itertools import islice
from typing import BinaryIO

from flask import Response

from gateway.archive import Entry, send_archive, send_zip
from gateway.services import services
from pipeline.blobs import BlobMissing
from pipeline.exports import LINES, ManifestLine, read_manifest
from pipeline.jobs import Job
from pipeline.names import stem
from pipeline.problems import Problem

BATCH = 500
"""Files that are looked up at once."""
MISSING = "missing.txt"
"""Names the files that the manifest has and the zip has not."""
BUSY = "As many zips are being sent as may be at a time; wait for one to end."


def send_export(owner: str, export: Job) -> Response:
    """Raises `Problem` 409 if the export is not done, 503 if its owner, or all of them, are sent as many as may be."""
    if export.state != "done":
        raise Problem("conflict", "This export is not done.")
    if not services().zips.begin(owner):
        raise Problem("unavailable", BUSY, headers={"Retry-After": "60"})
    with ExitStack() as unsent:
        unsent.callback(services().zips.end, owner)
        response = send_zip(stem(export.title), Contents(owner, export))
        response.call_on_close(unsent.pop_all().close)
    return response


def send_all(owner: str, job_id: str) -> Response:
    """A zip of a job, or of an export. Raises `Problem`."""
    export = services().exports.jobs.get(owner, job_id)
    return send_export(owner, export) if export else send_archive(services().jobs.get(owner, job_id))


class Contents:
    """What the zip of an export has, the same whenever it is asked: the files that were there when this was made.

    One that goes, or changes, before its turn has come raises BlobMissing.
    """

    def __init__(self, owner: str, export: Job) -> None:
        self._owner, self._export = owner, export
        self._exports, self._blobs = services().exports, services().blobs
        (self._lines,) = [made.blob for made in export.artifacts if made.name == LINES]
        self._missing = {line.fid: line.name for line in self._gone()}

    def __call__(self) -> Iterator[Entry]:
        moment = self._export.created_at
        for made in self._export.artifacts:
            yield Entry(made.name, moment, made.bytes, partial(self._blobs.open, made.blob))
        for lines in self._batches():
            there = cache(partial(self._exports.unchanged, self._owner, lines))
            for line in lines:
                if line.fid not in self._missing:
                    yield Entry(line.name, line.created_at, line.size, partial(self._open, there, line.fid))
        if self._missing:
            named = "".join(f"{name}\n" for name in self._missing.values()).encode()
            yield Entry(MISSING, moment, len(named), partial(io.BytesIO, named))

    def _gone(self) -> Iterator[ManifestLine]:
        for lines in self._batches():
            there = self._exports.unchanged(self._owner, lines)
            yield from (line for line in lines if line.fid not in there)

    def _batches(self) -> Iterator[Sequence[ManifestLine]]:
        lines = read_manifest(self._blobs, self._lines)
        while batch := list(islice(lines, BATCH)):
            yield batch

    def _open(self, there: Callable[[], Mapping[str, str]], fid: str) -> BinaryIO:
        """`there` is asked when the first file of its batch is sent: for the length of the zip nobody is."""
        if fid not in there():
            raise BlobMissing(fid)
        return self._blobs.open(there()[fid])
