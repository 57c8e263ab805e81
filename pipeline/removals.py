"""Blobs that nothing names any more: noted with what unnamed them, and removed as soon as the store lets them go."""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event

import structlog
from sqlalchemy import Delete, Engine, delete, select
from sqlalchemy.orm import Session

from pipeline.blobs import BlobStore
from pipeline.catalog import ArtifactRow, RemovalRow, UploadRow
from pipeline.database import insert_missing, transaction
from pipeline.errors import Unavailable

log = structlog.get_logger()
BATCH = 100
SECONDS = 10.0
"""Between two looks for what is left: what is deleted while the store is away goes soon after it is back."""


def doom(session: Session, blobs: Iterable[str]) -> None:
    """Notes, in the transaction that unnames them, blobs that are to go if nothing else names them.

    Whether something does is looked up when they go: of two jobs that are deleted at once, each still sees the other.
    """
    session.flush()
    if noted := [{"blob": blob} for blob in sorted(set(blobs))]:
        session.execute(insert_missing(RemovalRow), noted)


def named(session: Session, blobs: Iterable[str]) -> set[str]:
    """Those of `blobs` that an artifact or an upload stands on."""
    wanted = list(blobs)
    growing = select(UploadRow.blob).where(UploadRow.blob.in_(wanted), UploadRow.job_id.is_(None))
    found = select(ArtifactRow.blob).where(ArtifactRow.blob.in_(wanted))
    # In this order: an upload that becomes a job in between is seen as the one or the other.
    return {*session.scalars(growing), *session.scalars(found)}


@dataclass(frozen=True)
class Removals:
    engine: Engine
    blobs: BlobStore

    def carry_out(self) -> int:
        """Removes what is noted and not named, and returns how many blobs that were. Raises `Unavailable`."""
        removed = 0
        while noted := self._noted():
            removed += sum(self._removed(blob) for blob in noted)
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
            return list(session.scalars(select(RemovalRow.blob).order_by(RemovalRow.blob).limit(BATCH)))

    def _removed(self, blob: str) -> bool:
        """Blob by blob, because who holds one lock at a time never stands in anybody's way."""
        if not self._unnamed(blob):
            return False
        self.blobs.delete(blob)
        log.info("blob removed", blob=blob, why="nothing names it any more")
        with transaction(self.engine) as session:
            session.execute(_struck(blob))
        return True

    def _unnamed(self, blob: str) -> bool:
        """Strikes out what is named after all; locked, so that whoever unnames it now notes it anew."""
        with transaction(self.engine) as session:
            noted = session.get(RemovalRow, blob, with_for_update=True)
            if kept := named(session, [blob]):
                session.execute(_struck(blob))
            return noted is not None and not kept


def _struck(blob: str) -> Delete:
    return delete(RemovalRow).where(RemovalRow.blob == blob)
