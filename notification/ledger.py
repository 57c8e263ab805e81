"""The record of every mail, which decides whether one may go out."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, Engine, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notification.news import News
from pipeline.accounts import alone
from pipeline.catalog import ENDED, JobRow, MailRow, TaskRow
from pipeline.database import changed, now, transaction
from pipeline.errors import Interrupted
from pipeline.work import Task

State = Literal["new", "sending", "sent", "refused", "unwanted", "unclear"]
MOST_LETTERS = 100
"""That one digest takes the place of; more make more digests."""

_OPEN = ("queued", "running")
_RECORD = insert(MailRow).prefix_with("IGNORE", dialect="mysql").prefix_with("OR IGNORE", dialect="sqlite")


@dataclass
class MailEntry:
    """A mail as this attempt knows it."""

    id: str
    message_id: str
    state: State
    created_at: datetime
    digest_id: str | None = None
    letters: int = 1
    """How many it takes the place of."""

    @property
    def is_led(self) -> bool:
        """Another mail tells of its job too."""
        return self.digest_id not in (None, self.id)

    @property
    def rows(self) -> tuple[ColumnElement[bool], ...]:
        """All that the mail takes the place of. They move together."""
        if self.digest_id is None:
            return MailRow.id == self.id, MailRow.digest_id.is_(None)
        return (MailRow.digest_id == self.digest_id,)


@dataclass(frozen=True)
class Leader:
    """The task that sends a digest; `state` is None if its job is gone."""

    state: str | None
    reason: str | None

    @property
    def has_ended(self) -> bool:
        return self.state is None or self.state in ENDED


class _Moved(Exception):
    """Somebody else was faster."""


@dataclass(frozen=True)
class Ledger:
    """Every step is one conditional update: of two workers with the same mail, one takes it. All raise `Unavailable`."""

    engine: Engine

    def begin(self, task: Task, address: str, message_id: str) -> MailEntry:
        """Records the mail, or finds it recorded. Raises Interrupted if its job is gone."""
        with suppress(IntegrityError), transaction(self.engine) as session:
            mail = {"task_id": task.id, "job_id": task.job_id, "address": address, "message_id": message_id}
            session.add(MailRow(id=uuid4().hex, **mail))
        with transaction(self.engine) as session:
            row = session.scalar(select(MailRow).where(MailRow.task_id == task.id))
        if row is None:
            raise Interrupted
        return MailEntry(row.id, row.message_id, row.state, row.created_at, row.digest_id)  # type: ignore[arg-type]

    def gather(
        self, entry: MailEntry, owner: str, address: str, name: Callable[[str], str], *, failures: bool
    ) -> Sequence[News]:
        """Makes `entry` the one mail about all of the owner's recordings, or `failures`, of which this address is still to hear.

        Nothing of it has gone out. `name` gives the Message-ID of the mail of a task. Gives what the mail has to tell; nothing if
        another mail does.
        """
        with alone(self.engine, owner) as session:
            found = _open_letters(session, owner, address, failures, entry.id)
            if not found:
                return []
            session.execute(_RECORD, [_new_row(task, address, name(task.id)) for task, _ in found])
            taken = _join(session, entry, [task.id for task, _ in found])
            return [news for task, news in found if task.id in taken]

    def leader(self, entry: MailEntry) -> Leader:
        """Of the digest that tells of this job; afterwards `entry` has the state of then or later."""
        of_digest = select(TaskRow.state, TaskRow.reason).join(MailRow, MailRow.task_id == TaskRow.id)
        with transaction(self.engine) as session:
            found = session.execute(of_digest.where(MailRow.id == entry.digest_id)).one_or_none()
        with transaction(self.engine) as session:
            state = session.scalar(select(MailRow.state).where(MailRow.id == entry.id))
        if state is None:
            raise Interrupted
        entry.state = state  # type: ignore[assignment]
        return Leader(*found) if found else Leader(None, None)

    def release(self, entry: MailEntry) -> None:
        """Its digest will never go out: the mail is one by itself again."""
        led = MailRow.id == entry.id, MailRow.digest_id == entry.digest_id, MailRow.state == "new"
        with transaction(self.engine) as session:
            session.execute(update(MailRow).where(*led).values(digest_id=None))

    def wake(self, entry: MailEntry) -> None:
        """The tasks whose mails went with this one look at once what became of them; the sweeper calls them."""
        if entry.digest_id is None:
            return
        with transaction(self.engine) as session:
            led = session.scalars(select(MailRow.task_id).where(*entry.rows, MailRow.id != entry.id)).all()
            waiting = TaskRow.id.in_(led), TaskRow.state.in_(_OPEN)
            session.execute(update(TaskRow).where(*waiting).values(due_at=now()))

    def unwanted(self, entry: MailEntry) -> None:
        """Nobody wants this mail; those that were to go with it are for others to decide."""
        with transaction(self.engine) as session:
            led = MailRow.digest_id == entry.id, MailRow.id != entry.id, MailRow.state == "new"
            session.execute(update(MailRow).where(*led).values(digest_id=None))
            mine = MailRow.id == entry.id, MailRow.state == "new"
            session.execute(update(MailRow).where(*mine).values(state="unwanted", digest_id=None))

    def sending(self, entry: MailEntry) -> bool:
        """The message's data goes out now. False if another worker was faster, or it tells of a job that is gone: then it must not."""
        try:
            return self._move(entry, "sending", letters=entry.letters)
        except _Moved:
            return False

    def not_sent(self, entry: MailEntry) -> None:
        """The server certainly did not take the mail; it may be sent again."""
        self._move(entry, "new")

    def sent(self, entry: MailEntry) -> None:
        """The server took the mail. Another worker that had waited for no answer may have called it unclear."""
        self._move(entry, "sent", "unclear", sent_at=now())

    def refused(self, entry: MailEntry) -> None:
        self._move(entry, "refused")

    def unclear(self, entry: MailEntry) -> bool:
        """Nobody knows whether the server took the mail. False if that was known already."""
        return self._move(entry, "unclear")

    def _move(
        self,
        entry: MailEntry,
        state: State,
        *also_from: State,
        sent_at: datetime | None = None,
        letters: int | None = None,
    ) -> bool:
        """Raises _Moved, and moves none, if there are not so many `letters`."""
        mine = update(MailRow).where(*entry.rows, MailRow.state.in_((entry.state, *also_from)))
        with transaction(self.engine) as session:
            moved = changed(session, mine.values(state=state, sent_at=sent_at))
            if letters not in (None, moved):
                raise _Moved
        if moved:
            entry.state = state
        return moved > 0


def _open_letters(
    session: Session, owner: str, address: str, failures: bool, first: str
) -> Sequence[tuple[TaskRow, News]]:
    """Those that this address has not got yet; the mail `first` is among them, however many there are."""
    letters = select(TaskRow, JobRow, MailRow.id).join(JobRow, JobRow.id == TaskRow.job_id)
    letters = letters.outerjoin(MailRow, MailRow.task_id == TaskRow.id).order_by(TaskRow.created_at, TaskRow.id)
    of_owner = JobRow.owner == owner, JobRow.kind == "recording"
    unsent = TaskRow.kind == "deliver", TaskRow.state.in_(_OPEN), or_(MailRow.id.is_(None), MailRow.state == "new")
    found = [row for row in session.execute(letters.where(*of_owner, *unsent)) if row[0].args["address"] == address]
    told = [row for row in found if not failures or row[0].args.get("state", row[1].state) != "done"]
    told.sort(key=lambda row: row[2] != first)
    return [(task, News.of_rows(job, task.args)) for task, job, _ in told[:MOST_LETTERS]]


def _new_row(task: TaskRow, address: str, message_id: str) -> dict[str, str]:
    mail = {"task_id": task.id, "job_id": task.job_id, "address": address, "message_id": message_id}
    return {"id": uuid4().hex, **mail}


def _join(session: Session, entry: MailEntry, tasks: Sequence[str]) -> set[str]:
    """Puts the mails of these tasks that are in no other digest into that of `entry`; gives their tasks. None if `entry` is in another."""
    free = MailRow.state == "new", or_(MailRow.digest_id.is_(None), MailRow.digest_id == entry.id)
    rows = session.scalars(select(MailRow).where(MailRow.task_id.in_(tasks), *free).with_for_update()).all()
    if entry.id not in {row.id for row in rows}:
        return set()
    entry.letters, entry.digest_id = len(rows), entry.id if len(rows) > 1 else None
    session.execute(update(MailRow).where(MailRow.digest_id == entry.id).values(digest_id=None))
    together = update(MailRow).where(MailRow.id.in_([row.id for row in rows]))
    session.execute(together.values(digest_id=entry.digest_id))
    return {row.task_id for row in rows}
