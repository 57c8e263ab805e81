"""What each user may use, what they have used, and how long what is theirs is kept."""

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, or_, select
from sqlalchemy.orm import Session

from pipeline.catalog import ENDED, AccountRow, ArtifactRow, JobRow, UploadRow, UsageRow
from pipeline.database import now, transaction
from pipeline.settings import Settings

UNLIMITED = 2**63 - 1
"""Bytes; what nobody has."""


@dataclass(frozen=True)
class Limits:
    """None is no limit, and for ever. Days and months are those of UTC."""

    stored_bytes: int | None = None
    day_bytes: int | None = None
    jobs: int | None = None
    month_minutes: int | None = None
    keep_original_days: int | None = None
    keep_result_days: int | None = None


@dataclass(frozen=True)
class Use:
    stored_bytes: int
    """Counted once, however many jobs share them."""
    day_bytes: int
    jobs: int
    """Unfinished."""
    month_minutes: int


class QuotaExceeded(Exception):
    """`quota` names the field of `Limits`; `seconds` until waiting helps, None where only deleting does."""

    def __init__(self, quota: str, limit: int, used: int, asked: int, seconds: int | None = None) -> None:
        super().__init__(quota)
        self.quota, self.limit, self.used, self.asked, self.seconds = quota, limit, used, asked, seconds


def defaults(settings: Settings) -> Limits:
    return Limits(
        settings.quota_stored_bytes,
        settings.quota_day_bytes,
        settings.quota_jobs,
        settings.quota_month_minutes,
        settings.keep_original_days,
        settings.keep_result_days,
    )


@dataclass(frozen=True)
class Accounts:
    """The users' accounts in one catalog; `defaults` hold where an account says nothing. Every method raises `Unavailable`."""

    engine: Engine
    defaults: Limits = Limits()

    def limits(self, owner: str) -> Limits:
        with transaction(self.engine) as session:
            return _over(session.get(AccountRow, owner), self.defaults)

    def change(self, owner: str, **limits: int | None) -> Limits:
        """Sets fields of `Limits` for one user; None gives the default back."""
        with transaction(self.engine) as session:
            row = session.merge(AccountRow(owner=owner, **limits))
            return _over(row, self.defaults)

    def use(self, owner: str) -> Use:
        with transaction(self.engine) as session:
            return Use(
                _stored_bytes(session, owner),
                _day_bytes(session, owner),
                _open_jobs(session, owner),
                _month_minutes(session, owner),
            )

    def admit(self, owner: str, asked: int) -> int:
        """How many bytes one more upload may have, of which `asked` are announced. Raises QuotaExceeded."""
        with transaction(self.engine) as session:
            limits, moment, room = _over(session.get(AccountRow, owner), self.defaults), now(), [UNLIMITED]
            if limits.stored_bytes is not None:
                room.append(_room("stored_bytes", limits.stored_bytes, _stored_bytes(session, owner), asked))
            if limits.day_bytes is not None:
                used = _day_bytes(session, owner)
                room.append(_room("day_bytes", limits.day_bytes, used, asked, _until(_tomorrow(moment))))
            if limits.jobs is not None:
                _room("jobs", limits.jobs, _open_jobs(session, owner), 1, 60)
            if limits.month_minutes is not None:
                used = _month_minutes(session, owner)
                _room("month_minutes", limits.month_minutes, used, 1, _until(_next_month(moment)))
            return min(room)


def _over(row: AccountRow | None, fallback: Limits) -> Limits:
    own = {field.name: getattr(row, field.name) for field in fields(Limits)} if row else {}
    return replace(fallback, **{name: value for name, value in own.items() if value is not None})


def _room(quota: str, limit: int, used: int, asked: int, seconds: int | None = None) -> int:
    if used + max(asked, 1) > limit:
        raise QuotaExceeded(quota, limit, used, asked, seconds)
    return limit - used


def _stored_bytes(session: Session, owner: str) -> int:
    mine = select(ArtifactRow.blob, ArtifactRow.bytes).join(JobRow).where(JobRow.owner == owner).distinct().subquery()
    return int(session.scalar(select(func.sum(mine.c.bytes))) or 0) + _coming_bytes(session, owner)


def _day_bytes(session: Session, owner: str) -> int:
    today = UsageRow.owner == owner, UsageRow.at >= _day(now())
    return int(session.scalar(select(func.sum(UsageRow.bytes)).where(*today)) or 0) + _coming_bytes(session, owner)


def _coming_bytes(session: Session, owner: str) -> int:
    """Of unfinished uploads, all that they announced; what others join is counted once, with these."""
    open_still = UploadRow.owner == owner, UploadRow.job_id.is_(None), UploadRow.expires_at > now()
    parts_or_alone = or_(UploadRow.concat.is_(None), UploadRow.concat == "partial")
    announced = func.sum(func.coalesce(UploadRow.length, UploadRow.offset))
    return int(session.scalar(select(announced).where(*open_still, parts_or_alone)) or 0)


def _open_jobs(session: Session, owner: str) -> int:
    mine = JobRow.owner == owner, JobRow.state.not_in(ENDED)
    return session.scalar(select(func.count()).select_from(JobRow).where(*mine)) or 0


def _month_minutes(session: Session, owner: str) -> int:
    this_month = UsageRow.owner == owner, UsageRow.at >= _day(now()).replace(day=1)
    return int((session.scalar(select(func.sum(UsageRow.seconds)).where(*this_month)) or 0) / 60)


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _tomorrow(moment: datetime) -> datetime:
    return _day(moment) + timedelta(days=1)


def _next_month(moment: datetime) -> datetime:
    return (_day(moment).replace(day=1) + timedelta(days=32)).replace(day=1)


def _until(moment: datetime) -> int:
    return int((moment - now()).total_seconds()) + 1
