"""The blob port: immutable bytes under an id, durable once written.

Adapters: `pipeline.blobs.directory`, `pipeline.blobs.gridfs`; both pass `pipeline/tests/test_blobs.py` and
`pipeline/tests/test_growing_blobs.py`.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from pipeline.fingerprint import Fingerprint

CHUNK = 1024 * 1024
"""Bytes moved at once."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,199}")


class BlobMissing(LookupError):
    """No blob has this id."""


class Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Growing(Writer, Protocol):
    """A blob that is written over several visits."""

    @property
    def bytes(self) -> int:
        """All that was written so far, counted from the blob's beginning."""

    def sync(self) -> None:
        """Makes durable all that was written so far (directory: fsync; MongoDB: `w=majority, journal=true`).

        Raises Busy if another writer has taken the blob over; then nothing since the last `sync` counts.
        """


@dataclass(frozen=True)
class StoredBlob:
    id: str
    bytes: int
    written_at: datetime
    """Aware, UTC."""


class BlobStore(Protocol):
    """Every method raises `Unavailable` when the store cannot be reached, within a bounded time, and `Full` when it has no room."""

    def create(self, blob_id: str) -> AbstractContextManager[Writer]:
        """Opens a new blob for writing.

        Leaving the block cleanly makes it durable and visible, both or neither (MongoDB: `w=majority, journal=true`;
        directory: fsync of file and folder). Leaving it by an exception keeps nothing.
        Raises FileExistsError if the id is taken, ValueError if it is malformed.
        """

    def extend(self, blob_id: str, offset: int) -> AbstractContextManager[Growing]:
        """Opens a blob that is not finished yet for writing at `offset` bytes, and drops whatever lay behind.

        0 begins it, also anew; any other offset is what an earlier `sync` made durable. Until `seal` nobody can read it.
        However the block is left, what was synced stays, and what was not may be lost.
        Raises BlobMissing if there are fewer bytes than `offset`, FileExistsError if the blob is sealed, ValueError if
        the id is malformed, Busy while another writer has the blob open. A store that cannot know (MongoDB) lets the
        newcomer have it, and the writer before gets Busy: from `write` or, at the latest, from `sync`.
        """

    def seal(self, blob_id: str, bytes: int) -> None:
        """Makes a grown blob of exactly `bytes` a blob like any other: durable, visible, immutable.

        Quiet if it is one of that length already. Raises BlobMissing if nothing was begun, ValueError if the blob has
        another length, Busy while it is being written.
        """

    def open(self, blob_id: str) -> BinaryIO:
        """A seekable reader, which the caller closes. Raises BlobMissing."""

    def fetch(self, blob_id: str, path: Path) -> None:
        """Puts the blob's bytes at `path`, a new file to be read only (it may share the store's disk blocks). Raises BlobMissing."""

    def size(self, blob_id: str) -> int:
        """Bytes. Raises BlobMissing."""

    def delete(self, blob_id: str) -> None:
        """Removes the blob and whatever an unfinished write left of it; quiet if there is none."""

    def list(self) -> Iterator[StoredBlob]:
        """Every blob, also unfinished ones, in no order; what a janitor needs."""

    def free(self) -> int | None:
        """Bytes that can still be stored; None if the store cannot tell."""

    def ping(self) -> None:
        """Answers if the store can be read and written."""

    def close(self) -> None: ...


def new_original() -> str:
    """The id of a blob for what a user sends."""
    return f"{uuid4().hex}-original"


def check_id(blob_id: str) -> str:
    """Returns `blob_id`. Raises ValueError unless it is 1 to 200 characters of a-z, 0-9, dot and dash, not led by a dot or dash."""
    if not _ID.fullmatch(blob_id):
        raise ValueError(f"malformed blob id {blob_id!r}")
    return blob_id


def store(blobs: BlobStore, blob_id: str, path: Path, before: bytes = b"") -> tuple[int, str]:
    """Writes `before`, and then the file at `path`, as a blob; returns its bytes and its SHA-256 in hex."""
    with path.open("rb") as source:
        return write(blobs, blob_id, chain([before], iter(lambda: source.read(CHUNK), b"")))


def write(blobs: BlobStore, blob_id: str, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Writes `chunks`, one after the other, as a blob; returns its bytes and its SHA-256 in hex."""
    seen = Fingerprint()
    with blobs.create(blob_id) as target:
        for chunk in chunks:
            seen.add(chunk)
            target.write(chunk)
    return seen.bytes, seen.hexdigest()
