"""Resumable uploads in the catalog: how far each has come, and who may write it at the moment.

Bytes below `offset` are durable in the blob store. A lock is for one writer, in whatever process, and is renewed by its
progress: once it lapses, the next one takes it, and all that the former one still commits fails, unless the next one
finds the bytes in its hands and puts the lock back.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import uuid4

import structlog
from sqlalchemy import Delete, Engine, ScalarResult, Select, Update, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.blobs import new_original
from pipeline.catalog import UploadRow
from pipeline.database import changed, now, transaction
from pipeline.errors import Busy, Unavailable
from pipeline.removals import doom

log = structlog.get_logger()
LOCK_SECONDS = 8.0
"""Without progress a lock is free after this time. tus clients that lost their gateway try again for nine or ten."""
MOST_OPEN = 1000
"""Unfinished uploads that one user may have."""
PARTIAL = "partial"
_FINAL = "final;"


class _Lock(TypedDict):
    """Columns of a row."""

    lock: str | None
    locked_until: datetime | None


_FREE = _Lock(lock=None, locked_until=None)


class TooMany(Exception):
    """The owner has as many unfinished uploads as may be."""


class Missing(LookupError):
    """The owner has no such upload."""


class Unfinished(Exception):
    """Parts that are not whole, or no parts at all, cannot be joined."""


@dataclass(frozen=True)
class Upload:
    """As its owner knows it; `length` is empty until the client has said it, times are aware, UTC."""

    id: str
    owner: str
    blob: str
    length: int | None
    offset: int
    meta: str
    concat: str | None
    job_id: str | None
    expires_at: datetime

    @property
    def whole(self) -> bool:
        return self.offset == self.length

    @property
    def partial(self) -> bool:
        return self.concat == PARTIAL

    @property
    def parts(self) -> Sequence[str]:
        """Ids of the uploads that this one joins."""
        return self.concat.removeprefix(_FINAL).split() if self.concat and not self.partial else ()

    @property
    def expired(self) -> bool:
        """What became a job is known as long as the job is."""
        return self.job_id is None and self.expires_at < now()


class Held:
    """An upload whose lock is ours. Every method raises Busy once another has taken it, and `Unavailable`."""

    def __init__(self, engine: Engine, life: timedelta, upload: Upload, token: str) -> None:
        self.upload = upload
        self._engine, self._life, self._token = engine, life, token
        self._renewed = time.monotonic()

    def advance(self, offset: int, length: int | None = None) -> None:
        """Commits that the bytes below `offset` are durable, and how many there will be if that was not known."""
        length = self.upload.length if length is None else length
        expires_at = now() + self._life
        self._change(offset=offset, length=length, expires_at=expires_at, locked_until=_lapse())
        self.upload = replace(self.upload, offset=offset, length=length, expires_at=expires_at)

    def keep(self) -> None:
        """Renews the lock if it is time to."""
        if time.monotonic() - self._renewed > LOCK_SECONDS / 4:
            self._change(locked_until=_lapse())

    def delete(self) -> None:
        """Removes the upload, the parts that it joins, and their bytes."""
        with transaction(self._engine) as session:
            mine = UploadRow.id == self.upload.id, UploadRow.lock == self._token
            _fenced(session, delete(UploadRow).where(*mine))
            doom(session, [self.upload.blob])
            _forget(session, self.upload.owner, self.upload.parts)

    def _change(self, **values: Any) -> None:
        mine = UploadRow.id == self.upload.id, UploadRow.lock == self._token
        with transaction(self._engine) as session:
            _fenced(session, update(UploadRow).where(*mine).values(**values))
        self._renewed = time.monotonic()


@dataclass(frozen=True)
class Uploads:
    """The uploads of one catalog; an unfinished one lives for `hours` after its last byte. Every method raises `Unavailable`."""

    engine: Engine
    hours: float

    def create(self, owner: str, length: int | None, meta: str, concat: str | None = None) -> Upload:
        """`meta` and `concat` are the tus headers as they came. Raises TooMany."""
        with transaction(self.engine) as session:
            if (session.scalar(_open(owner)) or 0) >= MOST_OPEN:
                raise TooMany(owner)
            return _add(session, uuid4().hex, owner, length, meta, concat, self._life)

    def join(self, owner: str, parts: Sequence[str], meta: str) -> Upload:
        """The upload that joins these parts in this order; the same one however often it is asked for.

        Raises Missing and Unfinished.
        """
        concat = _FINAL + " ".join(parts)
        final = hashlib.sha256(f"{owner} {concat}".encode()).hexdigest()[:32]
        with suppress(IntegrityError), transaction(self.engine) as session:  # another request may be as far as this one
            row = session.get(UploadRow, final)
            if row is not None:
                return _view(row)
            found = {row.id: row for row in _rows(session, owner, parts)}
            length = sum(_length(found, part) for part in parts)
            for row in found.values():
                row.expires_at = now() + self._life
            return _add(session, final, owner, length, meta, concat, self._life)
        return self.get(owner, final)

    def get(self, owner: str, upload_id: str) -> Upload:
        """Raises Missing."""
        with transaction(self.engine) as session:
            return _view(_row(session, owner, upload_id))

    @contextmanager
    def locked(self, owner: str, upload_id: str) -> Iterator[Held]:
        """The upload, for the block alone. Raises Missing, and Busy at once if another has it.

        If the block raises Busy, a lapsed lock that was taken is given back: its holder still writes, and may commit that.
        """
        token = uuid4().hex
        upload, former = self._lock(owner, upload_id, token)
        after = _FREE
        try:
            yield Held(self.engine, self._life, upload, token)
        except Busy:
            after = former
            raise
        finally:
            with suppress(Unavailable):  # then it lapses
                self._release(upload_id, token, after)

    def lapsed(self, owner: str, upload_id: str) -> bool:
        """Whether somebody has its lock and did not renew it in time."""
        over = UploadRow.id == upload_id, UploadRow.owner == owner, UploadRow.locked_until < now()
        with transaction(self.engine) as session:
            return session.scalar(select(UploadRow.id).where(*over)) is not None

    def forget(self, owner: str, upload_ids: Sequence[str]) -> None:
        """Removes uploads and their bytes, unless a job is made of them; quiet about those that are not there."""
        with transaction(self.engine) as session:
            _forget(session, owner, upload_ids)

    @property
    def _life(self) -> timedelta:
        return timedelta(hours=self.hours)

    def _lock(self, owner: str, upload_id: str, token: str) -> tuple[Upload, _Lock]:
        """The upload, and the lock that was on it."""
        with transaction(self.engine) as session:
            row = _row(session, owner, upload_id, lock=True)
            if row.locked_until and row.locked_until >= now():
                raise Busy("the upload is being written")
            former: _Lock = {"lock": row.lock, "locked_until": row.locked_until}
            row.lock, row.locked_until = token, _lapse()
            return _view(row), former

    def _release(self, upload_id: str, token: str, after: _Lock) -> None:
        with transaction(self.engine) as session:
            mine = UploadRow.id == upload_id, UploadRow.lock == token
            session.execute(update(UploadRow).where(*mine).values(**after))


def expire(engine: Engine, batch: int) -> int:
    """Removes at most `batch` unfinished uploads whose time is over, with their bytes. Returns how many there were."""
    idle = or_(UploadRow.lock.is_(None), UploadRow.locked_until < now())
    unfinished = UploadRow.job_id.is_(None)
    over = select(UploadRow).where(UploadRow.expires_at < now(), unfinished, idle).limit(batch)
    with transaction(engine) as session:
        rows = session.scalars(over.with_for_update(skip_locked=True)).all()
        _remove(session, rows)
    for row in rows:
        log.info("removed", what="upload", upload=row.id, bytes=row.offset, why="nothing came for too long")
    return len(rows)


def _lapse() -> datetime:
    return now() + timedelta(seconds=LOCK_SECONDS)


def _open(owner: str) -> Select[int]:
    mine = UploadRow.owner == owner, UploadRow.job_id.is_(None), UploadRow.expires_at > now()
    return select(func.count()).select_from(UploadRow).where(*mine)


def _add(
    session: Session, upload_id: str, owner: str, length: int | None, meta: str, concat: str | None, life: timedelta
) -> Upload:
    row = UploadRow(
        id=upload_id,
        owner=owner,
        blob=new_original(),
        length=length,
        offset=0,
        meta=meta,
        concat=concat,
        expires_at=now() + life,
    )
    session.add(row)
    session.flush()
    return _view(row)


def _row(session: Session, owner: str, upload_id: str, *, lock: bool = False) -> UploadRow:
    wanted = select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner)
    row = session.scalar(wanted.with_for_update() if lock else wanted)
    if row is None:
        raise Missing(upload_id)
    return row


def _rows(session: Session, owner: str, upload_ids: Sequence[str]) -> ScalarResult[UploadRow]:
    wanted = select(UploadRow).where(UploadRow.owner == owner, UploadRow.id.in_(upload_ids)).order_by(UploadRow.id)
    return session.scalars(wanted.with_for_update())


def _length(found: dict[str, UploadRow], part: str) -> int:
    """Of a part that is whole."""
    if part not in found or found[part].expires_at < now():
        raise Missing(part)
    if found[part].concat != PARTIAL or found[part].length != found[part].offset:
        raise Unfinished(part)
    return found[part].offset


def _forget(session: Session, owner: str, upload_ids: Sequence[str]) -> None:
    _remove(session, _rows(session, owner, upload_ids).all())


def _remove(session: Session, rows: Sequence[UploadRow]) -> None:
    session.execute(delete(UploadRow).where(UploadRow.id.in_([row.id for row in rows])))
    doom(session, [row.blob for row in rows])


def _fenced(session: Session, change: Update | Delete) -> None:
    if not changed(session, change):
        raise Busy("another has taken the upload over")


def _view(row: UploadRow) -> Upload:
    return Upload(row.id, row.owner, row.blob, row.length, row.offset, row.meta, row.concat, row.job_id, row.expires_at)
