"""Connections that break, are connected anew, and are given up."""

import pytest
from sqlalchemy import Engine, update

from pipeline.catalog import FolderRow, JobRow, TaskRow
from pipeline.connections import Connections
from pipeline.database import transaction
from pipeline.jobs import Jobs, NewJob, Settled
from pipeline.tasks import Tasks
from pipeline.tests.connecting import (
    ACCOUNT,
    a_connection,
    a_found_job,
    claim,
    job_states,
    kinds,
    loaded,
    states,
    waiting,
    wishes,
)
from pipeline.tests.makers import ADDRESS, OWNER, a_job, an_artifact
from pipeline.work import Result


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
    assert connections.reconnect(OWNER, found.id, "code1")
    connections.broken(found.id, "It did not work.")
    again = connections.reconnect(OWNER, found.id, "code2")
    assert again
    connection, (message,) = again
    assert (connection.state, connection.reason, message.kind) == ("connecting", None, "connect")
    assert connection.secret == "token code2"
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
