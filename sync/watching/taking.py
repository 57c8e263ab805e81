"""Files that were found become jobs, in whoever's transaction it is."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import PurePosixPath

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline import telemetry
from pipeline.accounts import Limits, over, use
from pipeline.catalog import AccountRow, ArtifactRow, JobRow, RemoteFileRow
from pipeline.connection_rows import Connection
from pipeline.database import now
from pipeline.flow import FIRST
from pipeline.jobs import NewJob, add_job, call_off
from pipeline.messages import Message
from pipeline.names import media_type, safe_name
from pipeline.options import KeptOptions
from pipeline.reuse import artifact
from pipeline.work import Artifact, NextTask
from sync.watching.allowance import Allowance


@dataclass(frozen=True)
class Rules:
    """`settle`: seconds for which a file must not have changed before it is whole. `sweep`: seconds between two looks.
    `largest`: bytes that a recording may have. `limits` hold where an account says nothing."""

    settle: float
    sweep: float
    largest: int
    limits: Limits = field(default_factory=Limits)


@dataclass
class Taking:
    """Takes files of one connection. `free` as in `Allowance`."""

    session: Session
    connection: Connection
    rules: Rules
    free: int | None
    sent: list[Message] = field(default_factory=list)
    """Of the jobs that were made."""

    def begin(self, file: RemoteFileRow, refusal: str | None) -> None:
        """With a content or a name that is new: it is left alone, or becomes a job once it has not changed for a while."""
        self._call_off_fetch(file)
        file.job_id, file.reason, file.due_at = None, refusal, None
        file.state = "ignored" if refusal else "settling"
        if refusal is None:
            moment = now()
            file.due_at = min(file.modified_at, moment) + timedelta(seconds=self.rules.settle)  # clocks differ
            self.take_if_due(file, moment)

    def take_if_due(self, file: RemoteFileRow, moment: datetime) -> None:
        """Makes a job of a file that has settled, if there is room for it."""
        if file.due_at is None or file.due_at > moment:
            return
        if full := self._allowance.take(file.size, self.connection.mails):
            file.state, file.reason, file.due_at = "waiting", full.reason, self._later(moment)
        else:
            self._take(file)

    def take_due(self, moment: datetime, most: int) -> bool:
        """Makes jobs of at most so many files that are due by `moment`; False if there were none.

        Where there is no room for one, all others for which there is none either wait with it.
        """
        due = RemoteFileRow.connection_id == self.connection.id, RemoteFileRow.due_at <= moment
        first = select(RemoteFileRow).where(*due).order_by(RemoteFileRow.due_at, RemoteFileRow.id).limit(most)
        files = self.session.scalars(first).all()
        for file in files:
            if file.due_at is None or file.due_at > moment:
                continue  # put off with one before it
            if full := self._allowance.take(file.size, self.connection.mails):
                waiting = {"state": "waiting", "reason": full.reason, "due_at": self._later(moment)}
                self.session.execute(
                    update(RemoteFileRow).where(*due, RemoteFileRow.size >= full.least).values(waiting)
                )
            else:
                self._take(file)
        return bool(files)

    def _take(self, file: RemoteFileRow) -> None:
        job, sent = add_job(self.session, self._job(file))
        self.sent += sent
        file.state, file.reason, file.due_at, file.job_id = "taken", None, None, job.id

    def _later(self, moment: datetime) -> datetime:
        return moment + timedelta(seconds=self.rules.sweep)

    def _job(self, file: RemoteFileRow) -> NewJob:
        name = safe_name(PurePosixPath(file.path).name)
        original = self._original(file, name)
        return NewJob(
            self.connection.owner,
            self._options.title or name,
            original,
            first=NextTask(FIRST) if original else NextTask("fetch", args=self._fetch(file, name)),
            options=self._options,
            trace=telemetry.traceparent(),
            mails=self.connection.mails,
            connection_id=self.connection.id,
        )

    def _fetch(self, file: RemoteFileRow, name: str) -> dict[str, str | int]:
        found: dict[str, str | int] = {field: getattr(file, field) for field in ("rev", "size", "content_hash")}
        return {"connection": file.connection_id, "file": file.id, "name": name, "limit": self.rules.largest, **found}

    def _original(self, file: RemoteFileRow, name: str) -> Artifact | None:
        """These bytes, if they were fetched for another file and are still there; its job is locked, so that they stay."""
        same = RemoteFileRow.connection_id == file.connection_id, RemoteFileRow.content_hash == file.content_hash
        originals = JobRow.artifacts.any(ArtifactRow.kind == "original")
        jobs = select(JobRow.id).join(RemoteFileRow, RemoteFileRow.job_id == JobRow.id).where(*same, originals)
        holder = self.session.scalar(jobs.order_by(JobRow.id).limit(1))
        if holder is None or self.session.get(JobRow, holder, with_for_update=True) is None:
            return None
        kept = select(ArtifactRow).where(ArtifactRow.job_id == holder, ArtifactRow.kind == "original")
        row = self.session.scalar(kept.limit(1))
        return replace(artifact(row), name=name, type=media_type(name)) if row else None

    def _call_off_fetch(self, file: RemoteFileRow) -> None:
        """Nobody needs an older content that is still to be fetched."""
        job = self.session.get(JobRow, file.job_id, with_for_update=True) if file.job_id else None
        if job and job.sha256 is None:
            call_off(self.session, job)

    @cached_property
    def _allowance(self) -> Allowance:
        limits = over(self._account, self.rules.limits)
        return Allowance(limits, use(self.session, self.connection.owner), self.free)

    @cached_property
    def _options(self) -> KeptOptions:
        """With the owner's terms as they are now; the owner is told, if nobody else is named."""
        terms = (self._account.glossary if self._account else None) or ()
        wanted, email = self.connection.options, self.connection.email
        notify = wanted.notify if wanted.notify is not None or email is None else (email,)
        return wanted.model_copy(update={"account_glossary": tuple(terms), "notify": notify})

    @cached_property
    def _account(self) -> AccountRow | None:
        return self.session.get(AccountRow, self.connection.owner)
