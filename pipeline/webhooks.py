"""Webhooks as their owners see and steer them, and what was sent to them. Every question carries the owner."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import JSON, Engine, Select, delete, func, or_, select, tuple_, type_coerce
from sqlalchemy.orm import Session

from pipeline.accounts import alone
from pipeline.catalog import ENDED, ConnectionRow, DeliveryRow, JobRow, TaskRow, WebhookRow
from pipeline.cursors import make_cursor, read_cursor
from pipeline.database import changed, now, transaction
from pipeline.jobs import Settled
from pipeline.messages import Message
from pipeline.task_rows import messages, new_task
from pipeline.telling import next_number
from pipeline.vault import Unopened, Vault
from pipeline.webhook_secrets import fresh, rotated, signing
from pipeline.work import NextTask

MOST, MOST_NAMED = 10, 100
"""Webhooks that one user may have: made by themselves, and named by jobs."""
DELIVERY_DAYS = 30
"""For how long it is known what was sent, and a webhook is kept that jobs have named and none names any more."""
CALLED_OFF = "It was called off before it was delivered."
NAMED = "Jobs name this webhook by its address; neither that nor its events can be changed."
UNDER_WAY = "This delivery has not ended yet."
DISABLED = "The webhook is disabled."
NAMED_DISABLED = "The webhook of this address is disabled; enable it at /v1/webhooks, or name another."


class TooMany(Exception):
    """The owner has as many webhooks as may be."""


@dataclass(frozen=True)
class Webhook:
    """As its owner knows it; columns of `WebhookRow`."""

    id: str
    url: str
    events: Sequence[str]
    by_job: bool
    state: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True)
class Delivery:
    """As the owner of its webhook knows it; columns of `DeliveryRow`."""

    id: str
    job_id: str
    event: str
    state: str
    attempts: int
    status: int | None
    reason: str | None
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True)
class Webhooks:
    """The webhooks of one catalog. Every method raises `Unavailable`; None and False mean that the owner has no such thing."""

    engine: Engine
    vault: Vault

    def create(self, owner: str, url: str, events: Sequence[str] = ()) -> tuple[Webhook, str]:
        """With its secret. Raises TooMany."""
        with alone(self.engine, owner) as session:
            row = self._add(session, owner, url, events, by_job=False)
            return _view(row), self._newest(row)

    def name(self, owner: str, url: str) -> None:
        """Sees to it that jobs which name `url` find a webhook there. Raises TooMany, and Settled where it is disabled."""
        with transaction(self.engine) as session:
            if _named_again(session, owner, url):
                return
        with alone(self.engine, owner) as session:
            if not _named_again(session, owner, url):
                self._add(session, owner, url, (), by_job=True)

    def list(self, owner: str) -> Sequence[Webhook]:
        """Oldest first."""
        mine = select(WebhookRow).where(WebhookRow.owner == owner)
        with transaction(self.engine) as session:
            found = session.scalars(mine.order_by(WebhookRow.created_at, WebhookRow.id))
            return [_view(row) for row in found]

    def get(self, owner: str, webhook_id: str) -> Webhook | None:
        with transaction(self.engine) as session:
            row = _mine(session, owner, webhook_id)
            return _view(row) if row else None

    def change(
        self,
        owner: str,
        webhook_id: str,
        url: str | None = None,
        events: Sequence[str] | None = None,
        state: str | None = None,
    ) -> Webhook | None:
        """What is None stays. Raises Settled for what cannot be changed."""
        with transaction(self.engine) as session:
            row = _mine(session, owner, webhook_id, lock=True)
            if row is None:
                return None
            if row.by_job and (url is not None or events is not None):
                raise Settled(NAMED)
            row.url = row.url if url is None else url
            row.events = row.events if events is None else list(events)
            if state is not None:
                row.state, row.reason = state, None
            return _view(row)

    def delete(self, owner: str, webhook_id: str) -> bool:
        """With its deliveries."""
        mine = WebhookRow.id == webhook_id, WebhookRow.owner == owner
        with transaction(self.engine) as session:
            return changed(session, delete(WebhookRow).where(*mine)) == 1

    def secret(self, owner: str, webhook_id: str) -> str | None:
        """The newest. Raises Unopened."""
        with transaction(self.engine) as session:
            row = _mine(session, owner, webhook_id)
            return self._newest(row) if row else None

    def rotate(self, owner: str, webhook_id: str) -> str | None:
        """A new secret; those there were sign too for a while, unless the keys that they were sealed with have gone."""
        with transaction(self.engine) as session:
            row = _mine(session, owner, webhook_id, lock=True)
            if row is None:
                return None
            try:
                row.secrets = rotated(self.vault, row.secrets)
            except Unopened:
                row.secrets = fresh(self.vault)
            return self._newest(row)

    def deliveries(
        self, owner: str, webhook_id: str, cursor: str | None = None, limit: int = 50
    ) -> tuple[Sequence[Delivery], str | None] | None:
        """Newest first, with the cursor of the next page. Raises BadCursor."""
        wanted = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id)
        wanted = wanted.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc()).limit(limit + 1)
        if cursor:
            moment, (last,) = read_cursor(cursor, 1)
            wanted = wanted.where(tuple_(DeliveryRow.created_at, DeliveryRow.id) < tuple_(moment, last))
        with transaction(self.engine) as session:
            if _mine(session, owner, webhook_id) is None:
                return None
            rows = session.scalars(wanted).all()
            open_still = _under_way(session, rows)
            page = [_delivery(row, open_still) for row in rows[:limit]]
        return page, make_cursor(page[-1].created_at, page[-1].id) if len(rows) > limit else None

    def resend(self, owner: str, webhook_id: str, delivery_id: str) -> tuple[Delivery, Sequence[Message]] | None:
        """Queues the same message once more, under the same id. Raises Settled while it is under way, or its webhook disabled."""
        with transaction(self.engine) as session:
            webhook, row = _mine(session, owner, webhook_id), session.get(DeliveryRow, delivery_id)
            if webhook is None or row is None or row.webhook_id != webhook_id:
                return None
            job = session.scalar(select(JobRow).where(JobRow.id == row.job_id).with_for_update())
            if job is None:
                return None
            if webhook.state != "active":
                raise Settled(DISABLED)
            if _under_way(session, [row]):
                raise Settled(UNDER_WAY)
            row.state = "new"
            number = next_number(session, job.id, "webhook")
            task = new_task(job.id, NextTask("webhook", number, {"delivery": delivery_id, "attempts": row.attempts}))
            session.add(task)
            session.flush()
            return _delivery(row, {row.id}), messages(job.trace, [task])

    def _add(self, session: Session, owner: str, url: str, events: Sequence[str], *, by_job: bool) -> WebhookRow:
        there = select(func.count()).where(WebhookRow.owner == owner, WebhookRow.by_job.is_(by_job))
        if (session.scalar(there) or 0) >= (MOST_NAMED if by_job else MOST):
            raise TooMany
        row = WebhookRow(
            id=uuid4().hex,
            owner=owner,
            url=url,
            events=list(events),
            by_job=by_job,
            named_at=now() if by_job else None,
            secrets=fresh(self.vault),
        )
        session.add(row)
        session.flush()
        return row

    def _newest(self, row: WebhookRow) -> str:
        return signing(self.vault, row.secrets)[0]


def expire_named(engine: Engine, batch: int) -> int:
    """Deletes up to `batch` webhooks that jobs named and nothing names any more, and returns how many. Raises `Unavailable`.

    A job that ended long ago may run again; whoever has it do so names its webhook once more.
    """
    long_ago = now() - timedelta(days=DELIVERY_DAYS)
    named = WebhookRow.by_job, WebhookRow.named_at < long_ago
    by_jobs = _naming(JobRow).where(or_(JobRow.finished_at.is_(None), JobRow.finished_at >= long_ago))
    told = select(DeliveryRow.id).where(DeliveryRow.webhook_id == WebhookRow.id)
    in_use = by_jobs.exists() | _naming(ConnectionRow).exists() | told.exists()
    with transaction(engine) as session:
        due = session.scalars(select(WebhookRow.id).where(*named, ~in_use).limit(batch)).all()
        # One that has been named since then is left.
        return changed(session, delete(WebhookRow).where(WebhookRow.id.in_(due), *named))


def _naming(table: type[JobRow | ConnectionRow]) -> Select[str]:
    """Of the same owner as a webhook, those which name its address."""
    address = type_coerce(table.options, JSON)["webhook"].as_string()
    return select(table.id).where(table.owner == WebhookRow.owner, address == WebhookRow.url)


def _named_again(session: Session, owner: str, url: str) -> bool:
    """Notes that a job names the webhook; False if there is none yet. Raises Settled where it is disabled."""
    named = select(WebhookRow).where(WebhookRow.owner == owner, WebhookRow.by_job, WebhookRow.url == url)
    row = session.scalar(named.limit(1).with_for_update())
    if row is None:
        return False
    if row.state != "active":
        raise Settled(NAMED_DISABLED)
    row.named_at = now()
    return True


def delivery_id(task_id: str, args: Mapping[str, Any]) -> str:
    """Of the message that a task of kind `webhook` delivers: one by itself, or one that is sent again."""
    return args.get("delivery") or f"msg_{task_id}"


def _mine(session: Session, owner: str, webhook_id: str, *, lock: bool = False) -> WebhookRow | None:
    mine = select(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.owner == owner)
    return session.scalar(mine.with_for_update() if lock else mine)


def _under_way(session: Session, rows: Sequence[DeliveryRow]) -> Collection[str]:
    """Ids of those which a task is still to deliver."""
    jobs = {row.job_id for row in rows}
    ahead = TaskRow.job_id.in_(jobs), TaskRow.kind == "webhook", TaskRow.state.not_in(ENDED)
    found = session.execute(select(TaskRow.id, TaskRow.args).where(*ahead))
    return {delivery_id(task_id, args) for task_id, args in found}


def _view(row: WebhookRow) -> Webhook:
    return Webhook(row.id, row.url, row.events, row.by_job, row.state, row.reason, row.created_at)


def _delivery(row: DeliveryRow, under_way: Collection[str]) -> Delivery:
    """One that nobody is to deliver any more has failed: its job was run again, or patience was over."""
    dropped = row.state == "new" and row.id not in under_way
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        event=row.event,
        state="failed" if dropped else row.state,
        attempts=row.attempts,
        status=row.status,
        reason=(row.reason or CALLED_OFF) if dropped else row.reason,
        created_at=row.created_at,
        sent_at=row.sent_at,
    )
