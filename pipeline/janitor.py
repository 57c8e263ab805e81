"""Removes what is to go: what was kept long enough, uploads that nobody ended, old links and notes, and bytes that nothing names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from threading import Event

import structlog
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from pipeline.accounts import defaults
from pipeline.authorizations import expire_authorizations
from pipeline.blobs import BlobStore, StoredBlob
from pipeline.catalog import Base, DeletionRow, DeliveryRow, UsageRow
from pipeline.database import now, transaction
from pipeline.errors import Unavailable
from pipeline.library import DELETION_DAYS
from pipeline.removals import Removals, named
from pipeline.retention import remove_jobs, remove_originals
from pipeline.settings import Settings
from pipeline.shares import expire_links
from pipeline.uploads import expire
from pipeline.webhooks import DELIVERY_DAYS, expire_named

log = structlog.get_logger()
BATCH = 500
SECONDS = 3600.0
"""Between two rounds of a janitor that runs on."""
_NOTES: Sequence[tuple[type[Base], InstrumentedAttribute[datetime], int]] = (
    (DeletionRow, DeletionRow.at, DELETION_DAYS),
    (UsageRow, UsageRow.at, 62),
    (DeliveryRow, DeliveryRow.created_at, DELIVERY_DAYS),
)
"""For how many days it is known that a job was deleted, what it cost (the longest time that usage is asked for is a month), and
what webhooks were sent."""


@dataclass(frozen=True)
class Removed:
    jobs: int
    originals: int
    """Jobs that lost what was uploaded."""
    uploads: int
    """That nobody ended."""
    links: int
    """That expired, and ways to connect an account that nobody went to their end."""
    notes: int
    """Of what was, and webhooks that jobs named and none names any more."""
    blobs: int

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in vars(self).items())


def clean(engine: Engine, blobs: BlobStore, settings: Settings) -> Removed:
    """One round. Raises `Unavailable`; what the catalog alone can do is done by then if it is the blob store that is away."""
    limits = defaults(settings)
    jobs = remove_jobs(engine, limits)
    originals = remove_originals(engine, limits)
    uploads = sum(iter(lambda: expire(engine, BATCH), 0))
    links = sum(iter(lambda: expire_links(engine, BATCH) + expire_authorizations(engine, BATCH), 0))
    notes = sum(_forget(engine, table, at, days) for table, at, days in _NOTES)
    notes += sum(iter(lambda: expire_named(engine, BATCH), 0))
    removed = Removals(engine, blobs).carry_out()
    removed += _remove_unnamed(engine, blobs, settings.janitor_hours)
    return Removed(jobs, originals, uploads, links, notes, removed)


def run(engine: Engine, blobs: BlobStore, settings: Settings, stop: Event) -> None:
    """Round after round, until told to stop."""
    while True:
        try:
            log.info("cleaned", **vars(clean(engine, blobs, settings)))
        except Unavailable as error:
            log.warning("cleaning put off", cause=str(error))
        except Exception:
            log.exception("cleaning failed")
        if stop.wait(SECONDS):
            return


def _forget(engine: Engine, table: type[Base], at: InstrumentedAttribute[datetime], days: int) -> int:
    """Deletes rows older than `days`, in small steps; returns how many."""
    (key,), old, forgotten = table.__mapper__.primary_key, at < now() - timedelta(days=days), 0
    while True:
        with transaction(engine) as session:
            ids = session.scalars(select(key).where(old).limit(BATCH)).all()
            session.execute(delete(table).where(key.in_(ids)))
        if not ids:
            return forgotten
        forgotten += len(ids)


def _remove_unnamed(engine: Engine, blobs: BlobStore, hours: float) -> int:
    """Removes unnamed blobs older than `hours`: of workers that were killed, and of uploads that were cut.

    The age keeps off what is being written: a row names its blob only after the bytes are safe.
    """
    oldest = now() - timedelta(hours=hours)
    old = (blob for blob in blobs.list() if blob.written_at < oldest)
    removed = 0
    while batch := list(islice(old, BATCH)):
        for blob in _unnamed(engine, batch):
            blobs.delete(blob.id)
            removed += 1
            log.info("blob removed", blob=blob.id, bytes=blob.bytes, why="nothing names it")
    return removed


def _unnamed(engine: Engine, batch: list[StoredBlob]) -> Iterator[StoredBlob]:
    with transaction(engine) as session:
        kept = named(session, [blob.id for blob in batch])
    return (blob for blob in batch if blob.id not in kept)
