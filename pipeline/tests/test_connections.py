"""Connections as their owners steer them, and as what works on them finds them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, update

from pipeline import connections as module
from pipeline import task_rows
from pipeline.catalog import Base, ConnectionRow, TaskRow
from pipeline.connection_rows import keep_open, lock, wake
from pipeline.connections import Connections
from pipeline.database import connect, now, transaction
from pipeline.jobs import Jobs, Settled
from pipeline.tasks import Tasks
from pipeline.tests.connecting import (
    ACCOUNT,
    STRANGER,
    a_connection,
    a_found_job,
    a_remote_file,
    a_while_later,
    claim,
    folder_rows,
    kinds,
    loaded,
    states,
    waiting,
    wishes,
)
from pipeline.tests.makers import ADDRESS, OWNER, a_job
from pipeline.work import Result


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
    assert loaded(catalog, found.id).secret == "token"


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


def test_who_pauses_and_resumes_does_not_hurry_what_fails(catalog: Engine) -> None:
    """Dropbox may want to be left alone until then."""
    connections, found = Connections(catalog), a_connection(catalog)
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    Tasks(catalog).retry(task, "Leave me alone.", 3600)
    due = _due(catalog, task.id)
    connections.pause(OWNER, found.id)
    resumed = connections.resume(OWNER, found.id)
    assert resumed
    assert "watch" not in kinds(resumed[1])
    assert _due(catalog, task.id) == due


def test_a_fetch_that_finds_it_paused_while_it_is_resumed_comes_back(catalog: Engine) -> None:
    connections, found = Connections(catalog), a_connection(catalog)
    held = a_found_job(catalog, found.id)
    connections.pause(OWNER, found.id)
    task = claim(catalog, waiting(catalog, held, "fetch"))
    a_while_later(catalog)
    connections.resume(OWNER, found.id)
    assert kinds(Tasks(catalog).finish(task, Result(again=3600))) == ["fetch"]


def test_looking_now_makes_what_waits_due_and_wakes_what_runs(catalog: Engine) -> None:
    connections, tasks, found = Connections(catalog), Tasks(catalog), a_connection(catalog)
    first = claim(catalog, waiting(catalog, found.id, "watch"))
    assert tasks.finish(first, Result(again=900)) == []
    a_while_later(catalog)
    synced = connections.sync(OWNER, found.id)
    assert synced
    assert kinds(synced[1]) == ["watch"]
    running = claim(catalog, synced[1][0])
    a_while_later(catalog)
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
    assert Tasks(catalog).finish(running, Result(again=900)) == []
    assert _due(catalog, running.id) < now() + timedelta(seconds=task_rows.APART)


def test_looking_again_and_again_keeps_a_distance(catalog: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_rows, "APART", 600.0)
    connections, found = Connections(catalog), a_connection(catalog)
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    assert Tasks(catalog).finish(task, Result(again=900)) == []
    for _ in range(2):
        synced = connections.sync(OWNER, found.id)
        assert synced
        assert synced[1] == []
        assert now() + timedelta(seconds=500) < _due(catalog, task.id) < now() + timedelta(seconds=600)


def test_what_fails_is_looked_at_when_it_is_time(catalog: Engine) -> None:
    """Dropbox may want to be left alone until then."""
    connections, found = Connections(catalog), a_connection(catalog)
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    Tasks(catalog).retry(task, "Leave me alone.", 3600)
    a_while_later(catalog)
    due = _due(catalog, task.id)
    for asked in (connections.sync(OWNER, found.id), connections.change(OWNER, found.id, wishes("/b"))):
        assert asked
        assert asked[1] == []
    assert _due(catalog, task.id) == due
    again = Tasks(catalog).claim(task.id, "worker")
    assert again
    a_while_later(catalog)
    connections.sync(OWNER, found.id)
    assert kinds(Tasks(catalog).finish(again, Result(again=900))) == ["watch"]


def _due(catalog: Engine, task_id: str) -> datetime:
    with transaction(catalog) as session:
        return session.get_one(TaskRow, task_id).due_at


@pytest.mark.servers
def test_news_wait_for_nobody_who_works_on_the_account(new_database: Callable[[], str]) -> None:
    engine = connect(new_database(), seconds=3)
    Base.metadata.create_all(engine)
    found = a_connection(engine)
    with transaction(engine) as session:
        lock(session, found.id)
        assert kinds(Connections(engine).news([ACCOUNT])) == ["watch"]
    engine.dispose()


def test_news_that_come_while_it_is_looked_have_it_looked_again(catalog: Engine) -> None:
    found = a_connection(catalog)
    running = claim(catalog, waiting(catalog, found.id, "watch"))
    with transaction(catalog) as session:
        ahead = update(TaskRow).where(TaskRow.id == running.id).values(started_at=now() + timedelta(seconds=60))
        session.execute(ahead)
    assert Connections(catalog).news([ACCOUNT]) == []
    assert Tasks(catalog).finish(running, Result(again=900)) == []
    assert _due(catalog, running.id) < now() + timedelta(seconds=task_rows.APART)


def test_news_do_not_hurry_what_fails(catalog: Engine) -> None:
    found = a_connection(catalog)
    task = claim(catalog, waiting(catalog, found.id, "watch"))
    Tasks(catalog).retry(task, "Dropbox wants to be left alone.", 600)
    assert Connections(catalog).news([ACCOUNT]) == []
    assert "watch" not in kinds(Tasks(catalog).unpublished(0))


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
    a_while_later(catalog)
    with transaction(catalog) as session:
        assert len(wake(session, found.id, "listen")) == 2


def test_only_the_row_of_an_active_connection_is_woken(catalog: Engine) -> None:
    found = a_connection(catalog)
    with transaction(catalog) as session:
        session.execute(update(ConnectionRow).where(ConnectionRow.id == found.id).values(state="leaving"))
    with transaction(catalog) as session:
        assert wake(session, found.id, "watch") == []
        assert wake(session, "0" * 32, "watch") == []
