"""What becomes of files in a watched folder: told by Dropbox's stand-in to the real SDK."""

from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import update

from dev.dropbox.entries import now
from pipeline import jobs
from pipeline.catalog import RemoteFileRow, TaskRow
from pipeline.database import transaction
from pipeline.errors import Retry
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER
from sync.dropbox.account import Account, Page
from sync.tests.watched import PATIENCE, SWEEP, TALK, Watched
from sync.watching import candidates, taking
from sync.watching.remote_files import RemoteFiles, Superseded
from sync.watching.watch import MISSED

HOUR = timedelta(hours=1)


def test_a_recording_becomes_a_job_that_fetches_it(watched: Watched) -> None:
    there = watched.dropbox.put("/Talks/Été.MP4", TALK)
    result = watched.watch()
    (job,) = watched.jobs()
    (task,) = watched.open_tasks("fetch")
    assert (job.title, job.owner, job.connection_id) == ("Été.MP4", OWNER, watched.id)
    assert task.args == {
        "connection": watched.id,
        "file": watched.files()["/Talks/Été.MP4"].id,
        "rev": there.rev,
        "size": len(TALK),
        "content_hash": there.content.content_hash,
        "name": "Été.MP4",
        "limit": 10**9,
    }
    assert [message.task_id for message in result.sent] == [task.id]
    assert watched.states() == {"/Talks/Été.MP4": "taken"}


def test_the_owner_hears_of_the_jobs_unless_others_are_named(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.connect("/Other", options={"notify": "grace@example.org", "bitrate": "64"})
    watched.dropbox.put("/Other/a.mp4", TALK)
    assert watched.watch().again == SWEEP
    assert [job.options["notify"] for job in watched.jobs()] == [["grace@example.org"]]


def test_a_quiet_run_costs_one_call_for_each_folder(watched: Watched) -> None:
    watched.connect("/A", "/B")
    watched.dropbox.put("/A/a.mp4", TALK)
    watched.dropbox.put("/B/b.mp4", TALK)
    watched.watch()
    watched.stand_in.reset_counters()
    result = watched.watch()
    assert (result.again, result.sent) == (SWEEP, [])
    assert watched.stand_in.api_calls == watched.stand_in.calls["files/list_folder/continue"] == 2
    assert watched.stand_in.downloaded == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.pdf", candidates.NOT_MEDIA),
        ("talk", candidates.NOT_MEDIA),
        ("talk.mp4.part", candidates.NOT_MEDIA),
        ("._talk.mp4", candidates.HIDDEN),
    ],
)
def test_what_is_no_recording_by_its_name_is_left_alone(watched: Watched, name: str, reason: str) -> None:
    watched.dropbox.put(f"/Talks/{name}", TALK)
    watched.watch()
    (file,) = watched.files().values()
    assert (file.state, file.reason, file.due_at) == ("ignored", reason, None)
    assert watched.jobs() == []


def test_what_is_empty_too_large_or_cannot_be_downloaded_is_left_alone(watched: Watched) -> None:
    watched.rules = replace(watched.rules, largest=10)
    watched.dropbox.put("/Talks/large.mp4", b"\0" * 11)
    watched.dropbox.put("/Talks/empty.mp4", b"")
    watched.dropbox.put("/Talks/live.mp4", TALK, downloadable=False)
    watched.watch()
    reasons = {path: file.reason for path, file in watched.files().items()}
    assert reasons == {
        "/Talks/large.mp4": "It has 11 bytes; 10 bytes is the most that is taken.",
        "/Talks/empty.mp4": candidates.EMPTY,
        "/Talks/live.mp4": candidates.ONLY_THERE,
    }
    assert watched.jobs() == []
    watched.dropbox.put("/Talks/empty.mp4", TALK)
    watched.watch()
    assert watched.titles() == ["empty.mp4"]


# ---- files that grow


def test_a_file_is_taken_once_it_has_not_changed_for_a_while(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=600)
    watched.dropbox.put("/Talks/new.mp4", TALK)
    watched.dropbox.put("/Talks/old.mp4", TALK + b"2", modified=now() - HOUR)
    again = watched.watch().again
    assert watched.titles() == ["old.mp4"]
    assert watched.states()["/Talks/new.mp4"] == "settling"
    assert again is not None
    assert 500 < again <= 600
    with transaction(watched.catalog) as session:
        session.execute(update(RemoteFileRow).where(RemoteFileRow.state == "settling").values(due_at=now()))
    watched.stand_in.reset_counters()
    watched.watch()
    assert watched.titles() == ["new.mp4", "old.mp4"]
    assert watched.stand_in.api_calls == 1


def test_a_file_that_still_grows_settles_anew(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=600)
    watched.dropbox.put("/Talks/a.mp4", TALK, modified=now() - timedelta(seconds=500))
    watched.watch()
    before = watched.files()["/Talks/a.mp4"].due_at
    watched.dropbox.put("/Talks/a.mp4", TALK + b" and more")
    watched.watch()
    file = watched.files()["/Talks/a.mp4"]
    assert before
    assert file.due_at
    assert file.due_at > before + timedelta(seconds=400)
    assert file.size == len(TALK + b" and more")


def test_a_clock_that_is_ahead_does_not_hold_a_file_up(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=60)
    watched.dropbox.put("/Talks/a.mp4", TALK, modified=now() + 24 * HOUR)
    watched.watch()
    due = watched.files()["/Talks/a.mp4"].due_at
    assert due
    assert due < now() + HOUR


def test_a_newer_content_takes_the_place_of_one_that_was_not_fetched(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.dropbox.put("/Talks/a.mp4", TALK + b"2")
    watched.watch()
    (second,) = watched.jobs()
    assert second.id != first.id
    before = Jobs(watched.catalog).get(OWNER, first.id)
    assert before
    assert before.state == "cancelled"
    assert [task.job_id for task in watched.open_tasks("fetch")] == [second.id]


def test_a_newer_content_of_what_was_fetched_is_another_job(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.fetch(first.id)
    watched.dropbox.put("/Talks/a.mp4", TALK + b"2")
    watched.watch()
    assert len(watched.jobs()) == 2
    assert watched.files()["/Talks/a.mp4"].job_id not in (None, first.id)


# ---- two workers


def test_of_two_workers_with_the_same_page_one_commits(watched: Watched) -> None:
    for number in range(20):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    connection = watched.connection
    folder = connection.folders[0]
    page = watched.accounts.open(connection, lambda: None).list_folder(folder.path)
    files, gate = RemoteFiles(watched.catalog, watched.rules), Barrier(2, timeout=30)
    outcomes: list[object] = []

    def work() -> None:
        gate.wait()
        try:
            outcomes.append(len(files.take_in(connection, folder, page, None)))
        except Superseded as late:
            outcomes.append(type(late))

    together = [Thread(target=work) for _ in range(2)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join(60)
    assert sorted(map(str, outcomes)) == ["20", str(Superseded)]
    assert len(watched.jobs()) == 20


def test_a_page_is_kept_as_a_whole_or_not_at_all(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    made: list[object] = []
    real = jobs.add_job

    def fails_at_the_third(*given: Any) -> object:
        made.append(given)
        if len(made) == 3:
            raise RuntimeError("killed")
        return real(*given)

    monkeypatch.setattr(taking, "add_job", fails_at_the_third)
    with pytest.raises(RuntimeError):
        watched.watch()
    assert (watched.jobs(), watched.files(), watched.folders()[0].cursor) == ([], {}, None)


# ---- what does not work


def test_the_owner_reads_what_fails_until_it_works_again(watched: Watched) -> None:
    watched.stand_in.fail("500", route="files/list_folder")
    with pytest.raises(Retry):
        watched.watch()
    assert watched.connection.reason
    assert watched.connection.state == "active"
    assert watched.connection.checked_at is None
    watched.watch()
    assert watched.connection.reason is None
    assert watched.connection.checked_at is not None


def test_an_access_that_was_taken_back_breaks_the_connection(watched: Watched) -> None:
    watched.stand_in.fail("revoked", route="files/list_folder")
    result = watched.watch()
    assert watched.connection.state == "broken"
    assert {message.kind for message in result.sent} == {"deliver"}
    assert watched.open_tasks("watch") == []


@pytest.mark.parametrize(("failing", "state"), [(0.5, "active"), (0.995, "broken")])
def test_what_fails_for_too_long_breaks_the_connection(watched: Watched, failing: float, state: str) -> None:
    with transaction(watched.catalog) as session:
        since = now() - timedelta(seconds=failing * PATIENCE)
        session.execute(update(TaskRow).where(TaskRow.kind == "watch").values(failing_since=since, failures=9))
    watched.stand_in.fail("500", route="files/list_folder")
    if state == "active":
        with pytest.raises(Retry):
            watched.watch()
    else:
        watched.watch()
    assert watched.connection.state == state
    assert watched.connection.reason


def test_a_folder_that_is_not_there_does_not_hold_up_the_others(watched: Watched) -> None:
    watched.connect("/A", "/B")
    watched.dropbox.delete("/A")
    watched.dropbox.put("/B/b.mp4", TALK)
    assert watched.watch().again == MISSED
    assert watched.titles() == ["b.mp4"]
    assert "/A is not in Dropbox; make it there" in (watched.connection.reason or "")
    watched.dropbox.put("/A/a.mp4", TALK + b"2")
    assert watched.watch().again == SWEEP
    assert watched.titles() == ["a.mp4", "b.mp4"]
    assert watched.connection.reason is None


def test_a_paused_connection_takes_nothing_in(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    connection = watched.connection
    account: Account = watched.accounts.open(connection, lambda: None)
    page: Page = account.list_folder("/Talks")
    watched.connections.pause(OWNER, watched.id)
    with pytest.raises(Superseded):
        watched.using.files.take_in(connection, connection.folders[0], page, None)
    with pytest.raises(Superseded):
        watched.using.files.take_due(connection, now(), None)
    assert watched.jobs() == []
    watched.connections.resume(OWNER, watched.id)
    watched.watch()
    assert watched.titles() == ["a.mp4"]
