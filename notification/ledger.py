"""The record of every mail, which decides whether one may go out."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import structlog
from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notification.news import News
from pipeline.accounts import alone
from pipeline.catalog import ENDED, JobRow, MailRow, TaskRow
from pipeline.database import changed, insert_missing, now, transaction
from pipeline.errors import Interrupted, Unavailable
from pipeline.work import Task

log = structlog.get_logger()
State = Literal["new", "sending", "sent", "refused", "unwanted", "unclear"]
MOST_LETTERS = 100
"""That one digest takes the place of; more make more digests."""

PATIENCE, PAUSE = 240.0, 1.0
"""Seconds for which the catalog is asked to record what the mail server was told or has said, and between two tries: a mail server
waits for the next word of a conversation for five minutes (RFC 5321, section 4.5.3.2.7)."""

_OPEN = ("queued", "running")


@dataclass
class MailEntry:
    """A mail as this attempt knows it. `address` is in small letters."""

    id: str
    message_id: str
    owner: str
    address: str
    state: State
    created_at: datetime
    digest_id: str | None = None
    deferrals: int = 0
    letters: int = 1
    """How many it takes the place of."""
    attempt: str | None = None
    """The name under which this attempt has offered it to the server."""

    @property
    def has_ended(self) -> bool:
        return self.state not in ("new", "sending")

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

    @property
    def stands(self) -> ColumnElement[bool]:
        """Its record is as this attempt left it, heard or not, and in no other's hands."""
        if self.attempt is None:
            return MailRow.state == self.state
        own = and_(MailRow.state == "sending", MailRow.offered_by == self.attempt)
        return own if self.state == "sending" else or_(MailRow.state == self.state, own)


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
    """Every step is one conditional update: of two workers with the same mail, one takes it. All raise `Unavailable`.

    What a conversation with the mail server led to is recorded patiently: where the answer of the catalog was lost, it is asked again.
    """

    engine: Engine

    def begin(self, task: Task, address: str, message_id: str) -> MailEntry:
        """Records the mail, or finds it recorded. Raises Interrupted if its job is gone."""
        with suppress(IntegrityError), transaction(self.engine) as session:
            session.add(MailRow(**_new_row(task.id, task.job_id, address, message_id)))
        with transaction(self.engine) as session:
            row = session.scalar(select(MailRow).where(MailRow.task_id == task.id))
        if row is None:
            raise Interrupted
        return MailEntry(
            row.id,
            row.message_id,
            task.owner,
            address.lower(),
            row.state,  # type: ignore[arg-type]
            row.created_at,
            row.digest_id,
            row.deferrals,
        )

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
            rows = [_new_row(task.id, task.job_id, address, name(task.id)) for task, _ in found]
            session.execute(insert_missing(MailRow), rows)
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

    def ahead(self, entry: MailEntry) -> int:
        """How many older mails still wait to go to the same address."""
        older = _line(entry, func.count()).where(MailRow.created_at < entry.created_at)
        with transaction(self.engine) as session:
            return session.scalar(older) or 0

    def wake(self, entry: MailEntry) -> None:
        """The tasks whose mails went with this one look at once what became of them, and the next in line whether it is its turn.

        The sweeper calls them.
        """
        led = select(MailRow.task_id).where(*entry.rows, MailRow.id != entry.id)
        following = _line(entry, MailRow.task_id).where(MailRow.id != entry.id, TaskRow.failing_since.is_(None))
        with transaction(self.engine) as session:
            woken = {*session.scalars(led), *session.scalars(following.order_by(MailRow.created_at).limit(1))}
            waiting = TaskRow.id.in_(woken), TaskRow.state.in_(_OPEN)
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
        entry.attempt = uuid4().hex
        try:
            return self._move(entry, "sending", letters=entry.letters, offered_by=entry.attempt)
        except _Moved:
            return False

    def not_sent(self, entry: MailEntry) -> None:
        """The server certainly did not take the mail; it may be sent again."""
        self._move(entry, "new")

    def deferred(self, entry: MailEntry) -> None:
        """The server does not take it to this address for now."""
        with transaction(self.engine) as session:
            session.execute(update(MailRow).where(*entry.rows).values(deferrals=MailRow.deferrals + 1))

    def sent(self, entry: MailEntry) -> None:
        """The server took the mail. Another worker that had waited for no answer may have called it unclear."""
        unclear = and_(MailRow.state == "unclear", MailRow.offered_by == entry.attempt)
        self._move(entry, "sent", unclear, sent_at=now())

    def refused(self, entry: MailEntry) -> None:
        self._move(entry, "refused")

    def unclear(self, entry: MailEntry) -> bool:
        """Nobody knows whether the server took the mail. False if that was known already."""
        return self._move(entry, "unclear")

    def _move(
        self, entry: MailEntry, state: State, *also: ColumnElement[bool], letters: int | None = None, **values: Any
    ) -> bool:
        """From where it stands, or from what is `also` right. Raises _Moved, and moves none, if there are not so many `letters`."""
        mine = update(MailRow).where(*entry.rows, or_(entry.stands, *also))

        def move() -> int:
            with transaction(self.engine) as session:
                moved = changed(session, mine.values(state=state, **values))
                if letters not in (None, moved):
                    raise _Moved
                return moved

        moved = _patiently(move)
        if moved:
            entry.state = state
        return moved > 0


def _patiently(ask: Callable[[], int]) -> int:
    """Asks the catalog until it answers. Raises Unavailable if it does not in PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except Unavailable as error:
            if time.monotonic() > end:
                raise
            log.warning("waiting for the catalog", cause=str(error))
            time.sleep(PAUSE)


def _line(entry: MailEntry, wanted: Any) -> Select[Any]:
    """`wanted` of the mails about recordings that are recorded and still to go from the same owner to the same address."""
    mails = select(wanted).select_from(MailRow).join(TaskRow, TaskRow.id == MailRow.task_id)
    return mails.join(JobRow, JobRow.id == MailRow.job_id).where(
        *(MailRow.address == entry.address, MailRow.state.in_(("new", "sending")), TaskRow.state.in_(_OPEN)),
        *(JobRow.owner == entry.owner, JobRow.kind == "recording"),
    )


def _open_letters(
    session: Session, owner: str, address: str, failures: bool, first: str
) -> Sequence[tuple[TaskRow, News]]:
    """Those that this address has not got yet; the mail `first` is among them, however many there are."""
    letters = select(TaskRow, JobRow, MailRow.id).join(JobRow, JobRow.id == TaskRow.job_id)
    letters = letters.outerjoin(MailRow, MailRow.task_id == TaskRow.id).order_by(TaskRow.created_at, TaskRow.id)
    of_owner = JobRow.owner == owner, JobRow.kind == "recording"
    unsent = TaskRow.kind == "deliver", TaskRow.state.in_(_OPEN), or_(MailRow.id.is_(None), MailRow.state == "new")
    rows = session.execute(letters.where(*of_owner, *unsent))
    found = [row for row in rows if row[0].args["address"].lower() == address.lower()]
    told = [row for row in found if not failures or row[0].args.get("state", row[1].state) != "done"]
    told.sort(key=lambda row: row[2] != first)
    return [(task, News.of_rows(job, task.args)) for task, job, _ in told[:MOST_LETTERS]]


def _new_row(task_id: str, job_id: str, address: str, message_id: str) -> dict[str, str]:
    mail = {"task_id": task_id, "job_id": job_id, "address": address.lower(), "message_id": message_id}
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
