"""Whatever happens in a Dropbox, and however it is told: in the end each content of each recording has one job."""

import hashlib
from collections import Counter
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dev.dropbox.entries import File
from dev.dropbox.stand_in import DropboxStandIn
from pipeline import database
from pipeline.catalog import ArtifactRow, Base, TaskRow
from pipeline.database import transaction
from sync.dropbox import account as dropbox
from sync.dropbox.account import App
from sync.tests.watched import Watched
from sync.watching import watch as watching

PLACES = ("/A", "/A/x", "/A/x/y", "/B", "/Elsewhere")
NAMES = ("1.mp4", "2.mp4", "a_b.mp4", "%.mp3", "notes.pdf")

_paths = st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES)).map("/".join)
_picks = st.integers(0, 30)
_steps = st.one_of(
    st.tuples(st.just("put"), _paths),
    st.tuples(st.just("edit"), _picks),
    st.tuples(st.just("copy"), _picks, _paths),
    st.tuples(st.just("move"), _picks, _paths),
    st.tuples(st.just("move folder"), st.sampled_from(PLACES[1:3]), st.sampled_from(["/A/z", "/B/x", "/Elsewhere/x"])),
    st.tuples(st.just("delete"), _picks),
    st.tuples(st.just("delete folder"), st.sampled_from(PLACES[1:3])),
    st.tuples(st.just("reset")),
    st.tuples(st.just("fetch"), _picks),
    st.tuples(st.just("watch"), st.integers(1, 4)),
    st.tuples(st.just("watch a page"), st.integers(1, 4)),
)


class History:
    """One Dropbox, what was done to it, and what was ever in it."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.numbers = watched, count()
        self.owners: dict[str, set[str]] = {}
        """Ids of the files that ever had a content, by its hash."""
        self.hashes: dict[str, str] = {}
        """Of contents, by their SHA-256."""

    def do(self, step: tuple[Any, ...]) -> None:
        kind, *given = step
        account = self.watched.dropbox
        files = [account.file(path) for path in account.files()]
        there: File | None = files[given[0] % len(files)] if files and given and isinstance(given[0], int) else None
        match kind:
            case "put":
                self.put(given[0], b"\0%d" % next(self.numbers))
            case "reset":
                account.reset_cursors()
            case "watch":
                self.watch(given[0], 10)
            case "watch a page":
                self.watch(given[0], 1)
            case "move folder" if given[0].lower() in account.entries and given[1].lower() not in account.entries:
                account.move(given[0], given[1])
            case "delete folder" if given[0].lower() in account.entries:
                account.delete(given[0])
            case "fetch":
                self.fetch(given[0])
            case "edit" if there:
                self.put(there.path, b"\0%d" % next(self.numbers))
            case "copy" if there and given[1].lower() not in account.entries:
                self.put(given[1], account.read(there.path))
            case "move" if there and given[1].lower() not in account.entries:
                account.move(there.path, given[1])
            case "delete" if there:
                account.delete(there.path)

    def put(self, path: str, content: bytes) -> None:
        file = self.watched.dropbox.put(path, content)
        self.owners.setdefault(file.content.content_hash, set()).add(file.id)
        self.hashes[hashlib.sha256(content).hexdigest()] = file.content.content_hash

    def watch(self, page: int, pages: int) -> None:
        with patch.object(dropbox, "PAGE", page), patch.object(watching, "MOST_PAGES", pages):
            self.watched.watch()

    def fetch(self, pick: int) -> None:
        if waiting := self.watched.open_tasks("fetch"):
            self.watched.fetch(waiting[pick % len(waiting)].job_id)

    def contents(self) -> dict[str, str]:
        """Hashes of what jobs are made of, by their ids."""
        with transaction(self.watched.catalog) as session:
            fetched = session.scalars(select(TaskRow).where(TaskRow.kind == "fetch"))
            found = {task.job_id: task.args["content_hash"] for task in fetched}
            originals = session.scalars(select(ArtifactRow).where(ArtifactRow.kind == "original"))
            shared = {made.job_id: self.hashes[made.sha256] for made in originals}
        assert all(shared[job] == found[job] for job in found.keys() & shared.keys())
        return found | shared

    def check(self) -> None:
        account, contents = self.watched.dropbox, self.contents()
        jobs = {job.id: contents[job.id] for job in self.watched.jobs()}
        counted = Counter(jobs.values())
        assert all(counted[content] <= len(self.owners[content]) for content in counted)
        recordings = {path for path in account.files() if path.startswith(("/A/", "/B/")) and not path.endswith("pdf")}
        taken = {path: row for path, row in self.watched.files().items() if row.state == "taken"}
        assert set(taken) == recordings
        assert {path: jobs[row.job_id or ""] for path, row in taken.items()} == {
            path: account.file(path).content.content_hash for path in recordings
        }
        assert len({row.job_id for row in taken.values()}) == len(taken)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("histories")


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(_steps, max_size=40))
def test_each_content_of_each_recording_has_one_job(
    dropbox_stand_in: DropboxStandIn, folder: Path, steps: list[tuple[Any, ...]]
) -> None:
    own = folder / uuid4().hex
    own.mkdir()
    engine = database.connect(f"sqlite:///{own}/catalog.db")
    Base.metadata.create_all(engine)
    dropbox_stand_in.account = dropbox_stand_in.new_account("Ada", "ada@example.com")
    try:
        with closing(App(dropbox_stand_in.app.key, silence=10)) as app:
            watched = Watched(engine, dropbox_stand_in, app, own)
            watched.connect("/A", "/B")
            history = History(watched)
            for step in steps:
                history.do(step)
            watched.watch_all()
            history.check()
            quiet = len(watched.jobs())
            dropbox_stand_in.account.reset_cursors()
            watched.watch_all()
            history.check()
            assert len(watched.jobs()) == quiet
    finally:
        engine.dispose()
