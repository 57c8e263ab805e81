"""What becomes of files in a watched folder: told by Dropbox's stand-in to the real SDK."""

from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import update

from dev.dropbox.entries import now
from pipeline import jobs
from pipeline.catalog import ConnectionRow, RemoteFileRow, ReturnedFileRow, TaskRow
from pipeline.database import transaction
from pipeline.errors import Interrupted, Retry
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER
from sync.dropbox import account as dropbox
from sync.dropbox.account import Account, Page
from sync.tests.watched import PATIENCE, SWEEP, Watched
from sync.watching import candidates, taking
from sync.watching import watch as watching
from sync.watching.remote_files import RemoteFiles, Superseded

TALK = b"\0a talk"
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
        session.execute(update(RemoteFileRow).values(due_at=now()))
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


# ---- files that move, go and come


def test_a_renamed_file_is_no_new_one(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.move("/Talks/a.mp4", "/Talks/deep/b.mp4")
    watched.watch()
    assert watched.states() == {"/Talks/deep/b.mp4": "taken"}
    assert watched.titles() == ["a.mp4"]


def test_a_file_that_gets_the_name_of_a_recording_is_one(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4.part", TALK)
    watched.watch()
    watched.dropbox.move("/Talks/a.mp4.part", "/Talks/a.mp4")
    watched.watch()
    assert watched.titles() == ["a.mp4"]


def test_a_moved_folder_takes_its_files_along(watched: Watched) -> None:
    watched.dropbox.put("/Talks/May/a.mp4", TALK)
    watched.dropbox.put("/Talks/May/deep/b.mp4", TALK + b"2")
    watched.watch()
    watched.dropbox.move("/Talks/May", "/Talks/June")
    watched.watch()
    assert watched.states() == {"/Talks/June/a.mp4": "taken", "/Talks/June/deep/b.mp4": "taken"}
    assert len(watched.jobs()) == 2


def test_files_that_change_places_keep_their_jobs(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.dropbox.put("/Talks/b.mp4", TALK + b"2")
    watched.watch()
    before = {file.remote_id: file.job_id for file in watched.files().values()}
    for path, to in [("a", "c"), ("b", "a"), ("c", "b")]:
        watched.dropbox.move(f"/Talks/{path}.mp4", f"/Talks/{to}.mp4")
    watched.watch()
    assert {file.remote_id: file.job_id for file in watched.files().values()} == before
    assert watched.states() == {"/Talks/a.mp4": "taken", "/Talks/b.mp4": "taken"}


def test_from_one_watched_folder_to_another(watched: Watched) -> None:
    watched.connect("/A", "/B")
    for start, to in [("/A", "/B"), ("/B", "/A")]:
        name = f"{start[1]}.mp4"
        watched.dropbox.put(f"{start}/{name}", TALK + name.encode())
        watched.watch()
        watched.dropbox.move(f"{start}/{name}", f"{to}/{name}")
        watched.watch()
    assert watched.states() == {"/B/A.mp4": "taken", "/A/B.mp4": "taken"}
    assert watched.titles() == ["A.mp4", "B.mp4"]
    by_number = {folder.id: folder.path for folder in watched.folders()}
    assert {by_number[file.folder_id] for file in watched.files().values()} == {"/A", "/B"}


def test_a_deleted_file_leaves_its_job_alone(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/a.mp4")
    watched.watch()
    assert watched.states() == {"/Talks/a.mp4": "gone"}
    assert [job.state for job in watched.jobs()] == ["queued"]


def test_a_deleted_file_that_had_not_settled_is_forgotten(watched: Watched) -> None:
    watched.rules = replace(watched.rules, settle=600)
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks")
    watched.watch()
    assert watched.states() == {}
    assert watched.jobs() == []


@pytest.mark.parametrize("gone", ["/Talks/a_b", "/Talks/100%", "/Talks/A_B"])
def test_no_character_of_a_name_stands_for_others(watched: Watched, gone: str) -> None:
    for number, folder in enumerate(["a_b", "axb", "100%", "1000", "a_b2"]):
        watched.dropbox.put(f"/Talks/{folder}/x.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete(gone)
    watched.watch()
    lost = [path for path, state in watched.states().items() if state == "gone"]
    assert lost == [f"{gone.lower().replace('/talks', '/Talks')}/x.mp4"]


def test_a_file_that_takes_the_place_of_another_is_new(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.dropbox.delete("/Talks/a.mp4")
    watched.dropbox.put("/Talks/a.mp4", TALK + b"2")
    watched.watch()
    assert len(watched.jobs()) == 2
    with transaction(watched.catalog) as session:
        states = sorted(row.state for row in session.query(RemoteFileRow))
    assert states == ["gone", "taken"]


def test_a_copy_shares_what_was_fetched(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.fetch(first.id)
    watched.dropbox.put("/Talks/copy.mp4", TALK)
    watched.watch()
    assert watched.titles() == ["a.mp4", "copy.mp4"]
    assert watched.open_tasks("fetch") == []
    originals = [
        artifact
        for job in watched.jobs()
        if (seen := Jobs(watched.catalog).get(OWNER, job.id))
        for artifact in seen.artifacts
    ]
    assert sorted(made.name for made in originals) == ["a.mp4", "copy.mp4"]
    assert len({made.blob for made in originals}) == 1


def test_a_copy_of_what_is_not_kept_any_more_is_fetched(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    (first,) = watched.jobs()
    watched.fetch(first.id)
    Jobs(watched.catalog).delete(OWNER, first.id)
    watched.dropbox.put("/Talks/copy.mp4", TALK)
    watched.watch()
    assert len(watched.open_tasks("fetch")) == 1


# ---- lists from the beginning


def test_a_reset_lists_all_again_and_doubles_nothing(watched: Watched) -> None:
    for number in range(7):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete("/Talks/3.mp4")
    watched.dropbox.put("/Talks/new.mp4", TALK)
    watched.dropbox.reset_cursors()
    watched.stand_in.page = 3
    watched.watch_all()
    assert len(watched.jobs()) == 8
    states = watched.states()
    assert states.pop("/Talks/3.mp4") == "gone"
    assert set(states.values()) == {"taken"}
    (folder,) = watched.folders()
    assert (folder.round, folder.listed) == (1, True)


def test_a_list_goes_on_after_a_kill_between_two_pages(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.dropbox.delete("/Talks/3.mp4")
    watched.dropbox.reset_cursors()
    _with_pages_of(monkeypatch, 3)
    beats = 0

    def killed(_percent: float, _speed: float | None = None) -> None:
        nonlocal beats
        beats += 1
        if watched.folders()[0].cursor and watched.folders()[0].round == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        watched.watch(killed)
    (folder,) = watched.folders()
    assert (folder.round, folder.listed) == (1, False)
    assert "gone" not in watched.states().values()
    with transaction(watched.catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.kind == "watch").values(state="queued"))
    watched.stand_in.reset_counters()
    watched.watch_all()
    assert watched.stand_in.calls["files/list_folder"] == 0
    assert len(watched.jobs()) == 9
    assert [path for path, state in watched.states().items() if state == "gone"] == ["/Talks/3.mp4"]


def test_a_run_ends_after_so_many_pages_and_goes_on_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_PAGES", 2)
    _with_pages_of(monkeypatch, 2)
    for number in range(8):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    assert watched.watch().again == 0
    assert 0 < len(watched.jobs()) < 8
    watched.watch_all()
    assert len(watched.jobs()) == 8


def test_a_place_that_is_lost_again_and_again_is_tried_later(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_pages_of(monkeypatch, 1)
    for number in range(3):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    watched.watch()
    watched.stand_in.fail("reset", "reset", "reset", route="files/list_folder/continue")
    with pytest.raises(Retry, match=watching.LOST):
        watched.watch()
    assert watched.connection.reason == watching.LOST
    assert watched.stand_in.faults_left == 1


def test_five_hundred_small_files_cost_few_calls(watched: Watched) -> None:
    for number in range(500):
        watched.dropbox.put(f"/Talks/{number}.mp3", b"\0%d" % number)
    watched.stand_in.reset_counters()
    watched.watch_all()
    assert len({job.title for job in watched.jobs()}) == len(watched.jobs()) == 500
    assert watched.stand_in.api_calls <= 3
    assert watched.stand_in.downloaded == 0


def _with_pages_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(dropbox, "PAGE", size)


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


# ---- room


def test_files_for_which_there_is_no_room_wait_and_their_owner_knows(watched: Watched) -> None:
    watched.limited(jobs=2)
    for number in range(5):
        watched.dropbox.put(f"/Talks/{number}.mp4", TALK + bytes([number]))
    assert watched.watch().again == pytest.approx(SWEEP, abs=60)
    assert len(watched.jobs()) == 2
    assert sorted(watched.states().values()) == ["taken", "taken", "waiting", "waiting", "waiting"]
    reason = watched.connection.reason
    assert reason
    assert "and 2 more: As many of your jobs are unfinished as may be at a time: 2 of 2." in reason
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


# ---- own results


def _returned(watched: Watched, path: str, content: bytes, *, known: bool = True) -> None:
    """As if it had been put there as a result of the first job."""
    there = watched.dropbox.put(path, content)
    with transaction(watched.catalog) as session:
        session.add(
            ReturnedFileRow(
                id=there.rev.rjust(32, "0"),
                connection_id=watched.id,
                job_id=watched.jobs()[0].id,
                name=path.rpartition("/")[2],
                path=path,
                content_hash=there.content.content_hash,
                version=1,
                remote_id=there.id if known else None,
                rev=there.rev if known else None,
            )
        )


def _with_a_job(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.fetch(watched.jobs()[0].id)


@pytest.mark.parametrize("known", [True, False])
def test_own_results_are_no_input(watched: Watched, known: bool) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound", known=known)
    _returned(watched, "/Talks/a.srt", b"1\n", known=known)
    watched.watch()
    watched.dropbox.put("/Talks/copy.mp3", b"\0sound")
    watched.dropbox.move("/Talks/a.mp3", "/Talks/moved.mp3")
    watched.watch()
    assert len(watched.jobs()) == 1
    assert watched.open_tasks("revise") == []
    assert sorted(watched.states().values()) == ["result", "result", "result", "taken"]


def test_results_are_no_input_though_their_job_is_deleted(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound")
    watched.watch()
    Jobs(watched.catalog).delete(OWNER, watched.jobs()[0].id)
    watched.dropbox.move("/Talks/a.mp3", "/Talks/moved.mp3")
    watched.dropbox.put("/Talks/copy.mp3", b"\0sound")
    watched.watch()
    watched.dropbox.reset_cursors()
    watched.watch()
    assert watched.jobs() == []


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.txt"])
def test_an_edited_transcript_is_taken_in_once(watched: Watched, name: str) -> None:
    _with_a_job(watched)
    _returned(watched, f"/Talks/{name}", b"before")
    watched.watch()
    there = watched.dropbox.put(f"/Talks/{name}", b"after")
    result = watched.watch()
    (task,) = watched.open_tasks("revise")
    (job,) = watched.jobs()
    assert [message.task_id for message in result.sent] == [task.id]
    assert task.job_id == watched.id
    told = {"job": job.id, "name": name, "rev": there.rev, "size": 5, "content_hash": there.content.content_hash}
    assert {key: task.args[key] for key in told} == told
    assert (task.args["version"], task.args["file"]) == (1, watched.files()[f"/Talks/{name}"].id)
    watched.dropbox.reset_cursors()
    watched.dropbox.move(f"/Talks/{name}", f"/Talks/moved-{name}")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1
    watched.dropbox.put(f"/Talks/moved-{name}", b"once more")
    watched.watch()
    assert [task.part for task in watched.open_tasks("revise")] == [0, 1]


def test_an_edit_that_was_saved_as_a_new_file_counts_too(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.srt", b"before")
    watched.watch()
    watched.dropbox.delete("/Talks/a.srt")
    watched.dropbox.put("/Talks/a.srt", b"after")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1


def test_transcripts_of_others_are_left_alone(watched: Watched) -> None:
    _with_a_job(watched)
    watched.dropbox.put("/Talks/other.srt", b"1\n")
    watched.watch()
    assert watched.states()["/Talks/other.srt"] == "ignored"
    assert watched.open_tasks("revise") == []


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
    assert watched.watch().again == SWEEP
    assert watched.titles() == ["b.mp4"]
    assert "/A" in (watched.connection.reason or "")
    watched.dropbox.put("/A/a.mp4", TALK + b"2")
    watched.watch()
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


# ---- news


def test_news_wake_the_watch(watched: Watched) -> None:
    watched.listens = True
    (heard,) = [message for message in watched.watch().sent if message.kind == "listen"]
    assert heard.job_id == watched.id
    watched.dropbox.put("/Talks/a.mp4", TALK)
    result = watched.listen()
    assert [message.kind for message in result.sent] == ["watch"]
    assert result.again == watching.NEWS
    assert watched.watch().again == SWEEP
    assert watched.titles() == ["a.mp4"]


def test_without_news_it_is_waited_on_as_dropbox_wants(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    watched.stand_in.longest_poll = 0.1
    assert (watched.listen().again, watched.listen().sent) == (0, ())
    watched.stand_in.backoff = 77
    assert watched.listen().again == 77


def test_a_watch_that_fails_is_not_hurried_by_news(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.stand_in.fail("500", route="files/list_folder/continue")
    with pytest.raises(Retry):
        watched.watch()
    assert list(watched.listen().sent) == []


def test_trouble_with_news_ends_nothing(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    for fault in ("500", "reset"):
        watched.stand_in.fail(fault, route="files/list_folder/longpoll")
        assert watched.listen().again in (watching.TROUBLE, watching.NEWS)
    assert watched.connection.state == "active"


def test_where_a_webhook_tells_of_news_nobody_waits_for_them(watched: Watched) -> None:
    assert [message.kind for message in watched.watch().sent] == []
    with transaction(watched.catalog) as session:
        assert session.get_one(ConnectionRow, watched.id).checked_at
