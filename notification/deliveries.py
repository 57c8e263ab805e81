"""The record of what webhooks are sent, and of every attempt at it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from pipeline.catalog import DeliveryRow, TaskRow, WebhookRow
from pipeline.database import now, transaction
from pipeline.errors import Interrupted
from pipeline.webhooks import delivery_id
from pipeline.work import Task

State = Literal["new", "sent", "failed"]


@dataclass(frozen=True)
class Delivery:
    """A message as this attempt knows it, and where it goes."""

    id: str
    state: State
    payload: str
    attempts: int
    """Before this one, since it was to be sent, or to be sent once more."""
    webhook_id: str
    url: str
    secrets: str
    """Sealed, see `pipeline.webhook_secrets`."""
    is_enabled: bool


@dataclass(frozen=True)
class Deliveries:
    """Every method raises `Unavailable`."""

    engine: Engine

    def begin(self, task: Task, write: Callable[[datetime], str]) -> Delivery | None:
        """The task's message, which `write` makes once, given when what it tells happened. None if it or its webhook is gone.

        Raises Interrupted if its job is gone.
        """
        if "webhook" in task.args:
            self._record(task, write)
        found = select(DeliveryRow, WebhookRow).join(WebhookRow).where(DeliveryRow.id == _id(task))
        with transaction(self.engine) as session:
            rows = session.execute(found).one_or_none()
        if rows is None:
            return None
        row, webhook = rows
        enabled = webhook.state == "active"
        return Delivery(
            row.id,
            row.state,  # type: ignore[arg-type]
            row.payload,
            row.attempts - task.args.get("attempts", 0),
            webhook.id,
            webhook.url,
            webhook.secrets,
            enabled,
        )

    def _record(self, task: Task, write: Callable[[datetime], str]) -> None:
        with suppress(IntegrityError), transaction(self.engine) as session:  # it is there, or its webhook is not
            happened = session.scalar(select(TaskRow.created_at).where(TaskRow.id == task.id))
            if happened is None:
                raise Interrupted
            if session.get(DeliveryRow, _id(task)) is None:
                session.add(
                    DeliveryRow(
                        id=_id(task),
                        webhook_id=task.args["webhook"],
                        job_id=task.job_id,
                        event=task.args["event"],
                        payload=write(happened),
                    )
                )

    def delivered(self, delivery: Delivery, status: int) -> None:
        mine = update(DeliveryRow).where(DeliveryRow.id == delivery.id)
        tried = {"attempts": DeliveryRow.attempts + 1, "status": status, "reason": None}
        with transaction(self.engine) as session:
            session.execute(mine.values(state="sent", sent_at=now(), **tried))

    def missed(self, delivery: Delivery, status: int | None, reason: str, *, final: bool) -> None:
        """An attempt did not work out; `final`, there will be no other. What another worker has delivered stays so."""
        tried = {"attempts": DeliveryRow.attempts + 1, "status": status, "reason": reason}
        self._note(delivery, state="failed" if final else "new", **tried)

    def put_off(self, delivery: Delivery, reason: str) -> None:
        """Without an attempt."""
        self._note(delivery, reason=reason)

    def give_up(self, delivery: Delivery, reason: str) -> None:
        """Without an attempt."""
        self._note(delivery, state="failed", reason=reason)

    def disable(self, delivery: Delivery, reason: str) -> None:
        """The webhook is called no more, until its owner says otherwise."""
        mine = update(WebhookRow).where(WebhookRow.id == delivery.webhook_id, WebhookRow.url == delivery.url)
        with transaction(self.engine) as session:
            session.execute(mine.values(state="disabled", reason=reason))

    def _note(self, delivery: Delivery, **values: Any) -> None:
        mine = update(DeliveryRow).where(DeliveryRow.id == delivery.id, DeliveryRow.state != "sent")
        with transaction(self.engine) as session:
            session.execute(mine.values(**values))


def _id(task: Task) -> str:
    return delivery_id(task.id, task.args)
