"""What happens to task rows: claim, renew, and the five ways an attempt ends. Each is one transaction, fenced by the attempt.

Every method raises `Unavailable` when the catalog is away. Those that make tasks return the messages to publish.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, func, select, update
from sqlalchemy.orm import Session

from pipeline import flow
from pipeline.catalog import JobRow, TaskRow
from pipeline.database import changed, now, transaction
from pipeline.messages import Message
from pipeline.options import KeptOptions
from pipeline.removals import doom
from pipeline.results import keep
from pipeline.reuse import artifact
from pipeline.task_rows import call_off_parts, is_moot, messages, new_task, next_start, queue_again, renew, settle
from pipeline.turns import next_in_turn
from pipeline.work import Result, Task

MAX_LAPSES = 3
"""Attempts that may end without a word (a killed worker, a lost machine) before the task is given up."""
LAPSED = "The work stopped without a word several times; this recording seems to be more than a worker can take."
FIRST_DELAY, LONGEST_DELAY = 1.0, 300.0
"""Seconds: retries back off from the one to the other, doubling, with jitter."""


@dataclass(frozen=True)
class Tasks:
    """The task rows of one catalog. `lease` and `patience` are seconds, see `Settings`."""

    engine: Engine
    lease: float = 30
    patience: float = 86400

    def claim(self, task_id: str, worker: str, kind: str = "") -> Task | None:
        """Takes a queued task under a lease. None if there is none: done, cancelled, deleted or taken.

        Where owners take turns at tasks of the message's `kind`, it is that of whoever's turn it is: each message is good for
        one task, and which one does not matter. A message that comes before its time is as good as one in time: clocks of
        machines differ.
        """
        while turn := self._turn(kind):
            if task := self._claim(turn, worker):  # else somebody was faster
                return task
        return self._claim(task_id, worker)

    def _turn(self, kind: str) -> str | None:
        if kind not in flow.STAGES or not flow.STAGES[kind].shared:
            return None
        with transaction(self.engine) as session:
            return next_in_turn(session, kind)

    def _claim(self, task_id: str, worker: str) -> Task | None:
        with transaction(self.engine) as session:
            row = _locked(session, TaskRow.id == task_id, TaskRow.state == "queued")
            if row is None:
                return None
            if row.kind not in flow.TELLING:  # looks of a letter that waits are no news
                _touch(session, row.job_id)
            row.state, row.worker, row.attempt = "running", worker, row.attempt + 1
            row.started_at, row.lease_until = now(), self._lease_end()
            job = session.get_one(JobRow, row.job_id)
            if job.state == "queued":
                job.state = "running"
            return _view(job, row)

    def renew(self, task: Task, percent: float, speed: float | None = None) -> bool:
        """Lengthens the lease and keeps percent and speed. False if the attempt no longer counts: cancelled, deleted or lapsed.

        A speed that wavers is no news, that there is one at all is.
        """
        with transaction(self.engine) as session:
            seen = session.execute(select(TaskRow.percent, TaskRow.speed.is_(None)).where(*_fence(task))).one_or_none()
            if seen is not None and tuple(seen) != (int(percent), speed is None):
                _touch(session, task.job_id)
            mine = update(TaskRow).where(*_fence(task))
            kept = {"lease_until": self._lease_end(), "percent": int(percent), "speed": speed}
            return changed(session, mine.values(**kept)) == 1

    def finish(self, task: Task, result: Result) -> list[Message]:
        """Commits the artifacts and the tasks that follow, if the attempt still counts; otherwise their blobs are to go."""
        if result.again is not None:
            return [*result.sent, *self._come_back(task, result.again)]
        return [*result.sent, *self._finish(task, result)]

    def _finish(self, task: Task, result: Result) -> list[Message]:
        for following in result.next:
            flow.check(task.kind, following.kind)
        with transaction(self.engine) as session:
            if not _end(session, task, state="done", percent=100):
                doom(session, [made.blob for made in result.artifacts])
                return []
            rows = [new_task(task.job_id, following) for following in keep(session, task, result)]
            session.add_all(rows)
            session.flush()
            return messages(task.trace, [*rows, *settle(session, task.job_id)])

    def _come_back(self, task: Task, seconds: float) -> list[Message]:
        with transaction(self.engine) as session:
            row = _locked(session, *_fence(task))
            if row is None:
                return []
            started, due = row.started_at, now() + timedelta(seconds=seconds)
            if started is not None and row.due_at > started:  # somebody woke it
                due = min(due, next_start(row))
            renew(row)
            row.started_at, row.due_at = started, due
            return messages(task.trace, [row] if due <= now() else [])

    def reject(self, task: Task, reason: str) -> list[Message]:
        """Ends the task for good, and calls off the parts that can be of no use any more; the user reads `reason`."""
        with transaction(self.engine) as session:
            if not _end(session, task, state="failed", reason=reason):
                return []
            call_off_parts(session, task.job_id, task.kind)
            return messages(task.trace, settle(session, task.job_id))

    def retry(self, task: Task, reason: str, delay: float | None = None) -> list[Message]:
        """Queues the task again after `delay` seconds (or the backoff), or ends it with `reason` when patience is over."""
        with transaction(self.engine) as session:
            row = _locked(session, *_fence(task))
            if row is None:
                return []
            _touch(session, row.job_id)
            if row.failing_since and row.failing_since <= _ago(self.patience):
                return messages(task.trace, _give_up(session, row, reason))
            row.failing_since = row.failing_since or now()
            row.failures += 1
            row.reason = reason
            later = now() + timedelta(seconds=backoff(row.failures) if delay is None else delay)
            return messages(task.trace, [other for other in _return(session, row, later) if other is not row])

    def hand_back(self, task: Task) -> list[Message]:
        """Queues the task again at once, for another worker; the attempt is held against nobody."""
        with transaction(self.engine) as session:
            row = _locked(session, *_fence(task))
            if row is None:
                return []
            _touch(session, row.job_id)
            return messages(task.trace, _return(session, row, now()))

    def discard(self, blobs: Iterable[str]) -> None:
        """Notes that blobs which an attempt wrote, and has no use for, are to go."""
        with transaction(self.engine) as session:
            doom(session, blobs)

    def lapse(self) -> list[Message]:
        """Queues every task whose lease has run out, or ends it if that happened too often."""
        lapsed = TaskRow.state == "running", TaskRow.lease_until < now()
        with transaction(self.engine) as session:
            ids = session.scalars(select(TaskRow.id).where(*lapsed).limit(200)).all()
        return [message for task_id in ids for message in self._lapse(TaskRow.id == task_id, *lapsed)]

    def _lapse(self, *lapsed: ColumnElement[bool]) -> list[Message]:
        with transaction(self.engine) as session:
            row = _locked(session, *lapsed)
            if row is None:
                return []
            _touch(session, row.job_id)
            trace = session.get_one(JobRow, row.job_id).trace
            if row.lapses >= MAX_LAPSES:
                return messages(trace, _give_up(session, row, LAPSED))
            row.lapses += 1
            return messages(trace, _return(session, row, now()))

    def unpublished(self, seconds: float) -> list[Message]:
        """Due tasks that have been without a confirmed message for `seconds`."""
        return self._waiting(TaskRow.published_at.is_(None), TaskRow.due_at <= _ago(seconds))

    def stale(self, kind: str, seconds: float) -> list[Message]:
        """Tasks whose message was confirmed `seconds` ago or longer, and which nobody took."""
        return self._waiting(TaskRow.kind == kind, TaskRow.published_at <= _ago(seconds), TaskRow.due_at <= now())

    def published(self, messages: Sequence[Message]) -> None:
        """Notes that the broker has confirmed the messages, unless their tasks have gone on meanwhile."""
        with transaction(self.engine) as session:
            for message in messages:
                same = TaskRow.id == message.task_id, TaskRow.attempt == message.attempt, TaskRow.state == "queued"
                session.execute(update(TaskRow).where(*same).values(published_at=now()))

    def forget_messages(self) -> None:
        """For a broker that has forgotten everything, and workers that are all gone: every open task waits for a message."""
        with transaction(self.engine) as session:
            session.execute(update(TaskRow).where(TaskRow.state == "running").values(lease_until=now()))
            session.execute(update(TaskRow).where(TaskRow.state == "queued").values(published_at=None))

    def _waiting(self, *conditions: ColumnElement[bool]) -> list[Message]:
        waiting = select(TaskRow, JobRow.trace).join(JobRow).where(TaskRow.state == "queued", *conditions)
        with transaction(self.engine) as session:
            found = session.execute(waiting.order_by(TaskRow.due_at).limit(200)).all()
            return [message for row, trace in found for message in messages(trace, [row])]

    def _lease_end(self) -> datetime:
        return now() + timedelta(seconds=self.lease)


def backoff(failures: int) -> float:
    """Seconds before the next attempt: doubling from FIRST_DELAY to LONGEST_DELAY, the last half of it random."""
    full = min(FIRST_DELAY * 2.0 ** min(failures - 1, 30), LONGEST_DELAY)
    return full * random.uniform(0.5, 1.0)  # noqa: S311


def _view(job: JobRow, row: TaskRow) -> Task:
    return Task(
        id=row.id,
        job_id=job.id,
        kind=row.kind,
        part=row.part,
        attempt=row.attempt,
        title=job.title,
        args=row.args,
        options=KeptOptions.model_validate(job.options),
        job_state=job.state,
        job_reason=job.reason,
        artifacts=[artifact(found) for found in job.artifacts],
        trace=job.trace,
        failures=row.failures,
        failing_since=row.failing_since,
        owner=job.owner,
        job_kind=job.kind,
        seconds=job.seconds,
        connection_id=job.connection_id,
        calls=row.calls - row.calls_before,
    )


def _fence(task: Task) -> tuple[ColumnElement[bool], ...]:
    return TaskRow.id == task.id, TaskRow.attempt == task.attempt, TaskRow.state == "running"


def _end(session: Session, task: Task, **values: object) -> bool:
    """The job is locked first: the last two parts of a job, ending at the same moment, must see each other."""
    _lock(session, task.job_id)
    mine = update(TaskRow).where(*_fence(task))
    ended = changed(session, mine.values(finished_at=now(), lease_until=None, speed=None, **values)) == 1
    if ended:
        _touch(session, task.job_id)
    return ended


def _locked(session: Session, *conditions: ColumnElement[bool]) -> TaskRow | None:
    """The one task that meets the conditions: locked after its job, in the order that everybody keeps to."""
    job_id = session.scalar(select(TaskRow.job_id).where(*conditions))
    if job_id is None:
        return None
    _lock(session, job_id)
    return session.scalar(select(TaskRow).where(*conditions).with_for_update())


def _lock(session: Session, job_id: str) -> None:
    session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())


def _touch(session: Session, job_id: str) -> None:
    """Notes that there is something new to see."""
    session.execute(update(JobRow).where(JobRow.id == job_id).values(changed_at=now()))


def _return(session: Session, row: TaskRow, due: datetime) -> list[TaskRow]:
    """Puts a running task back into the queue, or calls it off if it is a part of what has failed; gives what goes on from there."""
    queue_again(row, due)
    session.flush()
    if not is_moot(session, row):
        return [row]
    call_off_parts(session, row.job_id, row.kind)
    return settle(session, row.job_id)


def _give_up(session: Session, row: TaskRow, reason: str) -> list[TaskRow]:
    row.state, row.reason, row.finished_at, row.lease_until, row.speed = "failed", reason, now(), None, None
    session.flush()
    call_off_parts(session, row.job_id, row.kind)
    return settle(session, row.job_id)


def _ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)


def count_waiting(engine: Engine, kind: str) -> int:
    """Tasks of a kind that wait with a confirmed message."""
    waiting = select(func.count()).where(
        TaskRow.state == "queued", TaskRow.kind == kind, TaskRow.published_at.is_not(None)
    )
    with transaction(engine) as session:
        return session.scalar(waiting) or 0
