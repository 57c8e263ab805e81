"""The files in watched folders, as the catalog knows them.

A page of a list is one transaction: what it says of files, the jobs that come of it, and where the list goes on. Every method
raises `Unavailable` when the catalog is away.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session, aliased

from pipeline import connection_rows
from pipeline.accounts import alone
from pipeline.catalog import ConnectionRow, FolderRow, JobRow, RemoteFileRow, TaskRow
from pipeline.connection_rows import Connection, Folder
from pipeline.database import now, transaction
from pipeline.messages import Message
from sync.dropbox.account import Page
from sync.watching.news import News
from sync.watching.taking import Rules, Taking

BATCH = 100
"""Files that are taken in one transaction, once they have settled."""
MOST_REASONS = 3
"""That an owner is told at a time."""


class Superseded(Exception):
    """The connection is not active any more, or the folder has another cursor: another worker has gone on with it."""


@dataclass(frozen=True)
class RemoteFiles:
    engine: Engine
    rules: Rules

    def take_in(self, connection: Connection, folder: Folder, page: Page, free: int | None) -> list[Message]:
        """Keeps what a page says that was asked for with the folder's cursor; returns the messages to publish.

        `free`: bytes that can still be stored, None if that is unknown. Raises Superseded; then nothing is kept.
        """
        with self._taking(connection, free) as taking:
            row = _unchanged(taking.session, folder)
            news = News(taking, row)
            news.take_in(page.entries)
            row.cursor = page.cursor
            if not page.more and not row.listed:
                news.forget_unnamed()
                row.listed = True
            return taking.sent

    def list_again(self, folder: Folder) -> Folder:
        """The folder, to be listed from the beginning; what the list has not named by its end is gone. Raises Superseded."""
        with transaction(self.engine) as session:
            row = _unchanged(session, folder)
            row.cursor, row.round, row.listed = None, row.round + 1, False
        return replace(folder, cursor=None, round=folder.round + 1, listed=False)

    def take_due(self, connection: Connection, moment: datetime, free: int | None) -> list[Message] | None:
        """Makes jobs of some of the files that have settled by `moment`, or waited for room until then.

        Returns the messages to publish, None if there are no such files any more. Raises Superseded.
        """
        with self._taking(connection, free) as taking:
            return taking.sent if taking.take_due(moment, BATCH) else None

    def next_due(self, connection_id: str) -> datetime | None:
        """When a file is to be looked at next."""
        with transaction(self.engine) as session:
            mine = RemoteFileRow.connection_id == connection_id
            return session.scalar(select(func.min(RemoteFileRow.due_at)).where(mine))

    def checked(self, connection_id: str, trouble: Sequence[str], *, listens: bool) -> list[Message]:
        """Notes that all that is new is known, and for the owner what does not work, or waits.

        Has news waited for, if it `listens`; returns the messages to publish.
        """
        with transaction(self.engine) as session:
            sent = connection_rows.keep_open(session, connection_id, "listen") if listens else []
            known = [*trouble, *_held_up(session, connection_id), *_failing(session, connection_id)]
            reason = "\n".join([*known, *_unread(session, connection_id, known)]) or None
            mine = ConnectionRow.id == connection_id, ConnectionRow.state == "active"
            session.execute(update(ConnectionRow).where(*mine).values(checked_at=now(), reason=reason))
            return sent

    def wake(self, connection_id: str) -> list[Message]:
        """Has looked now what is new; returns the messages to publish."""
        with transaction(self.engine) as session:
            return connection_rows.wake(session, connection_id, "watch")

    @contextmanager
    def _taking(self, connection: Connection, free: int | None) -> Iterator[Taking]:
        """Alone for the owner, whose quotas count, and for the connection. Raises Superseded."""
        with alone(self.engine, connection.owner) as session:
            found = connection_rows.lock(session, connection.id)
            if found is None or found[1].state != "active":
                raise Superseded
            yield Taking(session, connection_rows.view(session, *found), self.rules, free)


def _unchanged(session: Session, folder: Folder) -> FolderRow:
    """The folder's row, locked. Raises Superseded if it has gone on since."""
    row = session.get(FolderRow, folder.id, with_for_update=True)
    if row is None or (row.cursor, row.round) != (folder.cursor, folder.round):
        raise Superseded
    return row


def _held_up(session: Session, connection_id: str) -> Iterator[str]:
    """What files wait for, and of those that were edited, which cannot be read."""
    held_up = RemoteFileRow.connection_id == connection_id, RemoteFileRow.state.in_(("waiting", "result"))
    counted = select(RemoteFileRow.reason, func.count(), func.min(RemoteFileRow.path))
    reasons = counted.where(*held_up, RemoteFileRow.reason.is_not(None)).group_by(RemoteFileRow.reason)
    for why, count, path in session.execute(reasons.order_by(func.count().desc()).limit(MOST_REASONS)):
        yield _told(path, count, why)


def _failing(session: Session, connection_id: str) -> Iterator[str]:
    """Why recordings do not come, or results do not come back. What was given up is told until results come back again."""
    later, other = aliased(TaskRow), aliased(JobRow)
    returned = select(later.id).join(other, other.id == later.job_id).where(other.connection_id == connection_id)
    since = later.kind == "return", later.state == "done", later.finished_at > TaskRow.finished_at
    given_up = (TaskRow.kind == "return") & (TaskRow.state == "failed") & ~returned.where(*since).exists()
    tried = TaskRow.kind.in_(("fetch", "return")) & TaskRow.state.in_(("queued", "running"))
    counted = select(TaskRow.reason, func.count(), func.min(JobRow.title)).join(JobRow, JobRow.id == TaskRow.job_id)
    mine = JobRow.connection_id == connection_id, TaskRow.reason.is_not(None), given_up | tried
    reasons = counted.where(*mine).group_by(TaskRow.reason).order_by(func.count().desc()).limit(MOST_REASONS)
    for why, count, title in session.execute(reasons):
        yield _told(title, count, why)


def _unread(session: Session, connection_id: str, known: Sequence[str]) -> Iterator[str]:
    """Why files that were edited are not taken in, where their rows do not say so."""
    revise = TaskRow.job_id == connection_id, TaskRow.kind == "revise", TaskRow.reason.is_not(None)
    unread = select(TaskRow.reason, func.count()).where(*revise, TaskRow.state.in_(("queued", "running", "failed")))
    for why, count in session.execute(unread.group_by(TaskRow.reason).limit(MOST_REASONS)):
        if not any(told.endswith(why or "") for told in known):
            yield _told("An edited file", count, why)


def _told(first: str, count: int, why: str | None) -> str:
    return f"{first}{f' and {count - 1:,} more' if count > 1 else ''}: {why}"
