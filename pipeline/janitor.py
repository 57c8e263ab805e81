"""Removes bytes that no job names: of deleted jobs, of attempts that did not count, of uploads that were cut."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import structlog
from sqlalchemy import Engine, select

from pipeline.blobs import BlobStore, StoredBlob
from pipeline.catalog import ArtifactRow
from pipeline.database import now, transaction

log = structlog.get_logger()
BATCH = 500


def clean(engine: Engine, blobs: BlobStore, hours: float) -> int:
    """Removes unnamed blobs older than `hours`, and returns how many.

    The age keeps off what is being written: a row names its blob only after the bytes are safe. Raises `Unavailable`.
    """
    oldest = now() - timedelta(hours=hours)
    old = (blob for blob in blobs.list() if blob.written_at < oldest)
    removed = 0
    while batch := list(islice(old, BATCH)):
        for blob in _unnamed(engine, batch):
            blobs.delete(blob.id)
            removed += 1
            log.info("blob removed", blob=blob.id, bytes=blob.bytes)
    return removed


def _unnamed(engine: Engine, batch: list[StoredBlob]) -> Iterator[StoredBlob]:
    with transaction(engine) as session:
        wanted = select(ArtifactRow.blob).where(ArtifactRow.blob.in_([blob.id for blob in batch]))
        named = set(session.scalars(wanted))
    return (blob for blob in batch if blob.id not in named)
