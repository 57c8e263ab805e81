"""Connections as their owners steer them, and as what works on them finds them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, update

from pipeline import connections as module
from pipeline.catalog import ConnectionRow, FolderRow, JobRow, RemoteFileRow, TaskRow
from pipeline.connection_rows import Connection, keep_open, wake
from pipeline.connections import Connections
from pipeline.database import now, transaction
from pipeline.jobs import Jobs, NewJob, Settled
from pipeline.messages import Message
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER, a_job, an_artifact
from pipeline.wishes import Wishes
from pipeline.work import NextTask, Result, Task

STRANGER, ACCOUNT = "b" * 32, "dbid:ada"


def wishes(*folders: str, **wanted: Any) -> Wishes:
    return Wishes.model_validate({"folders": folders or ("/Recordings",), **wanted})


def a_connection(
    catalog: Engine, *folders: str, owner: str = OWNER, account: str = ACCOUNT, listening: bool = True
) -> Connection:
    """One that works, and whose owner's Dropbox is listened to."""
    connections = Connections(catalog)
    begun, (message,) = connections.begin(owner, wishes(*folders), "a code", ADDRESS)
    task = claim(catalog, message)
    connections.connected(begun.id, "a token", account, "Ada", "ada@dropbox.example")
    Tasks(catalog).finish(task, Result())
    if listening:
        with transaction(catalog) as session:
            keep_open(session, begun.id, "listen")
    return loaded(catalog, begun.id)


def loaded(catalog: Engine, connection_id: str) -> Connection:
    found = Connections(catalog).load(connection_id)
    assert found
    return found


def claim(catalog: Engine, message: Message) -> Task:
    task = Tasks(catalog).claim(message.task_id, "worker")
    assert task
    return task


def states(catalog: Engine, job_id: str) -> dict[tuple[str, int], str]:
    with transaction(catalog) as session:
        rows = session.scalars(select(TaskRow).where(TaskRow.job_id == job_id)).all()
    return {(row.kind, row.part): row.state for row in rows}


def waiting(catalog: Engine, job_id: str, kind: str) -> Message:
    (found,) = [found for found in Tasks(catalog).unpublished(0) if (found.job_id, found.kind) == (job_id, kind)]
    return found


def kinds(sent: Sequence[Message]) -> list[str]:
    return sorted(message.kind for message in sent)


def a_found_job(catalog: Engine, connection_id: str, owner: str = OWNER) -> str:
    """A recording that was found there and is still to be fetched."""
    fetch = NextTask("fetch", args={"connection": connection_id})
    return Jobs(catalog).create(NewJob(owner, "talk.mp4", first=fetch, connection_id=connection_id))[0].id


def a_remote_file(catalog: Engine, folder: FolderRow | Any, path: str, state: str = "taken") -> str:
    row = RemoteFileRow(
        id=uuid4().hex,
        connection_id=folder.connection_id,
        folder_id=folder.id,
        remote_id=f"id:{uuid4().hex}",
        path=path,
        path_lower=path.lower(),
        rev="1",
        size=1,
        content_hash="0" * 64,
        modified_at=now(),
        state=state,
    )
    with transaction(catalog) as session:
        session.add(row)
    return row.id


def folder_rows(catalog: Engine, connection_id: str) -> dict[str, FolderRow]:
    with transaction(catalog) as session:
        rows = session.scalars(select(FolderRow).where(FolderRow.connection_id == connection_id)).all()
    return {row.path: row for row in rows}


def test_a_connection_begins_as_a_job_that_connects(catalog: Engine) -> None:
    asked = wishes("/B", "/a/c", results="folder", results_folder="/done", conflict="skip", options={"language": "de"})
    begun, (message,) = Connections(catalog).begin(OWNER, asked, "sealed", ADDRESS)
    assert (begun.state, begun.reason, begun.secret, begun.account_id) == ("connecting", None, "sealed", None)
    assert [(folder.number, folder.path, folder.cursor) for folder in begun.folders] == [
        (0, "/B", None),
        (1, "/a/c", None),
    ]
    assert begun.wishes == asked
    assert (message.job_id, message.kind) == (begun.id, "connect")
    assert claim(catalog, message).job_kind == "connection"
    assert "sealed" not in repr(begun)


def test_it_is_no_recording_of_its_owner(catalog: Engine) -> None:
    found = a_connection(catalog)
    assert Jobs(catalog).get(OWNER, found.id) is None
    assert Jobs(catalog).list(OWNER)[0] == []
    assert not Jobs(catalog).delete(OWNER, found.id)


def test_once_connected_it_watches_and_has_its_account(catalog: Engine) -> None:
    connections = Connections(catalog)
    begun, (message,) = connections.begin(OWNER, wishes(), "a code", ADDRESS)
    task = claim(catalog, message)
    sent = connections.connected(begun.id, "a token", ACCOUNT, "Ada", "ada@dropbox.example")
    assert kinds(sent) == ["watch"]
    Tasks(catalog).finish(task, Result(sent=sent))
    found = loaded(catalog, begun.id)
    assert (found.state, found.secret, found.account_id) == ("active", "a token", ACCOUNT)
    assert (found.account_name, found.account_email, found.email) == ("Ada", "ada@dropbox.example", ADDRESS)
    assert states(catalog, begun.id) == {("connect", 0): "done", ("watch", 0): "queued"}


def test_foreign_connections_are_like_none(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    recording, _ = a_job(catalog)
    for owner, wanted in ((STRANGER, found.id), (OWNER, "0" * 32), (OWNER, recording.id)):
        assert connections.get(owner, wanted) is None
        assert connections.change(owner, wanted, wishes()) is None
        assert connections.pause(owner, wanted) is None
        assert connections.resume(owner, wanted) is None
        assert connections.sync(owner, wanted) is None
        assert connections.reconnect(owner, wanted, "x") is None
        assert connections.disconnect(owner, wanted) is None
    assert connections.list(STRANGER) == []
    assert [one.id for one in connections.list(OWNER)] == [found.id]
    assert loaded(catalog, found.id) == found


def test_files_are_counted_by_what_became_of_them(catalog: Engine) -> None:
    found, other = a_connection(catalog), a_connection(catalog, "/Other")
    for number, state in enumerate(("taken", "taken", "settling", "gone")):
        a_remote_file(catalog, folder_rows(catalog, found.id)["/Recordings"], f"/Recordings/{number}", state)
    (first, second) = Connections(catalog).list(OWNER)
    assert (first.files, second.files) == ({"taken": 2, "settling": 1, "gone": 1}, {})
    assert second.id == other.id


def test_a_user_has_so_many_connections_at_most(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    connections = Connections(catalog)
    for _ in range(2):
        connections.begin(OWNER, wishes(), "x", ADDRESS)
    with pytest.raises(Settled):
        connections.begin(OWNER, wishes(), "x", ADDRESS)
    connections.begin(STRANGER, wishes(), "x", ADDRESS)


@pytest.mark.parametrize("folder", ["/recordings", "/Recordings/deep", ""])
def test_a_folder_is_watched_by_one_connection_of_a_user(catalog: Engine, folder: str) -> None:
    connections = Connections(catalog)
    a_connection(catalog)
    second, _ = connections.begin(OWNER, wishes(folder), "a code", ADDRESS)
    with pytest.raises(Settled, match="/Recordings"):
        connections.connected(second.id, "a token", ACCOUNT)
    assert loaded(catalog, second.id).secret == "a code"
    assert kinds(connections.connected(second.id, "a token", "dbid:other")) == ["watch"]
    a_connection(catalog, folder, owner=STRANGER)


def test_of_two_that_connect_at_once_one_gets_the_folder(catalog: Engine) -> None:
    connections, start = Connections(catalog), Barrier(2)
    begun = [connections.begin(OWNER, wishes(), "a code", ADDRESS)[0].id for _ in range(2)]

    def connect(connection_id: str) -> bool:
        start.wait(10)
        try:
            return bool(connections.connected(connection_id, "a token", ACCOUNT))
        except Settled:
            return False

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(connect, begun)) == [False, True]


def test_nobody_waits_for_an_account_twice_or_after_it_was_given_up(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    given_up, _ = connections.begin(OWNER, wishes("/Else"), "a code", ADDRESS)
    connections.disconnect(OWNER, given_up.id)
    for connection_id in (found.id, given_up.id, "0" * 32):
        with pytest.raises(Settled):
            connections.connected(connection_id, "another token", ACCOUNT)
    assert loaded(catalog, found.id).secret == "a token"


def test_what_is_paused_rests_until_it_is_resumed(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog, "/a", "/b")
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    paused = connections.pause(OWNER, found.id)
    assert paused
    assert (paused[0].state, paused[1]) == ("paused", [])
    assert not Tasks(catalog).renew(task, 0)
    assert Tasks(catalog).finish(task, Result(again=0)) == []
    assert [message for message in Tasks(catalog).unpublished(0) if message.job_id == found.id] == []
    assert connections.news([ACCOUNT]) == []
    for asked in (connections.pause, connections.sync):
        with pytest.raises(Settled):
            asked(OWNER, found.id)
    resumed = connections.resume(OWNER, found.id)
    assert resumed
    assert (resumed[0].state, kinds(resumed[1])) == ("active", ["listen", "listen", "watch"])
    with pytest.raises(Settled):
        connections.resume(OWNER, found.id)


def test_a_pause_in_the_last_moment_of_connecting_ends_nothing(catalog: Engine) -> None:
    connections = Connections(catalog)
    begun, (message,) = connections.begin(OWNER, wishes(), "a code", ADDRESS)
    task = claim(catalog, message)
    connections.connected(begun.id, "a token", ACCOUNT)
    connections.pause(OWNER, begun.id)
    Tasks(catalog).finish(task, Result())
    resumed = connections.resume(OWNER, begun.id)
    assert resumed
    assert kinds(resumed[1]) == ["watch"]
    assert claim(catalog, resumed[1][0]).job_state == "running"


def test_fetches_that_waited_go_on_when_it_is_resumed(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    held, elsewhere = a_found_job(catalog, found.id), a_found_job(catalog, "0" * 32)
    connections.pause(OWNER, found.id)
    task = claim(catalog, waiting(catalog, held, "fetch"))
    assert Tasks(catalog).finish(task, Result(again=3600)) == []
    resumed = connections.resume(OWNER, found.id)
    assert resumed
    assert {message.job_id for message in resumed[1] if message.kind == "fetch"} == {held}
    assert waiting(catalog, held, "fetch").job_id == held
    assert elsewhere != held


def test_looking_now_makes_what_waits_due_and_wakes_what_runs(catalog: Engine) -> None:
    connections, tasks, found = Connections(catalog), Tasks(catalog), a_connection(catalog)
    first = claim(catalog, waiting(catalog, found.id, "watch"))
    assert tasks.finish(first, Result(again=900)) == []
    synced = connections.sync(OWNER, found.id)
    assert synced
    assert kinds(synced[1]) == ["watch"]
    running = claim(catalog, synced[1][0])
    synced = connections.sync(OWNER, found.id)
    assert synced
    assert synced[1] == []
    assert kinds(tasks.finish(running, Result(again=900))) == ["watch"]
    quiet = claim(catalog, waiting(catalog, found.id, "watch"))
    assert tasks.finish(quiet, Result(again=900)) == []


def test_a_task_that_began_by_a_clock_ahead_of_ours_is_woken_too(catalog: Engine) -> None:
    found = a_connection(catalog)
    running = claim(catalog, waiting(catalog, found.id, "watch"))
    with transaction(catalog) as session:
        ahead = update(TaskRow).where(TaskRow.id == running.id).values(started_at=now() + timedelta(seconds=60))
        session.execute(ahead)
    Connections(catalog).sync(OWNER, found.id)
    assert kinds(Tasks(catalog).finish(running, Result(again=900))) == ["watch"]


def test_news_wake_whoever_watches_the_account(catalog: Engine) -> None:
    mine, bobs = a_connection(catalog), a_connection(catalog, owner=STRANGER)
    other = a_connection(catalog, "/x", account="dbid:other")
    paused = a_connection(catalog, "/paused")
    Connections(catalog).pause(OWNER, paused.id)
    sent = Connections(catalog).news([ACCOUNT, ACCOUNT, "dbid:nobody"])
    assert {(message.job_id, message.kind) for message in sent} == {(mine.id, "watch"), (bobs.id, "watch")}
    assert Connections(catalog).news([]) == []
    assert other.account_id == "dbid:other"


def test_what_listens_is_kept_open_and_not_hurried(catalog: Engine) -> None:
    found = a_connection(catalog, "/a", "/b", listening=False)
    with transaction(catalog) as session:
        first = keep_open(session, found.id, "listen")
    assert kinds(first) == ["listen", "listen"]
    task = claim(catalog, first[0])
    assert Tasks(catalog).finish(task, Result(again=60)) == []
    with transaction(catalog) as session:
        assert keep_open(session, found.id, "listen") == []
        assert len(wake(session, found.id, "listen")) == 2


def test_what_is_broken_is_told_once_and_calls_everything_off(catalog: Engine) -> None:
    connections, tasks, found = Connections(catalog), Tasks(catalog), a_connection(catalog)
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    sent = connections.broken(found.id, "Dropbox has withdrawn the permission.")
    assert kinds(sent) == ["deliver"]
    assert connections.broken(found.id, "Once more.") == []
    assert tasks.reject(task, "Dropbox has withdrawn the permission.") == []
    mail = claim(catalog, sent[0])
    assert (mail.args["event"], mail.args["address"]) == ("connection.broken", ADDRESS)
    assert mail.args["reason"] == mail.job_reason == "Dropbox has withdrawn the permission."
    found = loaded(catalog, found.id)
    assert (found.state, found.reason) == ("broken", "Dropbox has withdrawn the permission.")
    assert states(catalog, found.id)[("watch", 0)] == states(catalog, found.id)[("listen", 0)] == "cancelled"
    connections.troubled(found.id, None)
    assert loaded(catalog, found.id).reason == "Dropbox has withdrawn the permission."
    for asked in (connections.pause, connections.sync):
        with pytest.raises(Settled):
            asked(OWNER, found.id)


def test_a_code_that_is_refused_breaks_the_connection(catalog: Engine) -> None:
    begun, (message,) = Connections(catalog).begin(OWNER, wishes(), "a code", ADDRESS)
    assert kinds(Tasks(catalog).reject(claim(catalog, message), "The code has expired.")) == ["deliver"]
    found = loaded(catalog, begun.id)
    assert (found.state, found.reason) == ("broken", "The code has expired.")
    with pytest.raises(Settled):
        Connections(catalog).resume(OWNER, begun.id)


def test_what_broke_is_connected_anew_and_goes_on_where_it_was(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    with transaction(catalog) as session:
        session.execute(update(FolderRow).where(FolderRow.connection_id == found.id).values(cursor="c1", listed=True))
    with pytest.raises(Settled):
        connections.reconnect(OWNER, found.id, "x")
    told = connections.broken(found.id, "It is over.")
    again = connections.reconnect(OWNER, found.id, "a new code")
    assert again
    connection, (message,) = again
    assert (connection.state, connection.reason, message.kind) == ("connecting", None, "connect")
    assert Tasks(catalog).claim(told[0].task_id, "worker") is None
    task = claim(catalog, message)
    with pytest.raises(Settled, match="another account"):
        connections.connected(found.id, "a new token", "dbid:other")
    sent = connections.connected(found.id, "a new token", ACCOUNT)
    assert kinds(sent) == ["listen", "watch"]
    Tasks(catalog).finish(task, Result(sent=sent))
    found = loaded(catalog, found.id)
    assert (found.state, found.secret, found.reason) == ("active", "a new token", None)
    assert [folder.cursor for folder in found.folders] == ["c1"]


def test_one_that_fails_again_says_why_it_failed_now(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    Tasks(catalog).reject(claim(catalog, waiting(catalog, found.id, "watch")), "The first reason.")
    connections.broken(found.id, "The second reason.")
    again = connections.reconnect(OWNER, found.id, "a new code")
    assert again
    Tasks(catalog).reject(claim(catalog, again[1][0]), "The third reason.")
    assert loaded(catalog, found.id).reason == "The third reason."


def test_one_that_broke_may_be_resumed_if_it_ever_worked(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    connections.broken(found.id, "The account was frozen.")
    resumed = connections.resume(OWNER, found.id)
    assert resumed
    assert (resumed[0].state, resumed[0].reason, kinds(resumed[1])) == ("active", None, ["listen", "watch"])


def test_trouble_is_noted_for_the_owner_until_it_is_over(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    connections.troubled(found.id, "Dropbox does not answer.")
    shown = connections.get(OWNER, found.id)
    assert shown
    assert (shown.state, shown.reason) == ("active", "Dropbox does not answer.")
    connections.troubled(found.id, None)
    assert loaded(catalog, found.id).reason is None


def test_disconnecting_stops_everything_and_leaves_the_jobs_that_are_here(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    to_fetch = a_found_job(catalog, found.id)
    here, message = Jobs(catalog).create(NewJob(OWNER, "b.mp4", an_artifact("b.mp4"), connection_id=found.id))
    foreign, _ = a_job(catalog)
    left = connections.disconnect(OWNER, found.id)
    assert left
    assert (left[0].state, kinds(left[1])) == ("leaving", ["disconnect"])
    assert set(states(catalog, found.id).items()) >= {(("watch", 0), "cancelled"), (("listen", 0), "cancelled")}
    assert job_states(catalog, to_fetch, here.id, foreign.id) == ["cancelled", "queued", "queued"]
    assert states(catalog, to_fetch) == {("fetch", 0): "cancelled"}
    assert connections.news([ACCOUNT]) == []
    assert connections.broken(found.id, "Gone.") == []
    task = claim(catalog, left[1][0])
    connections.gone(found.id)
    assert Tasks(catalog).finish(task, Result()) == []
    assert connections.get(OWNER, found.id) is None
    assert job_states(catalog, found.id, to_fetch, here.id) == ["cancelled", "queued"]
    assert claim(catalog, message[0]).connection_id == found.id
    connections.gone(found.id)


def job_states(catalog: Engine, *job_ids: str) -> list[str]:
    with transaction(catalog) as session:
        rows = {job.id: job.state for job in session.scalars(select(JobRow).where(JobRow.id.in_(job_ids)))}
    return [rows[job_id] for job_id in job_ids if job_id in rows]


def test_results_on_their_way_stay_here_after_a_disconnection(catalog: Engine) -> None:
    found, job = a_connection(catalog), None
    job = a_found_job(catalog, found.id)
    with transaction(catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.job_id == job).values(kind="return"))
        session.execute(update(JobRow).where(JobRow.id == job).values(state="done"))
    Connections(catalog).disconnect(OWNER, found.id)
    assert states(catalog, job) == {("return", 0): "cancelled"}
    assert job_states(catalog, job) == ["done"]


def test_disconnecting_may_be_asked_for_again(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    first = connections.disconnect(OWNER, found.id)
    assert first
    Tasks(catalog).reject(claim(catalog, first[1][0]), "It did not work.")
    second = connections.disconnect(OWNER, found.id)
    assert second
    assert kinds(second[1]) == ["disconnect"]
    assert claim(catalog, second[1][0]).kind == "disconnect"
    with pytest.raises(Settled):
        connections.change(OWNER, found.id, wishes("/b"))


def test_folders_that_stay_keep_what_is_known_of_them(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog, "/a", "/b")
    with transaction(catalog) as session:
        session.execute(update(FolderRow).where(FolderRow.connection_id == found.id).values(cursor="c1"))
    changed = connections.change(OWNER, found.id, wishes("/c", "/B", results="none", options={"tags": ["x"]}))
    assert changed
    connection, sent = changed
    assert [(folder.path, folder.cursor, folder.number) for folder in connection.folders] == [
        ("/b", "c1", 1),
        ("/c", None, 2),
    ]
    assert (connection.results, connection.options.tags, kinds(sent)) == ("none", ("x",), ["watch"])


@pytest.mark.parametrize(("before", "after"), [("/a", "/a/b"), ("/a/b", "/a"), ("/a/b", "")])
def test_known_files_stay_known_where_a_folder_grows_or_shrinks(catalog: Engine, before: str, after: str) -> None:
    found = a_connection(catalog, before)
    folder = folder_rows(catalog, found.id)[before]
    a_remote_file(catalog, folder, f"{before}/B/x.mp4" if before == "/a" else f"{before}/x.mp4")
    a_remote_file(catalog, folder, f"{before}/B_/x.mp4")
    Connections(catalog).change(OWNER, found.id, wishes(after))
    with transaction(catalog) as session:
        left = session.execute(select(RemoteFileRow.path, RemoteFileRow.folder_id)).all()
    inside = {"/a": ["/a/B/x.mp4"], "/a/b": ["/a/b/B_/x.mp4", "/a/b/x.mp4"]}[before]
    assert sorted(path for path, _ in left) == inside
    assert {folder_id for _, folder_id in left} == {folder_rows(catalog, found.id)[after].id}


def test_folders_are_not_changed_into_those_of_another_connection(catalog: Engine) -> None:
    connections, first, second = Connections(catalog), a_connection(catalog, "/a"), a_connection(catalog, "/b")
    with pytest.raises(Settled, match="/a"):
        connections.change(OWNER, second.id, wishes("/A/deep"))
    connections.disconnect(OWNER, first.id)
    assert connections.change(OWNER, second.id, wishes("/A/deep"))


def test_only_the_row_of_an_active_connection_is_woken(catalog: Engine) -> None:
    found = a_connection(catalog)
    with transaction(catalog) as session:
        session.execute(update(ConnectionRow).where(ConnectionRow.id == found.id).values(state="leaving"))
    with transaction(catalog) as session:
        assert wake(session, found.id, "watch") == []
        assert wake(session, "0" * 32, "watch") == []
