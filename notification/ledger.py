"""The record of every mail, which decides whether one may go out."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.catalog import MailRow
from pipeline.database import changed, now, transaction
from pipeline.errors import Interrupted
from pipeline.work import Task

State = Literal["new", "sending", "sent", "refused", "unclear"]


@dataclass
class MailEntry:
    """A mail as this attempt knows it."""

    id: str
    message_id: str
    state: State


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
        return MailEntry(row.id, row.message_id, row.state)  # type: ignore[arg-type]

    def sending(self, entry: MailEntry) -> bool:
        """The message's data goes out now. False if another worker was faster: then it must not."""
        return self._move(entry, "sending")

    def not_sent(self, entry: MailEntry) -> None:
        """The server certainly did not take the mail; it may be sent again."""
        self._move(entry, "new")

    def sent(self, entry: MailEntry) -> None:
        """The server took the mail. Another worker that had waited for no answer may have called it unclear."""
        self._move(entry, "sent", "unclear", sent_at=now())

    def refused(self, entry: MailEntry) -> None:
        self._move(entry, "refused")

    def unclear(self, entry: MailEntry) -> None:
        """Nobody knows whether the server took the mail."""
        self._move(entry, "unclear")

    def _move(self, entry: MailEntry, state: State, *also_from: State, sent_at: datetime | None = None) -> bool:
        mine = update(MailRow).where(MailRow.id == entry.id, MailRow.state.in_((entry.state, *also_from)))
        with transaction(self.engine) as session:
            moved = changed(session, mine.values(state=state, sent_at=sent_at)) == 1
        if moved:
            entry.state = state
        return moved
