"""Which mails people want, and what became of those of a job."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Engine, delete, select, update

from pipeline.accounts import alone
from pipeline.catalog import AccountRow, JobRow, MailRow, TaskRow, UnsubscribedRow
from pipeline.database import insert_missing, transaction
from pipeline.links import BadLink, Links

Choice = Literal["all", "failures", "none", "digest"]
STANDARD: Choice = "all"

MailState = Literal["waiting", "sent", "refused", "unwanted", "unclear", "failed"]


@dataclass(frozen=True)
class Mail:
    """What became of the mail to one address about the end of a job."""

    address: str
    event: str | None
    state: MailState
    reason: str | None
    """Why it waits, or was not sent."""
    sent_at: datetime | None


@dataclass(frozen=True)
class Mails:
    """What users and those they write to want of one catalog's mails. Every method raises `Unavailable`."""

    engine: Engine

    def choice(self, owner: str) -> Choice:
        with transaction(self.engine) as session:
            chosen = session.scalar(select(AccountRow.mails).where(AccountRow.owner == owner))
            return chosen or STANDARD  # type: ignore[return-value]

    def choose(self, owner: str, choice: Choice | None) -> None:
        """None gives the standard back."""
        with alone(self.engine, owner) as session:
            session.execute(update(AccountRow).where(AccountRow.owner == owner).values(mails=choice))

    def unsubscribed(self, owner: str) -> Sequence[str]:
        """Addresses that want no more mails about this user's jobs, in small letters."""
        of_owner = select(UnsubscribedRow.address).where(UnsubscribedRow.owner == owner)
        with transaction(self.engine) as session:
            return session.scalars(of_owner.order_by(UnsubscribedRow.address)).all()

    def has_unsubscribed(self, owner: str, address: str) -> bool:
        with transaction(self.engine) as session:
            return session.get(UnsubscribedRow, (owner, address.lower())) is not None

    def unsubscribe(self, owner: str, address: str) -> None:
        with transaction(self.engine) as session:
            session.execute(insert_missing(UnsubscribedRow), {"owner": owner, "address": address.lower()})

    def subscribe(self, owner: str, address: str) -> None:
        """Takes an `unsubscribe` back."""
        same = UnsubscribedRow.owner == owner, UnsubscribedRow.address == address.lower()
        with transaction(self.engine) as session:
            session.execute(delete(UnsubscribedRow).where(*same))

    def of_job(self, owner: str, job_id: str) -> Sequence[Mail] | None:
        """In the order in which they were to go out; None if there is no such job."""
        letters = TaskRow.job_id == job_id, TaskRow.kind == "deliver", TaskRow.state != "cancelled"
        found = select(TaskRow, MailRow).outerjoin(MailRow, MailRow.task_id == TaskRow.id).where(*letters)
        with transaction(self.engine) as session:
            if session.scalar(select(JobRow.id).where(JobRow.id == job_id, JobRow.owner == owner)) is None:
                return None
            return [_view(task, mail) for task, mail in session.execute(found.order_by(TaskRow.part))]


def _view(task: TaskRow, mail: MailRow | None) -> Mail:
    state = mail.state if mail and mail.state not in ("new", "sending") else "waiting"
    if state == "waiting" and task.state == "failed":
        state = "failed"
    sent_at = mail.sent_at if mail else None
    return Mail(task.args["address"], task.args.get("event"), state, task.reason, sent_at)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Unsubscribing:
    """Tokens that take one address off one user's mails. They do not end; they are signed by the keys of links, under a salt of their own."""

    links: Links

    def sign(self, owner: str, address: str) -> str:
        """Safe in a URL."""
        return str(self._serializer.dumps([owner, address]))

    def open(self, token: str) -> tuple[str, str]:
        """The owner and the address. Raises BadLink."""
        try:
            owner, address = self._serializer.loads(token)
        except (BadData, ValueError) as error:
            raise BadLink from error
        return owner, address

    @property
    def _serializer(self) -> URLSafeSerializer:
        signing = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(list(self.links.keys), salt="spool.unsubscribe", signer_kwargs=signing)
