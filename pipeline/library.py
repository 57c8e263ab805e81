"""A user's recordings as a library to take along: which files it has, what they are called elsewhere, and what has changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Engine, Select, func, select, tuple_
from sqlalchemy.orm import selectinload

from pipeline.catalog import ENDED, DeletionRow, JobRow
from pipeline.cursors import EARLIEST, LATEST, make_cursor, read_cursor, read_moment
from pipeline.database import now, transaction
from pipeline.names import Folded, free_names, safe_name, stem
from pipeline.options import Format, Tag
from pipeline.reuse import artifact
from pipeline.work import HIDDEN, Artifact

SETTLE = timedelta(seconds=10)
"""From the time a change is stamped with until everybody sees it: a commit that waits, or clocks that differ."""
DELETION_DAYS = 30
"""How long it is known that a job was deleted."""
PAGE = 200
"""Jobs that are read at once."""
FOLDER, FILE = 60, 100
"""Characters of a folder's and a file's name: with what is added to them, the path fits into the 260 that Windows takes, and leaves
some to the folder in which all is unpacked ("Maximum Path Length Limitation" in its documentation)."""

Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
Kind = Literal["original", "audio", "waveform", "transcript"]
KINDS: tuple[Kind, ...] = ("original", "audio", "waveform", "transcript")


class Wanted(BaseModel):
    """Which files of which recordings; of those that have ended, whatever their end was."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    artifacts: tuple[Kind | Format, ...] = Field(
        KINDS, min_length=1, max_length=20, description="Kinds of files, or formats of transcripts."
    )
    tags: tuple[Tag, ...] = Field((), max_length=20, description="Only recordings with one of these tags.")
    begin: Moment | None = Field(
        None, alias="from", description="Only recordings that were sent at this time or later; RFC 3339."
    )
    end: Moment | None = Field(None, alias="to", description="Only recordings that were sent before this time.")
    since: str | None = Field(
        None,
        max_length=300,
        description="Only what is new or has changed since this cursor, of changes or of an export.",
    )

    def includes(self, found: Artifact) -> bool:
        extension = found.name.rpartition(".")[2].lower()
        return found.kind in self.artifacts or (found.kind == "transcript" and extension in self.artifacts)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file, and what it is called outside: a folder of its job, a slash, and a name, fit for every file system."""

    name: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class Recording:
    """A job as a library has it."""

    id: str
    title: str
    state: str
    created_at: datetime
    files: Sequence[NamedFile]


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a job; `recording` is None for one that was deleted."""

    job: str
    change: Literal["new", "changed", "deleted"]
    at: datetime
    recording: Recording | None = None


@dataclass(frozen=True)
class Changes:
    """A page, and the cursor of the next; with `more`, that one is there already."""

    items: Sequence[Change]
    cursor: str
    more: bool


class CursorExpired(Exception):
    """It is not known any more what was deleted since."""


@dataclass(frozen=True)
class Place:
    """How far a client is: all is told that happened up to `moment`, at that moment up to `job`.

    It began to look at `begun`. What was there then it is told whenever that happened, and deletions only from then on.
    """

    moment: datetime
    job: str
    begun: datetime

    @classmethod
    def read(cls, cursor: str) -> "Place":
        """Raises BadCursor."""
        moment, (job, begun) = read_cursor(cursor, 2)
        return cls(moment, job, read_moment(begun))

    def __str__(self) -> str:
        return make_cursor(self.moment, self.job, self.begun.isoformat())

    @property
    def known(self) -> datetime:
        """All deletions since have to be told."""
        return max(self.moment, self.begun)


@dataclass(frozen=True)
class Library:
    """The libraries of one catalog. Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def cursor(self) -> str:
        """Of a client that is about to be given all there is."""
        settled = now() - SETTLE
        return str(Place(settled, "", settled))

    def count(self, owner: str, wanted: Wanted) -> int:
        """Recordings to be looked at: those with other tags too. Raises BadCursor."""
        with transaction(self.engine) as session:
            return session.scalar(select(func.count()).select_from(JobRow).where(*_asked(owner, wanted))) or 0

    def recordings(self, owner: str, wanted: Wanted) -> Iterator[Recording]:
        """Oldest first, each with the files that are wanted of it, read page by page. Raises BadCursor."""
        position, asked = (EARLIEST, ""), _asked(owner, wanted)
        while rows := self._page(asked, position):
            yield from (_recording(row, wanted) for row in rows if _is_tagged(row, wanted))
            position = rows[-1].created_at, rows[-1].id

    def changes(self, owner: str, cursor: str | None, limit: int) -> Changes:
        """The first `limit` things that happened after the cursor, or from the beginning, and have settled.

        Jobs are told of once they have ended. Raises BadCursor, CursorExpired.
        """
        settled = now() - SETTLE
        place = Place.read(cursor) if cursor else Place(EARLIEST, "", settled)
        if place.known - SETTLE < now() - timedelta(days=DELETION_DAYS):
            raise CursorExpired
        found = self._changed(owner, place, settled, limit) + self._deleted(owner, place, settled, limit)
        found.sort(key=lambda change: (change.at, change.job))
        items, more = found[:limit], len(found) > limit
        ahead = (items[-1].at, items[-1].job) if more else max((settled, ""), (place.moment, place.job))
        told = [change for change in items if change.change != "new" or (change.recording and change.recording.files)]
        return Changes(told, str(Place(*ahead, place.begun)), more)

    def _page(self, asked: Sequence[ColumnElement[bool]], position: tuple[datetime, str]) -> Sequence[JobRow]:
        after = JobRow.created_at >= position[0], tuple_(JobRow.created_at, JobRow.id) > position
        with transaction(self.engine) as session:
            wanted = _with_files().where(*asked, *after).order_by(JobRow.created_at, JobRow.id).limit(PAGE)
            return session.scalars(wanted).all()

    def _changed(self, owner: str, place: Place, settled: datetime, limit: int) -> list[Change]:
        wanted = _with_files().where(*_ended(owner), *_after(place), JobRow.files_at <= settled)
        with transaction(self.engine) as session:
            rows = session.scalars(wanted.order_by(JobRow.files_at, JobRow.id).limit(limit + 1)).all()
        return [_change(row, place) for row in rows]

    def _deleted(self, owner: str, place: Place, settled: datetime, limit: int) -> list[Change]:
        position = tuple_(DeletionRow.at, DeletionRow.job_id) > (place.moment, place.job)
        between = DeletionRow.at >= place.known, DeletionRow.at <= settled, position
        wanted = select(DeletionRow).where(DeletionRow.owner == owner, *between)
        with transaction(self.engine) as session:
            rows = session.scalars(wanted.order_by(DeletionRow.at, DeletionRow.job_id).limit(limit + 1)).all()
        return [Change(row.job_id, "deleted", row.at) for row in rows]


def named(files: Sequence[Artifact], folder: str) -> Iterator[NamedFile]:
    """Under names that no file system takes for the same; which depends on all files of the job, not on those that are wanted."""
    names = free_names((safe_name(found.name, FILE) for found in files), Folded())
    for name, found in zip(names, files, strict=True):
        yield NamedFile(f"{folder}/{name}", found)


def folder_of(job: str, title: str) -> str:
    """The same whatever other jobs there are, and never that of another."""
    return f"{stem(title, FOLDER)} ({job[:12]})"


def _asked(owner: str, wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    """Without the tags, which SQL has no common way to look into."""
    asked = list(_ended(owner))
    if wanted.begin:
        asked.append(JobRow.created_at >= wanted.begin)
    if wanted.end:
        asked.append(JobRow.created_at < wanted.end)
    if wanted.since:
        asked += _after(Place.read(wanted.since))
    return asked


def _ended(owner: str) -> Sequence[ColumnElement[bool]]:
    return JobRow.owner == owner, JobRow.kind == "recording", JobRow.state.in_(ENDED)


def _after(place: Place) -> Sequence[ColumnElement[bool]]:
    """The first of them by itself, for the sake of the index."""
    position = tuple_(JobRow.files_at, JobRow.id) > (place.moment, place.job)
    return JobRow.files_at >= place.moment, position


def _with_files() -> Select[JobRow]:
    return select(JobRow).options(selectinload(JobRow.artifacts))


def _is_tagged(row: JobRow, wanted: Wanted) -> bool:
    own = {tag.casefold() for tag in row.options.get("tags", ())}
    return not wanted.tags or any(tag.casefold() in own for tag in wanted.tags)


def _recording(row: JobRow, wanted: Wanted) -> Recording:
    visible = [artifact(found) for found in row.artifacts if found.kind not in HIDDEN]
    files = [file for file in named(visible, folder_of(row.id, row.title)) if wanted.includes(file.artifact)]
    return Recording(row.id, row.title, row.state, row.created_at, files)


def _change(row: JobRow, place: Place) -> Change:
    at, first = row.files_at or row.changed_at, row.ended_at or row.changed_at
    is_new = at <= place.begun or first > place.known
    return Change(row.id, "new" if is_new else "changed", at, _recording(row, Wanted()))
