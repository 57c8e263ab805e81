"""Files that were found, and for which their owner has no room."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from dev.dropbox.entries import now
from pipeline.catalog import RemoteFileRow, TaskRow
from pipeline.database import transaction
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER
from sync.tests.watched import SWEEP, TALK, Watched
from sync.watching import remote_files
from sync.watching import watch as watching


def test_files_for_which_there_is_no_room_wait_and_their_owner_knows(watched: Watched) -> None:
    watched.limited(jobs=2)
    for number in range(5):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    assert watched.watch().again == pytest.approx(SWEEP, abs=60)
    assert len(watched.jobs()) == 2
    assert sorted(watched.states().values()) == ["taken", "taken", "waiting", "waiting", "waiting"]
    reason = watched.connection.reason
    assert reason
    assert "and 2 more: As many of your jobs are unfinished as may be at a time, which is 2." in reason
    for job in watched.jobs():
        Jobs(watched.catalog).cancel(OWNER, job.id)
    _make_due(watched)
    watched.watch()
    assert len(watched.jobs()) == 2
    watched.limited()
    _make_due(watched)
    watched.watch()
    assert set(watched.states().values()) == {"taken"}
    assert watched.connection.reason is None
    with transaction(watched.catalog) as session:
        assert session.query(TaskRow).filter(TaskRow.kind == "fetch").count() == 5


def _make_due(watched: Watched) -> None:
    with transaction(watched.catalog) as session:
        session.execute(update(RemoteFileRow).where(RemoteFileRow.state == "waiting").values(due_at=now()))


@pytest.mark.parametrize("quota", ["stored_bytes", "day_bytes"])
def test_what_is_still_to_be_fetched_counts(watched: Watched, quota: str) -> None:
    watched.limited(**{quota: 25})
    watched.dropbox.put("/Talks/a.mp4", b"\0" * 10)
    watched.watch()
    watched.dropbox.put("/Talks/b.mp4", b"\1" * 10)
    watched.dropbox.put("/Talks/c.mp4", b"\2" * 10)
    watched.watch()
    assert len(watched.jobs()) == 2
    for job in watched.jobs():
        watched.fetch(job.id)
    _make_due(watched)
    watched.watch()
    assert len(watched.jobs()) == 2


def test_nothing_is_taken_that_the_store_has_no_room_for(watched: Watched) -> None:
    watched.free_bytes = 2**62
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    assert set(watched.states().values()) == {"waiting"}
    assert "no room" in (watched.connection.reason or "")


def _settled(watched: Watched, *sizes: int) -> None:
    """Files that were found, and are due now."""
    watched.rules = replace(watched.rules, settle=600)
    for number, size in enumerate(sizes):
        watched.dropbox.put(f"/Talks/{number}.mp4", bytes([number]) * size)
    watched.watch()
    with transaction(watched.catalog) as session:
        session.execute(update(RemoteFileRow).where(RemoteFileRow.state == "settling").values(due_at=now()))


def test_where_there_is_no_room_for_one_the_others_are_not_asked_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "BATCH", 2)
    _settled(watched, *[10] * 7)
    watched.limited(jobs=1)
    files, moment = watched.using.files, now()
    assert len(files.take_due(watched.connection, moment, None) or ()) == 1
    assert files.take_due(watched.connection, moment, None) is None
    assert sorted(watched.states().values()) == ["taken", *["waiting"] * 6]


@pytest.mark.parametrize("quota", ["stored_bytes", "day_bytes", "free"])
def test_small_files_have_room_where_large_ones_have_none(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, quota: str
) -> None:
    monkeypatch.setattr(remote_files, "BATCH", 2)
    _settled(watched, 90, 5, 80, 70, 6, 60)
    free = None
    if quota == "free":
        free = 12
    else:
        watched.limited(**{quota: 12})
    while watched.using.files.take_due(watched.connection, now(), free) is not None:
        pass
    assert watched.titles() == ["1.mp4", "4.mp4"]
    waiting = [file for file in watched.files().values() if file.state == "waiting"]
    assert len(waiting) == 4
    assert len({file.reason for file in waiting}) == 1


def test_a_run_ends_after_so_many_files_and_goes_on_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "BATCH", 2)
    monkeypatch.setattr(watching, "MOST_BATCHES", 1)
    _settled(watched, *[10] * 5)
    assert watched.watch().again == 0
    assert len(watched.jobs()) == 2
    watched.watch_all()
    assert len(watched.jobs()) == 5
