"""What happens to resumable uploads: bytes are added to them, parts are joined, and whole ones become jobs."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import IO

from gateway import intake
from gateway.receiving import pieces
from gateway.services import services
from gateway.tus_headers import Checksum, read_metadata
from pipeline.blobs import Growing
from pipeline.errors import Unavailable
from pipeline.fingerprint import Fingerprint
from pipeline.problems import Problem
from pipeline.uploads import Held, Upload

READ = 64 * 1024
"""Bytes read at once: few, because servers forget what of them came when a client goes."""
STEP_BYTES, STEP_SECONDS = 8 * 1024 * 1024, 3.0
"""After so many bytes, or so long, what came is made durable: more is never lost with a gateway. Less than LOCK_SECONDS."""


class _Arrival:
    """Bytes on their way to the end of an upload. Methods raise `Problem`, `Busy`, `Unavailable`."""

    def __init__(self, held: Held, target: Growing, checksum: Checksum | None, end: int) -> None:
        self._held, self._target, self._checksum, self._end = held, target, checksum, end
        # Parts are hashed once, when they are joined.
        self._running = None if held.upload.partial else services().hashes.get(held.upload.id)
        self._saved, self._saved_at = target.bytes, time.monotonic()

    def write(self, data: bytes) -> None:
        if self._target.bytes + len(data) > self._end:
            raise Problem("too_large", limit=self._end)
        if self._running and self._running.bytes == self._target.bytes:
            self._running.add(data)
        self._target.write(data)
        if self._checksum:
            self._checksum.add(data)
            self._held.keep()
        elif self._target.bytes - self._saved >= STEP_BYTES or time.monotonic() - self._saved_at >= STEP_SECONDS:
            self._save()

    def cut(self) -> None:
        """The client has gone; what came is kept, unless it was to be checked as a whole."""
        if not self._checksum:
            self._save()

    def end(self) -> None:
        if self._checksum:
            self._checksum.verify()
        self._save()

    def _save(self) -> None:
        self._target.sync()
        self._held.advance(self._target.bytes)
        if self._running:
            services().hashes.keep(self._held.upload.id, self._running)
        self._saved, self._saved_at = self._target.bytes, time.monotonic()


def end_of(upload: Upload) -> int:
    """Bytes that the upload can have."""
    return services().settings.upload_limit if upload.length is None else upload.length


def append(held: Held, body: IO[bytes], checksum: Checksum | None, end: int) -> None:
    """Adds `body` to the upload, up to `end` bytes of it. If the client goes away, or the gateway dies, what came before stays.

    Raises `Problem` if there are more or they are not what `checksum` says, `Busy`, `Unavailable`, and what reading raises.
    """
    with (
        suppress(FileExistsError),  # nothing is lacking: it was whole when a gateway died
        services().blobs.extend(held.upload.blob, held.upload.offset) as target,
    ):
        arrival = _Arrival(held, target, checksum, end)
        for piece in _pieces(body, arrival):
            arrival.write(piece)
        arrival.end()


def _pieces(body: IO[bytes], arrival: _Arrival) -> Iterator[bytes]:
    while True:
        try:
            piece = body.read(READ)
        except Exception:  # each server has errors of its own for a client that has gone
            arrival.cut()
            raise
        if not piece:
            return
        yield piece


def join(held: Held) -> Upload:
    """Puts the parts of a final upload one behind the other and makes a job of them, unless that was done.

    Raises `Problem` if they are too much, for the store too, or no recording; `Busy`, `Unavailable`.
    """
    if not held.upload.whole:
        _ask_for_room(held.upload)
        _copy_parts(held)
    return complete(held)


def _ask_for_room(final: Upload) -> None:
    """Where there is none, only the parts stay."""
    length, limit = final.length or 0, services().settings.upload_limit
    try:
        if length > limit:
            raise Problem("too_large", limit=limit, asked=length)
        intake.check_room(length)
    except Problem:
        services().uploads.forget(final.owner, [final.id])
        raise


def _copy_parts(held: Held) -> None:
    final, running = held.upload, Fingerprint()
    parts = [services().uploads.get(final.owner, part) for part in final.parts]
    with services().blobs.extend(final.blob, 0) as target:
        for piece in (piece for part in parts for piece in _stored(part)):
            running.add(piece)
            target.write(piece)
            held.keep()
        target.sync()
    services().hashes.keep(final.id, running)
    held.advance(running.bytes)


def _stored(part: Upload) -> Iterator[bytes]:
    services().blobs.seal(part.blob, part.offset)
    with services().blobs.open(part.blob) as stored:
        yield from pieces(stored)


def complete(held: Held) -> Upload:
    """Makes a job of an upload that is whole and no part, unless there is one; the upload as it is then.

    Raises `Problem` if it is no recording; then the upload is gone. Raises `Busy`, `Unavailable`.
    """
    upload = held.upload
    if not upload.whole or upload.partial or upload.job_id:
        return upload
    services().blobs.seal(upload.blob, upload.offset)
    seen = _seen(held)
    if seen.plainly_not_media:
        remove(held)
        raise Problem("file_not_media")
    name, wanted = read_metadata(upload.meta)
    found = intake.original(name, upload.offset, seen.hexdigest(), upload.blob)
    job = intake.accept(found, wanted, upload=upload.id)
    services().hashes.drop(upload.id)
    if upload.parts:
        services().uploads.forget(upload.owner, upload.parts)
        services().remove_soon()
    return replace(upload, job_id=job.id)


def remove(held: Held) -> None:
    held.delete()
    services().hashes.drop(held.upload.id)
    services().remove_soon()


def abandon(upload: Upload) -> None:
    """Removes an upload that its client cannot know of; what cannot be removed now expires."""
    with suppress(Unavailable):
        services().uploads.forget(upload.owner, [upload.id])
        services().hashes.drop(upload.id)
        services().remove_soon()


def _seen(held: Held) -> Fingerprint:
    """Reads only what came by other gateways, or before this one was started."""
    seen = services().hashes.get(held.upload.id)
    if seen.bytes < held.upload.offset:
        with services().blobs.open(held.upload.blob) as stored:
            stored.seek(seen.bytes)
            for piece in pieces(stored):
                seen.add(piece)
                held.keep()
    return seen
