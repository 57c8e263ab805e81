"""What each user may use, what they have used, and how long what is theirs is kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import ColumnElement, Engine, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pipeline.catalog import ENDED, AccountRow, ArtifactRow, JobRow, RemoteFileRow, ReservationRow, UploadRow, UsageRow
from pipeline.database import insert_missing, now, transaction
from pipeline.errors import Unavailable
from pipeline.settings import Settings

RESERVED = timedelta(hours=1)
"""How long an upload's bytes count if its gateway dies."""
PARTIAL = "partial"
"""`UploadRow.concat` of what becomes no job by itself."""
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
    day_mails: int | None = None
    """To others than the user."""
    day_speech_minutes: int | None = None
    """Of audio for a speech service, see `pipeline.ledger`."""

    @property
    def bounded(self) -> bool:
        """Whether uploads that come at the same time must know of each other."""
        return (self.stored_bytes, self.day_bytes, self.jobs) != (None, None, None)


@dataclass(frozen=True)
class Use:
    stored_bytes: int
    """Counted once, however many jobs share them."""
    day_bytes: int
    jobs: int
    """Unfinished, or on their way."""
    month_minutes: int
    day_mails: int
    day_speech_minutes: int


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
        settings.quota_day_mails,
        settings.quota_day_speech_minutes,
    )


@dataclass(frozen=True)
class Accounts:
    """The users' accounts in one catalog; `defaults` hold where an account says nothing. Every method raises `Unavailable`."""

    engine: Engine
    defaults: Limits = Limits()

    def limits(self, owner: str) -> Limits:
        with transaction(self.engine) as session:
            return over(session.get(AccountRow, owner), self.defaults)

    def change(self, owner: str, **limits: int | None) -> Limits:
        """Sets fields of `Limits` for one user; None gives the default back."""
        with transaction(self.engine) as session:
            row = session.merge(AccountRow(owner=owner, **limits))
            return over(row, self.defaults)

    def use(self, owner: str) -> Use:
        with transaction(self.engine) as session:
            return use(session, owner)

    def glossary(self, owner: str) -> Sequence[str]:
        """Names and terms that occur in the user's recordings."""
        with transaction(self.engine) as session:
            row = session.get(AccountRow, owner)
            return tuple(row.glossary or ()) if row else ()

    def set_glossary(self, owner: str, terms: Sequence[str]) -> None:
        with transaction(self.engine) as session:
            session.execute(_NEW_ACCOUNT, {"owner": owner})
            session.execute(update(AccountRow).where(AccountRow.owner == owner).values(glossary=list(terms)))

    def admit(self, owner: str, asked: int) -> int:
        """How many bytes one more upload may have, of which `asked` are announced. Raises QuotaExceeded."""
        with transaction(self.engine) as session:
            return _room(session, owner, self._limits(session, owner), asked)

    def more(self, owner: str, asked: int) -> int:
        """As `admit`, for an upload that has begun and counts already."""
        with transaction(self.engine) as session:
            return _more(session, owner, self._limits(session, owner), asked)

    @contextmanager
    def admitted(self, owner: str, asked: int | None, most: int) -> Iterator[int]:
        """As `admit`, and the bytes count while the block lasts: of uploads that come at the same time, each finds the others.

        Of one that does not say how long it is, all that there is room for, `most` at most.
        """
        if not self.limits(owner).bounded:
            yield self.admit(owner, asked or 0)
            return
        reservation, room = self._reserve(owner, asked, most)
        try:
            yield room
        finally:
            self._release(reservation)

    def admit_mails(self, owner: str, count: int) -> None:
        """Answers if mails may go to so many others. Raises QuotaExceeded."""
        with transaction(self.engine) as session:
            limit = self._limits(session, owner).day_mails
            if count and limit is not None:
                _fits("day_mails", limit, _day_mails(session, owner), count, _until(_tomorrow(now())))

    def _limits(self, session: Session, owner: str) -> Limits:
        return over(session.get(AccountRow, owner), self.defaults)

    def _reserve(self, owner: str, asked: int | None, most: int) -> tuple[str, int]:
        with alone(self.engine, owner) as session:
            _forget_reservations(session, owner)
            room = _room(session, owner, self._limits(session, owner), asked or 0)
            size = min(room, most) if asked is None else asked
            row = ReservationRow(id=uuid4().hex, owner=owner, bytes=size, until=now() + RESERVED)
            session.add(row)
            return row.id, room

    def _release(self, reservation: str) -> None:
        with suppress(Unavailable), transaction(self.engine) as session:  # then it runs out
            session.execute(delete(ReservationRow).where(ReservationRow.id == reservation))


_NEW_ACCOUNT = insert_missing(AccountRow)


@contextmanager
def alone(engine: Engine, owner: str) -> Iterator[Session]:
    """A transaction in which nobody else asks for this user."""
    with transaction(engine) as session:
        session.execute(_NEW_ACCOUNT, {"owner": owner})  # by itself: who shares its lock could not have it alone
    with transaction(engine) as session:
        session.execute(select(AccountRow.owner).where(AccountRow.owner == owner).with_for_update())
        yield session


def use(session: Session, owner: str) -> Use:
    """As `Accounts.use`, in whoever's transaction it is."""
    return Use(
        _stored_bytes(session, owner),
        _day_bytes(session, owner),
        _open_jobs(session, owner),
        _month_minutes(session, owner),
        _day_mails(session, owner),
        int(day_speech_seconds(session, owner) / 60),
    )


def _forget_reservations(session: Session, owner: str) -> None:
    """Of uploads whose gateway died."""
    run_out = ReservationRow.owner == owner, ReservationRow.until < now()
    session.execute(delete(ReservationRow).where(*run_out))


def _room(session: Session, owner: str, limits: Limits, asked: int) -> int:
    """Bytes that a new upload may have. Raises QuotaExceeded."""
    if limits.jobs is not None:
        _fits("jobs", limits.jobs, _open_jobs(session, owner), 1, 60)
    if limits.month_minutes is not None:
        used = _month_minutes(session, owner)
        _fits("month_minutes", limits.month_minutes, used, 1, _until(_next_month(now())))
    return _more(session, owner, limits, asked)


def _more(session: Session, owner: str, limits: Limits, asked: int) -> int:
    """Bytes. Raises QuotaExceeded."""
    room = [UNLIMITED]
    if limits.stored_bytes is not None:
        room.append(_fits("stored_bytes", limits.stored_bytes, _stored_bytes(session, owner), asked))
    if limits.day_bytes is not None:
        used = _day_bytes(session, owner)
        room.append(_fits("day_bytes", limits.day_bytes, used, asked, _until(_tomorrow(now()))))
    return min(room)


def over(row: AccountRow | None, fallback: Limits) -> Limits:
    """What an account says, and where it says nothing the fallback."""
    own = {field.name: getattr(row, field.name) for field in fields(Limits)} if row else {}
    return replace(fallback, **{name: value for name, value in own.items() if value is not None})


def _fits(quota: str, limit: int, used: int, asked: int, seconds: int | None = None) -> int:
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
    """Of unfinished uploads, all that they announced; what others join is counted once, with these. And of files that were found
    in a connected account, those that are still to be fetched."""
    parts_or_alone = or_(UploadRow.concat.is_(None), UploadRow.concat == PARTIAL)
    announced = func.sum(func.coalesce(UploadRow.length, UploadRow.offset))
    resumable = session.scalar(select(announced).where(*_unfinished(owner), parts_or_alone))
    reserved = session.scalar(select(func.sum(ReservationRow.bytes)).where(*_reserving(owner)))
    on_the_way = JobRow.owner == owner, JobRow.sha256.is_(None), JobRow.state.not_in(ENDED)
    found = session.scalar(select(func.sum(RemoteFileRow.size)).join(JobRow).where(*on_the_way))
    return int(resumable or 0) + int(reserved or 0) + int(found or 0)


def _open_jobs(session: Session, owner: str) -> int:
    """With the uploads that are going to be jobs."""
    mine = select(func.count()).where(JobRow.owner == owner, JobRow.kind == "recording", JobRow.state.not_in(ENDED))
    alone = or_(UploadRow.concat.is_(None), UploadRow.concat != PARTIAL)
    resumable = select(func.count()).where(*_unfinished(owner), alone)
    reserved = select(func.count()).where(*_reserving(owner))
    return sum(session.scalar(counted) or 0 for counted in (mine, resumable, reserved))


def _unfinished(owner: str) -> tuple[ColumnElement[bool], ...]:
    return UploadRow.owner == owner, UploadRow.job_id.is_(None), UploadRow.expires_at > now()


def _reserving(owner: str) -> tuple[ColumnElement[bool], ...]:
    return ReservationRow.owner == owner, ReservationRow.until > now()


def _day_mails(session: Session, owner: str) -> int:
    today = UsageRow.owner == owner, UsageRow.at >= _day(now())
    return int(session.scalar(select(func.sum(UsageRow.mails)).where(*today)) or 0)


def day_speech_seconds(session: Session, owner: str) -> float:
    today = UsageRow.owner == owner, UsageRow.at >= _day(now())
    return float(session.scalar(select(func.sum(UsageRow.speech_seconds)).where(*today)) or 0)


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
