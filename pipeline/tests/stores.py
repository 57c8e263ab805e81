"""Short words for what tests of blob stores do all the time."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.blobs import CHUNK, BlobStore

BATCH = 4 * CHUNK


def some(size: int) -> bytes:
    """Bytes that tell when one of them is missing or misplaced; the same for every call."""
    return random.Random(size).randbytes(size)


def put(blobs: BlobStore, blob_id: str, data: bytes) -> None:
    with blobs.create(blob_id) as target:
        target.write(data)


def grow(blobs: BlobStore, blob_id: str, offset: int, data: bytes) -> None:
    with blobs.extend(blob_id, offset) as target:
        target.write(data)
        target.sync()


def get(blobs: BlobStore, blob_id: str) -> bytes:
    with blobs.open(blob_id) as source:
        return source.read()


def ids(blobs: BlobStore) -> list[str]:
    return sorted(blob.id for blob in blobs.list())


def just_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object]) -> None:
    """Lets `act` happen once, when that function is called next: what somebody else may do at the worst moment."""
    real = getattr(owner, name)

    def acted(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        act()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, acted)
