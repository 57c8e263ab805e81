"""Links that owners make: a row each, so that they can be listed, counted and revoked. Those in mails have none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Engine, Select, delete, or_, select, update
from sqlalchemy.orm import Session

from pipeline.catalog import ArtifactRow, JobRow, LinkRow
from pipeline.database import changed, now, transaction
from pipeline.reuse import artifact
from pipeline.work import HIDDEN, Artifact

MOST = 1000
"""Links that one job may have at a time."""


class TooMany(Exception):
    """The job has as many links as it may have."""


@dataclass(frozen=True)
class Share:
    """A link to one file, or to a whole job if `artifact_id` is None. It ends after `downloads`, if they are limited."""

    id: str
    owner: str
    job_id: str
    artifact_id: str | None
    artifact: str | None
    """The file's name."""
    downloads: int | None
    used: int
    created_at: datetime
    expires_at: datetime

    @property
    def is_used_up(self) -> bool:
        return self.downloads is not None and self.used >= self.downloads


@dataclass(frozen=True)
class Shares:
    """The links of one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def make(
        self, owner: str, job_id: str, artifact: str | None, expires_at: datetime, downloads: int | None
    ) -> Share | None:
        """None if the owner has no such job, or the job no file named `artifact`. Raises TooMany."""
        with transaction(self.engine) as session:
            if not _lock(session, owner, job_id):
                return None
            fid = _fid(session, job_id, artifact) if artifact is not None else None
            if artifact is not None and fid is None:
                return None
            if len(_live(session, job_id)) >= MOST:
                raise TooMany
            row = LinkRow(
                id=uuid4().hex, job_id=job_id, artifact_id=fid, downloads=downloads, used=0, expires_at=expires_at
            )
            session.add(row)
            session.flush()
            return _share(row, owner, artifact)

    def list(self, owner: str, job_id: str) -> Sequence[Share] | None:
        """Those that have not expired, oldest first. None if the owner has no such job."""
        with transaction(self.engine) as session:
            mine = session.scalar(select(JobRow.id).where(JobRow.id == job_id, JobRow.owner == owner))
            return _live(session, job_id) if mine else None

    def revoke(self, owner: str, job_id: str, share_id: str) -> bool:
        """False if there is no such link."""
        mine = select(JobRow.id).where(JobRow.id == job_id, JobRow.owner == owner).scalar_subquery()
        with transaction(self.engine) as session:
            return changed(session, delete(LinkRow).where(LinkRow.id == share_id, LinkRow.job_id == mine)) == 1

    def revoke_all(self, owner: str, job_id: str) -> bool:
        """Those in mails too, whenever they were sent. False if the owner has no such job."""
        with transaction(self.engine) as session:
            if not _lock(session, owner, job_id):
                return False
            session.execute(delete(LinkRow).where(LinkRow.job_id == job_id))
            session.execute(update(JobRow).where(JobRow.id == job_id).values(links_from=now()))
            return True

    def mailed(self, fid: str, signed_at: datetime) -> Artifact | None:
        """The file of a link in a mail. None if there is none, or its job's links were revoked after `signed_at`."""
        good = or_(JobRow.links_from.is_(None), JobRow.links_from <= signed_at)
        linked = select(ArtifactRow).join(JobRow).where(ArtifactRow.id == fid, ArtifactRow.kind.not_in(HIDDEN), good)
        with transaction(self.engine) as session:
            row = session.scalar(linked)
            return artifact(row) if row else None

    def mailed_job(self, job_id: str, signed_at: datetime) -> str | None:
        """The owner of the job of a link in a mail; None as for `mailed`."""
        good = or_(JobRow.links_from.is_(None), JobRow.links_from <= signed_at)
        with transaction(self.engine) as session:
            return session.scalar(select(JobRow.owner).where(JobRow.id == job_id, good))

    def find(self, share_id: str) -> Share | None:
        """For whoever holds the signed link."""
        with transaction(self.engine) as session:
            found = session.execute(_shares().where(LinkRow.id == share_id)).one_or_none()
            return _share(*found) if found else None

    def use(self, share_id: str) -> bool:
        """Counts one download. False if there is none left: of two at once, only one gets the last."""
        some_left = or_(LinkRow.downloads.is_(None), LinkRow.used < LinkRow.downloads)
        used = update(LinkRow).where(LinkRow.id == share_id, some_left).values(used=LinkRow.used + 1)
        with transaction(self.engine) as session:
            return changed(session, used) == 1


def expire_links(engine: Engine, batch: int) -> int:
    """Deletes up to `batch` rows of links that have expired, and returns how many. Raises `Unavailable`."""
    with transaction(engine) as session:
        due = session.scalars(select(LinkRow.id).where(LinkRow.expires_at < now()).limit(batch)).all()
        return changed(session, delete(LinkRow).where(LinkRow.id.in_(due)))


def _lock(session: Session, owner: str, job_id: str) -> str | None:
    """Until the end of the transaction neither the job nor a file of it goes away."""
    return session.scalar(select(JobRow.id).where(JobRow.id == job_id, JobRow.owner == owner).with_for_update())


def _fid(session: Session, job_id: str, name: str) -> str | None:
    named = ArtifactRow.job_id == job_id, ArtifactRow.name == name, ArtifactRow.kind.not_in(HIDDEN)
    return session.scalar(select(ArtifactRow.id).where(*named))


def _live(session: Session, job_id: str) -> Sequence[Share]:
    live = _shares().where(LinkRow.job_id == job_id, LinkRow.expires_at > now())
    return [_share(*found) for found in session.execute(live.order_by(LinkRow.created_at, LinkRow.id))]


def _shares() -> Select[LinkRow, str, str | None]:
    return (
        select(LinkRow, JobRow.owner, ArtifactRow.name)
        .join(JobRow, JobRow.id == LinkRow.job_id)
        .outerjoin(ArtifactRow, ArtifactRow.id == LinkRow.artifact_id)
    )


def _share(row: LinkRow, owner: str, artifact: str | None) -> Share:
    return Share(
        row.id,
        owner,
        row.job_id,
        row.artifact_id,
        artifact,
        row.downloads,
        row.used,
        row.created_at,
        row.expires_at,
    )
