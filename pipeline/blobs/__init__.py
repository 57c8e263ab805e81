"""The blob port: immutable bytes under an id, durable once written.

Adapters: `pipeline.blobs.directory`, `pipeline.blobs.gridfs`; both pass `pipeline/tests/test_blobs.py`.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

CHUNK = 1024 * 1024
"""Bytes moved at once."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,199}")


class BlobMissing(LookupError):
    """No blob has this id."""


class Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True)
class StoredBlob:
    id: str
    bytes: int
    written_at: datetime
    """Aware, UTC."""


class BlobStore(Protocol):
    """Every method raises `Unavailable` when the store cannot be reached, within a bounded time."""

    def create(self, blob_id: str) -> AbstractContextManager[Writer]:
        """Opens a new blob for writing.

        Leaving the block cleanly makes it durable and visible, both or neither (MongoDB: `w=majority, journal=true`;
        directory: fsync of file and folder). Leaving it by an exception keeps nothing.
        Raises FileExistsError if the id is taken, ValueError if it is malformed.
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

    def ping(self) -> None:
        """Answers if the store can be read and written."""

    def close(self) -> None: ...


def check_id(blob_id: str) -> str:
    """Returns `blob_id`. Raises ValueError unless it is 1 to 200 characters of a-z, 0-9, dot and dash, not led by a dot or dash."""
    if not _ID.fullmatch(blob_id):
        raise ValueError(f"malformed blob id {blob_id!r}")
    return blob_id


def store(blobs: BlobStore, blob_id: str, path: Path) -> tuple[int, str]:
    """Writes the file at `path` as a blob; returns its bytes and its SHA-256 in hex."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, blobs.create(blob_id) as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return size, digest.hexdigest()
