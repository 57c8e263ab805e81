"""What was put into connected accounts, noted before it goes out, so that it is known when it comes back as news."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import ColumnElement, Engine, or_, select
from sqlalchemy.orm import Session

from pipeline.catalog import RemoteFileRow, ReturnedFileRow
from pipeline.database import now, transaction
from sync.dropbox.account import RemoteFile


@dataclass(frozen=True)
class Outcome:
    """A result as it is to be put into an account. `name` is the artifact's."""

    connection_id: str
    job_id: str
    name: str
    content_hash: str
    version: int | None
    """Of the transcript that it was written from."""


@dataclass(frozen=True)
class ReturnedFiles:
    """The ledger of one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def source(self, connection_id: str, job_id: str) -> str | None:
        """The id of the file that a job was made of; None if it has another content by now, or has gone."""
        of_job = RemoteFileRow.connection_id == connection_id, RemoteFileRow.job_id == job_id
        there = select(RemoteFileRow.remote_id).where(*of_job, RemoteFileRow.state != "gone")
        with transaction(self.engine) as session:
            return session.scalar(there.order_by(RemoteFileRow.id).limit(1))

    def last(self, outcome: Outcome) -> ReturnedFileRow | None:
        """As it was returned, or came back edited, for the last time."""
        done = select(ReturnedFileRow).where(*_of(outcome), ReturnedFileRow.remote_id.is_not(None))
        with transaction(self.engine) as session:
            return session.scalar(done.order_by(ReturnedFileRow.at.desc(), ReturnedFileRow.id).limit(1))

    def knows(self, outcome: Outcome, there: RemoteFile) -> bool:
        """Whether a file is as we have put it there, and so no edit that nobody has looked at.

        By its revision, or else, where it was moved or nobody lived to note the revision, by a content: of the last one that
        was noted, and of those that were begun since.
        """
        done = select(ReturnedFileRow).where(*_of(outcome)).order_by(ReturnedFileRow.at.desc(), ReturnedFileRow.id)
        with transaction(self.engine) as session:
            rows = session.scalars(done).all()
        noted = next((count for count, row in enumerate(rows, 1) if row.remote_id), len(rows))
        contents = {row.content_hash for row in rows[:noted]}
        return there.content_hash in contents or there.rev in {row.rev for row in rows}

    def is_outdated(self, connection_id: str, there: RemoteFile) -> bool:
        """Whether a file is a result, as it was returned, of what a recording was before its content changed."""
        used = select(RemoteFileRow.id).where(RemoteFileRow.job_id == ReturnedFileRow.job_id).exists()
        found = (
            ReturnedFileRow.connection_id == connection_id,
            ReturnedFileRow.job_id.is_not(None),
            ReturnedFileRow.remote_id == there.id,
            ReturnedFileRow.content_hash == there.content_hash,
        )
        with transaction(self.engine) as session:
            return session.scalar(select(ReturnedFileRow.id).where(*found, ~used).limit(1)) is not None

    def is_recording(self, connection_id: str, there: RemoteFile) -> bool:
        """Whether a file is one that was taken in, or is about to be."""
        taken = or_(RemoteFileRow.job_id.is_not(None), RemoteFileRow.state.in_(("settling", "waiting", "taken")))
        same = RemoteFileRow.connection_id == connection_id, RemoteFileRow.remote_id == there.id
        with transaction(self.engine) as session:
            return session.scalar(select(RemoteFileRow.id).where(*same, taken)) is not None

    def begin(self, outcome: Outcome, path: str) -> None:
        """Notes that the result is about to be put there, also if it was there before, and another one since."""
        with transaction(self.engine) as session:
            row = _row(session, outcome)
            row.path, row.remote_id, row.rev = path, None, None

    def keep(self, outcome: Outcome) -> None:
        """Notes that what is there is of this version as well."""
        with transaction(self.engine) as session:
            _row(session, outcome)

    def complete(self, outcome: Outcome, there: RemoteFile) -> None:
        """Notes that it is there."""
        with transaction(self.engine) as session:
            row = _row(session, outcome)
            row.path, row.remote_id, row.rev = there.path, there.id, there.rev


def _of(outcome: Outcome) -> tuple[ColumnElement[bool], ...]:
    return ReturnedFileRow.job_id == outcome.job_id, ReturnedFileRow.name == outcome.name


def _row(session: Session, outcome: Outcome) -> ReturnedFileRow:
    """The row of this content, which becomes the last."""
    same = select(ReturnedFileRow).where(*_of(outcome), ReturnedFileRow.content_hash == outcome.content_hash)
    row = session.scalar(same.with_for_update())
    if row is None:
        row = ReturnedFileRow(
            id=uuid4().hex,
            connection_id=outcome.connection_id,
            job_id=outcome.job_id,
            name=outcome.name,
            content_hash=outcome.content_hash,
        )
        session.add(row)
    row.version, row.at = outcome.version, now()
    return row
