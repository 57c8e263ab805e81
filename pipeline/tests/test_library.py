"""What is told of a library: all of it, each change once it has settled, and nothing that is somebody else's."""

import os
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from pipeline import database
from pipeline.accounts import Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, DeletionRow, JobRow
from pipeline.cursors import BadCursor, make_cursor
from pipeline.database import transaction
from pipeline.jobs import Job, Jobs, NewJob
from pipeline.library import DELETION_DAYS, SETTLE, Change, CursorExpired, Library, Wanted, folder_of, named
from pipeline.names import folded
from pipeline.retention import remove_originals
from pipeline.tests.makers import OWNER, a_job, a_recording, an_artifact, end_days_ago, work_off, work_through
from pipeline.transcript import About
from pipeline.transcripts import Transcripts
from pipeline.work import NextTask

STRANGER = "b" * 32
awkward = st.text(st.one_of(st.characters(), st.sampled_from("./\\:* -cCoOnN\u200d\u202eé\u0301\u017fß")), max_size=60)
Talk = Callable[..., Job]
ENDS_OF_TIME = [
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.min.replace(tzinfo=UTC),
]
"""Times that Python has, but not in every zone, or not those before them."""


class Clock:
    """The time, as it is for those who ask."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return database.now() + self.ahead

    def go_on(self, by: timedelta) -> None:
        self.ahead += by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("pipeline.library.now", found)
    return found


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are told as soon as they are there."""
    monkeypatch.setattr("pipeline.library.SETTLE", timedelta())


@pytest.fixture
def talk(catalog: Engine, store: DirectoryBlobs) -> Talk:
    """A recording that is done."""

    def make(title: str = "talk.mp4", **asked: Any) -> Job:
        return work_through(catalog, store, a_recording(catalog, store, os.urandom(9), title, **asked))

    return make


class Mirror:
    """Goes on from where it was, and takes so many changes at a time."""

    def __init__(self, catalog: Engine, limit: int = 100, owner: str = OWNER) -> None:
        self.library, self.limit, self.owner = Library(catalog), limit, owner
        self.cursor: str | None = None

    def page(self) -> tuple[list[Change], bool]:
        page = self.library.changes(self.owner, self.cursor, self.limit)
        assert len(page.items) <= self.limit
        self.cursor = page.cursor
        return list(page.items), page.more

    def look(self) -> list[Change]:
        found, more = self.page()
        while more:
            following, more = self.page()
            found += following
        return found

    def told(self) -> list[tuple[str, str]]:
        return [(change.job, change.change) for change in self.look()]


@pytest.fixture
def mirror(catalog: Engine) -> Mirror:
    return Mirror(catalog)


def correct(catalog: Engine, store: DirectoryBlobs, job: Job) -> None:
    layer = an_artifact("layer", "layer", blob=os.urandom(9).hex())
    assert Transcripts(catalog).correct(OWNER, job.id, layer, About(language="en", translated=False, duration=9))
    work_off(catalog, store, "render")


def test_new_changed_and_deleted_are_told_in_turn(
    catalog: Engine, store: DirectoryBlobs, at_once: None, mirror: Mirror, talk: Talk
) -> None:
    kept, gone = talk(), talk()
    assert mirror.told() == [(kept.id, "new"), (gone.id, "new")]
    assert mirror.told() == []

    correct(catalog, store, kept)
    (change,) = mirror.look()
    assert (change.job, change.change) == (kept.id, "changed")
    there = Jobs(catalog).get(OWNER, kept.id)
    assert there
    assert change.recording
    assert [file.artifact for file in change.recording.files] == there.artifacts

    Jobs(catalog).delete(OWNER, gone.id)
    assert mirror.told() == [(gone.id, "deleted")]
    assert mirror.told() == []


def test_what_has_not_settled_is_not_told_yet(catalog: Engine, clock: Clock, mirror: Mirror, talk: Talk) -> None:
    job = talk()
    clock.go_on(SETTLE / 2)
    assert mirror.told() == []
    clock.go_on(SETTLE)
    assert mirror.told() == [(job.id, "new")]


@pytest.mark.servers
def test_a_transaction_that_commits_late_is_not_skipped(mysql_url: str, clock: Clock, store: DirectoryBlobs) -> None:
    """It has stamped its change when another, which is stamped later, is there to be seen already."""
    catalog = database.connect(mysql_url)
    Base.metadata.create_all(catalog)
    late, _ = a_job(catalog, "late.mp4")
    gone, _ = a_job(catalog, "gone.mp4")
    mirror = Mirror(catalog)
    with Session(catalog) as session, session.begin():
        session.get_one(JobRow, late.id).end("done")
        session.execute(delete(JobRow).where(JobRow.id == gone.id))
        session.add(DeletionRow(job_id=gone.id, owner=OWNER))
        session.flush()
        early = work_through(catalog, store, a_recording(catalog, store, title="early.mp4", transcribe=False))
        clock.go_on(SETTLE * 0.9)
        assert mirror.told() == []
    clock.go_on(2 * SETTLE)
    assert {job for job, _ in mirror.told()} == {late.id, gone.id, early.id}
    catalog.dispose()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_any_size_tell_everything_once(catalog: Engine, at_once: None, talk: Talk, limit: int) -> None:
    jobs = [talk(f"{number}.mp4", transcribe=False, waveform=False) for number in range(5)]
    mirror = Mirror(catalog, limit)
    with transaction(catalog) as session:  # at the same moment
        session.execute(update(JobRow).values(files_at=database.now()))
    assert sorted(mirror.told()) == sorted((job.id, "new") for job in jobs)
    for job in jobs[:3]:
        Jobs(catalog).delete(OWNER, job.id)
    assert mirror.told() == [(job.id, "deleted") for job in jobs[:3]]


def test_what_happens_between_two_pages_is_told(
    catalog: Engine, store: DirectoryBlobs, at_once: None, talk: Talk
) -> None:
    """In the midst of all there is, which is older than a deletion is known for."""
    jobs = [talk(f"{number}.mp4") for number in range(4)]
    with transaction(catalog) as session:
        for number, job in enumerate(jobs):
            long_ago = database.now() - timedelta(days=DELETION_DAYS * 3 - number)
            session.execute(update(JobRow).where(JobRow.id == job.id).values(files_at=long_ago, ended_at=long_ago))
    mirror = Mirror(catalog, 2)
    first, more = mirror.page()
    assert ([change.job for change in first], more) == ([job.id for job in jobs[:2]], True)
    Jobs(catalog).delete(OWNER, jobs[0].id)
    Jobs(catalog).delete(OWNER, jobs[2].id)
    correct(catalog, store, jobs[1])
    assert mirror.told() == [
        (jobs[3].id, "new"),
        (jobs[0].id, "deleted"),
        (jobs[2].id, "deleted"),
        (jobs[1].id, "changed"),
    ]


def test_who_begins_is_not_told_what_was_deleted(catalog: Engine, at_once: None, mirror: Mirror, talk: Talk) -> None:
    Jobs(catalog).delete(OWNER, talk().id)
    assert mirror.told() == []


def test_only_what_has_ended_and_has_files_is_told(
    catalog: Engine, store: DirectoryBlobs, at_once: None, mirror: Mirror
) -> None:
    job = a_recording(catalog, store)
    fetched, _ = Jobs(catalog).create(NewJob(OWNER, "fetched", first=NextTask("fetch")))
    assert mirror.told() == []
    Jobs(catalog).cancel(OWNER, job.id)
    Jobs(catalog).cancel(OWNER, fetched.id)
    (change,) = mirror.look()
    assert (change.job, change.change) == (job.id, "new")
    assert change.recording
    assert change.recording.state == "cancelled"
    assert [file.artifact.kind for file in change.recording.files] == ["original"]


def test_a_job_that_lost_its_last_file_is_told(
    catalog: Engine, store: DirectoryBlobs, at_once: None, mirror: Mirror
) -> None:
    job = a_recording(catalog, store)
    Jobs(catalog).cancel(OWNER, job.id)
    assert mirror.told() == [(job.id, "new")]
    end_days_ago(catalog, 3)
    remove_originals(catalog, Limits(keep_original_days=1))
    (change,) = mirror.look()
    assert change.change == "changed"
    assert change.recording
    assert change.recording.files == []


def test_mirrors_of_different_owners_see_their_own(
    catalog: Engine, store: DirectoryBlobs, at_once: None, mirror: Mirror, talk: Talk
) -> None:
    stranger = Mirror(catalog, owner=STRANGER)
    stranger.look()
    job, others = talk(), a_recording(catalog, store, b"others'", owner=STRANGER)
    Jobs(catalog).cancel(STRANGER, others.id)
    assert (mirror.told(), stranger.told()) == ([(job.id, "new")], [(others.id, "new")])
    Jobs(catalog).delete(OWNER, job.id)
    assert (mirror.told(), stranger.told()) == ([(job.id, "deleted")], [])


def test_a_cursor_is_good_for_as_long_as_deletions_are_known(
    catalog: Engine, clock: Clock, mirror: Mirror, talk: Talk
) -> None:
    talk()
    clock.go_on(2 * SETTLE)
    mirror.look()
    clock.go_on(timedelta(days=DELETION_DAYS) - 3 * SETTLE)
    assert mirror.told() == []  # and the cursor is a new one
    clock.go_on(timedelta(days=DELETION_DAYS))
    with pytest.raises(CursorExpired):
        mirror.look()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        make_cursor(database.now()),
        make_cursor(database.now(), "x"),
        make_cursor(database.now(), "a", "b"),
        *(make_cursor(moment, "a", database.now().isoformat()) for moment in ENDS_OF_TIME),
        *(make_cursor(database.now(), "a", moment.isoformat()) for moment in ENDS_OF_TIME),
    ],
)
def test_a_cursor_of_another_list_is_none(catalog: Engine, cursor: str) -> None:
    with pytest.raises(BadCursor):
        Library(catalog).changes(OWNER, cursor, 10)
    with pytest.raises(BadCursor):
        list(Library(catalog).recordings(OWNER, Wanted(since=cursor)))


def titles(catalog: Engine, **wanted: object) -> list[str]:
    return [found.title for found in Library(catalog).recordings(OWNER, Wanted.model_validate(wanted))]


def test_recordings_are_chosen_by_tag_and_date(catalog: Engine, talk: Talk) -> None:
    days = {}
    for number, tags in enumerate([("board", "2026"), ("Board",), ()]):
        job = talk(f"{number}.mp4", tags=tags)
        days[number] = database.now() - timedelta(days=10 - number)
        with transaction(catalog) as session:
            session.execute(update(JobRow).where(JobRow.id == job.id).values(created_at=days[number]))
    assert titles(catalog) == ["0.mp4", "1.mp4", "2.mp4"]
    assert titles(catalog, tags=["BOARD"]) == ["0.mp4", "1.mp4"]
    assert titles(catalog, tags=["2026", "none"]) == ["0.mp4"]
    assert titles(catalog, **{"from": days[1]}) == ["1.mp4", "2.mp4"]
    assert titles(catalog, **{"from": days[0], "to": days[2]}) == ["0.mp4", "1.mp4"]
    assert titles(catalog, **{"to": days[0]}) == []


def test_recordings_since_a_cursor(catalog: Engine, store: DirectoryBlobs, at_once: None, talk: Talk) -> None:
    changed, _ = talk("changed.mp4"), talk("old.mp4")
    cursor = Library(catalog).cursor()
    assert titles(catalog, since=cursor) == []
    correct(catalog, store, changed)
    talk("new.mp4")
    assert titles(catalog, since=cursor) == ["changed.mp4", "new.mp4"]
    mirror = Mirror(catalog)
    mirror.cursor = cursor
    assert [change for _, change in mirror.told()] == ["changed", "new"]


def test_recordings_come_page_by_page(catalog: Engine, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.library.PAGE", 2)
    expected = [talk(f"{number}.mp4", transcribe=False).title for number in range(5)]
    with transaction(catalog) as session:  # at the same moment
        session.execute(update(JobRow).values(created_at=database.now()))
    assert sorted(titles(catalog)) == expected


@pytest.mark.parametrize("letter", ["x", "é", "會", "🎉"])
def test_long_names_are_cut(letter: str) -> None:
    """A file that is named like its recording has that twice in its path, of which Windows takes 260 characters."""
    title, job = letter * 300, "0123456789ab" * 3
    files = [an_artifact(f"{title}{end}") for end in (".mp3", "1.srt", "2.srt")]
    first, *_, last = (file.name for file in named(files, folder_of(job, title)))
    folder, _, file = last.partition("/")
    assert file.removesuffix(" (1).srt") == first.partition("/")[2].removesuffix(".mp3")
    assert folder.endswith(" (0123456789ab)")
    assert len(last.encode("utf-16-le")) // 2 <= 200


@given(st.lists(st.tuples(st.uuids(version=4), awkward, st.lists(awkward, max_size=5)), max_size=5))
def test_names_are_unique_and_fit_for_every_file_system(jobs: list[tuple[object, str, list[str]]]) -> None:
    names = [
        file.name
        for job, title, files in jobs
        for file in named([an_artifact(name) for name in files], folder_of(str(job).replace("-", ""), title))
    ]
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert len({unicodedata.normalize(form, name).casefold() for name in names}) == len(names)
    assert len(set(map(folded, names))) == len(names)
    for name in names:
        assert len(name.encode("utf-16-le")) // 2 <= 220  # of the 260 of Windows
        folder, file = name.split("/")
        for part in (folder, file):
            assert 0 < len(part.encode()) <= 255
            assert part.strip(" .") == part
            assert not set(part) & set('\\/:*?"<>|')
            assert not any(unicodedata.category(c) in {"Cc", "Cs"} or c in "\u202e\u2066" for c in part)
