"""What is sent to a speech service on whose behalf: noted before it is sent, so that money has bounds."""

from dataclasses import dataclass, field
from uuid import UUID, uuid5

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from pipeline.accounts import Limits, alone, day_speech_seconds, over
from pipeline.catalog import AccountRow, JobRow, TaskRow, UsageRow
from pipeline.database import changed, transaction
from pipeline.errors import Interrupted, Reject
from pipeline.work import Task

MOST_CALLS = 5
"""Of one part, until its owner runs it again."""


@dataclass(frozen=True)
class Ledger:
    """The calls in one catalog; `defaults` hold where an account says nothing.

    Every method raises `Unavailable`; those that note something raise `Interrupted` for a job that was deleted.
    """

    engine: Engine
    defaults: Limits = field(default_factory=Limits)

    def book(self, task: Task, seconds: float) -> None:
        """Takes `seconds` of audio off what the task's owner may have transcribed today (UTC), once a task. Raises Reject."""
        self._book(task, _entry(task.id), seconds)

    def call(self, task: Task, seconds: float) -> int:
        """Notes a call before it is made, and returns its number of the part's, from 1; it begins anew when the owner runs the part again.

        All but the first that was ever made are booked by themselves. Raises Reject after MOST_CALLS, and where the budget has
        no room for it.
        """
        calls, before, trouble = self._count(task)
        number = calls - before
        if number > MOST_CALLS:
            asked = f"The speech service was asked {MOST_CALLS} times for this part and never gave a whole answer"
            raise Reject(f"{asked}: {trouble}" if trouble else f"{asked}.")
        if calls > 1:
            self._book(task, _entry(task.id, task.attempt, calls), seconds)
        return number

    def take_back(self, task: Task) -> None:
        """The last call was not taken: the service was not reached, or has no room for now."""
        with transaction(self.engine) as session:
            row = session.get(TaskRow, task.id, with_for_update=True)
            if row is not None and row.calls:
                booked = UsageRow.id == _entry(task.id, task.attempt, row.calls)
                session.execute(delete(UsageRow).where(booked))
                row.calls -= 1
                row.calls_before = min(row.calls_before, row.calls)  # it may have been run again meanwhile

    def excuse(self, task: Task) -> None:
        """The last call was broken off from here: it stays booked, but the service did not fail."""
        mine = (TaskRow.id == task.id, TaskRow.calls_before < TaskRow.calls)
        with transaction(self.engine) as session:
            session.execute(update(TaskRow).where(*mine).values(calls_before=TaskRow.calls_before + 1))

    def _count(self, task: Task) -> tuple[int, int, str | None]:
        """How many calls there are with this one, how many of them do not count any more, and what the task's last trouble was."""
        mine = TaskRow.id == task.id
        with transaction(self.engine) as session:
            if not changed(session, update(TaskRow).where(mine).values(calls=TaskRow.calls + 1)):
                raise Interrupted
            noted = select(TaskRow.calls, TaskRow.calls_before, TaskRow.reason).where(mine)
            calls, before, trouble = session.execute(noted).one()
            return calls, before, trouble

    def _book(self, task: Task, entry: str, seconds: float) -> None:
        owner = self._owner(task)
        with alone(self.engine, owner) as session:
            if session.get(UsageRow, entry) is None:
                self._check(session, owner, seconds)
                session.add(UsageRow(id=entry, owner=owner, speech_seconds=seconds))

    def _owner(self, task: Task) -> str:
        with transaction(self.engine) as session:
            owner = session.scalar(select(JobRow.owner).where(JobRow.id == task.job_id))
        if owner is None:
            raise Interrupted
        return owner

    def _check(self, session: Session, owner: str, seconds: float) -> None:
        """Raises Reject."""
        limit = over(session.get(AccountRow, owner), self.defaults).day_speech_minutes
        if limit is None:
            return
        used = day_speech_seconds(session, owner)
        if used + seconds > limit * 60:
            raise Reject(_refusal(limit, used, seconds))


def _entry(*of: object) -> str:
    """The id of a booking: the same for the same task, or the same call of it."""
    task, *call = of
    return uuid5(UUID(str(task)), repr(call)).hex


def _refusal(limit: int, used: float, needed: float) -> str:
    told = f"You may have {limit} minutes of audio a day sent to the speech service; {_minutes(used)} are used today, and this needs {_minutes(needed)}."
    if needed > limit * 60:
        return f"{told} That is more than a day has; ask whoever runs this server for more."
    return f"{told} They are free again at midnight UTC; run the job again then."


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}".removesuffix(".0")
