"""Blobs that nothing names any more: noted with what unnamed them, and removed as soon as the store lets them go."""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

import structlog
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from pipeline.blobs import BlobStore
from pipeline.catalog import ArtifactRow, RemovalRow, UploadRow
from pipeline.database import transaction
from pipeline.errors import Unavailable

log = structlog.get_logger()
BATCH = 100
SECONDS = 10.0
"""Between two looks for what is left: what is deleted while the store is away goes soon after it is back."""


def doom(session: Session, blobs: Iterable[str]) -> None:
    """Notes, in the transaction that unnames them, that the blobs are to go."""
    session.flush()
    for blob in sorted(set(blobs) - named(session, blobs)):
        session.merge(RemovalRow(blob=blob))


def named(session: Session, blobs: Iterable[str]) -> set[str]:
    """Those of `blobs` that an artifact or an upload stands on."""
    wanted = list(blobs)
    found = select(ArtifactRow.blob).where(ArtifactRow.blob.in_(wanted))
    growing = select(UploadRow.blob).where(UploadRow.blob.in_(wanted), UploadRow.job_id.is_(None))
    return {*session.scalars(found), *session.scalars(growing)}


@dataclass(frozen=True)
class Removals:
    engine: Engine
    blobs: BlobStore

    def carry_out(self) -> int:
        """Removes what is noted, and returns how many blobs that were. Raises `Unavailable`."""
        removed = 0
        while batch := self._noted():
            for blob in batch:
                self.blobs.delete(blob)
                log.info("blob removed", blob=blob, why="nothing names it any more")
            self._forget(batch)
            removed += len(batch)
        return removed

    def try_now(self) -> None:
        """As `carry_out`; what does not work now, works later."""
        try:
            self.carry_out()
        except Unavailable as error:
            log.warning("removal put off", cause=str(error))

    def run(self, stop: Event) -> None:
        """Until told to stop."""
        while not stop.wait(SECONDS):
            try:
                self.try_now()
            except Exception:
                log.exception("removal failed")

    def _noted(self) -> list[str]:
        with transaction(self.engine) as session:
            return list(session.scalars(select(RemovalRow.blob).limit(BATCH)))

    def _forget(self, blobs: list[str]) -> None:
        with transaction(self.engine) as session:
            session.execute(delete(RemovalRow).where(RemovalRow.blob.in_(blobs)))
