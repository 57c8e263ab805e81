"""Connected accounts as their owners see and steer them."""

from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from gateway.tests.conftest import ADA, BOB, World
from gateway.tests.connecting import connect, connections, set_up
from gateway.tests.exchanges import NOBODYS, assert_problem
from pipeline.catalog import RemoteFileRow
from pipeline.database import now, transaction

MEMBERS = {
    *("id", "state", "reason", "account", "folders", "results", "results_folder", "conflict", "options", "files"),
    *("checked_at", "created_at"),
}
STEPS = [("POST", "/pause"), ("POST", "/resume"), ("POST", "/sync"), ("PATCH", ""), ("DELETE", ""), ("GET", "")]


@pytest.fixture
def ready(world: World) -> World:
    return set_up(world)


def do(world: World, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> TestResponse:
    json = body if method == "PATCH" else None
    return world.client.open(f"/v1/connections/{path}", method=method, json=json, headers=headers or world.ada)


def test_a_connection_is_shown_without_what_opens_it(ready: World) -> None:
    found = connect(ready, folders=["/"], results="folder", results_folder="/done/", conflict="skip")
    shown: dict[str, Any] = do(ready, "GET", found).get_json()
    assert connections(ready) == [shown]
    assert set(shown) == MEMBERS
    assert shown["account"] == {"name": "Ada", "email": "ada@dropbox.example"}
    assert (shown["id"], shown["state"], shown["reason"], shown["folders"]) == (found, "active", None, ["/"])
    assert (shown["results"], shown["results_folder"], shown["conflict"]) == ("folder", "/done", "skip")
    assert "token" not in str(shown)
    assert shown["created_at"].endswith("Z")


def test_what_was_found_is_counted(ready: World) -> None:
    found = ready.services.connections.load(connect(ready))
    assert found
    known = {"connection_id": found.id, "folder_id": found.folders[0].id, "rev": "1", "size": 1}
    with transaction(ready.services.catalog) as session:
        for name, state in (("a", "taken"), ("b", "taken"), ("c", "waiting")):
            path = {"path": f"/Recordings/{name}", "path_lower": f"/recordings/{name}", "remote_id": f"id:{name}"}
            times = {"modified_at": now(), "content_hash": "0" * 64, "state": state}
            session.add(RemoteFileRow(id=uuid4().hex, **known, **path, **times))
    assert do(ready, "GET", found.id).json["files"] == {"taken": 2, "waiting": 1}


def test_the_last_error_can_be_read(ready: World) -> None:
    found = connect(ready)
    ready.services.connections.troubled(found, "Dropbox does not answer.")
    assert do(ready, "GET", found).json["reason"] == "Dropbox does not answer."
    ready.services.connections.broken(found, "The permission was withdrawn.")
    shown: dict[str, Any] = do(ready, "GET", found).get_json()
    assert (shown["state"], shown["reason"]) == ("broken", "The permission was withdrawn.")


def test_pause_resume_and_looking_now(ready: World) -> None:
    found = connect(ready)
    synced = do(ready, "POST", f"{found}/sync")
    assert (synced.status_code, synced.json["state"], ready.queue.depth("watch")) == (202, "active", 1)
    paused = do(ready, "POST", f"{found}/pause")
    assert (paused.status_code, paused.json["state"]) == (200, "paused")
    for path in (f"{found}/pause", f"{found}/sync"):
        answer = do(ready, "POST", path)
        assert_problem(answer, 409, "conflict")
        assert "paused" in answer.json["detail"]
    resumed = do(ready, "POST", f"{found}/resume")
    assert (resumed.status_code, resumed.json["state"], ready.queue.depth("watch")) == (200, "active", 2)
    assert_problem(do(ready, "POST", f"{found}/resume"), 409, "conflict")


def test_disconnecting_is_begun_and_done_by_the_queue(ready: World) -> None:
    found = connect(ready)
    left = do(ready, "DELETE", found)
    assert (left.status_code, left.json["state"], ready.queue.depth("disconnect")) == (202, "leaving", 1)
    assert_problem(do(ready, "PATCH", found, folders=["/b"]), 409, "conflict")
    ready.services.connections.gone(found)
    assert_problem(do(ready, "GET", found), 404, "not_found")
    assert connections(ready) == []


@pytest.mark.parametrize(("method", "step"), STEPS)
def test_what_is_not_ones_own_is_not_there(ready: World, method: str, step: str) -> None:
    found = connect(ready)
    before = connections(ready)
    for path, headers in ((found, ready.bob), (NOBODYS, ready.ada), ("x", ready.ada)):
        assert_problem(do(ready, method, f"{path}{step}", headers), 404, "not_found")
    assert connections(ready) == before
    assert connections(ready, ready.bob) == []


@pytest.mark.parametrize(("method", "step"), STEPS)
def test_a_sign_in_is_needed(ready: World, method: str, step: str) -> None:
    answer = ready.client.open(f"/v1/connections/{NOBODYS}{step}", method=method)
    assert_problem(answer, 401, "unauthorized")


def test_a_recording_is_no_connection(ready: World) -> None:
    job = ready.client.put("/v1/files/a.mp4", data=b"\0\0\0\x18ftypmp42" + b"\0" * 64, headers=ready.ada)
    assert job.status_code == 202, job.text
    assert_problem(do(ready, "GET", job.json["id"]), 404, "not_found")
    found = connect(ready)
    assert_problem(ready.client.delete(f"/v1/jobs/{found}", headers=ready.ada), 404, "not_found")
    assert_problem(ready.client.post(f"/v1/jobs/{found}/cancel", headers=ready.ada), 404, "not_found")


def test_what_is_not_named_in_a_change_stays(ready: World) -> None:
    found = connect(ready, results="folder", results_folder="/done", options={"tags": ["a"], "notify": []})
    changed = do(ready, "PATCH", found, folders=["/b/", "/c"])
    assert changed.status_code == 200, changed.text
    assert changed.json["folders"] == ["/b", "/c"]
    assert (changed.json["results"], changed.json["results_folder"]) == ("folder", "/done")
    assert (changed.json["options"]["tags"], changed.json["options"]["notify"]) == (["a"], [])
    changed = do(ready, "PATCH", found, results="beside", conflict="overwrite", options={"notify": [BOB, BOB]})
    assert (changed.json["results"], changed.json["results_folder"]) == ("beside", None)
    assert (changed.json["conflict"], changed.json["folders"]) == ("overwrite", ["/b", "/c"])
    assert (changed.json["options"]["tags"], changed.json["options"]["notify"]) == ([], [BOB])
    assert do(ready, "PATCH", found, options={}).json["options"]["notify"] == [ADA]


@pytest.mark.parametrize(
    "change",
    [
        {"folders": []},
        {"folders": ["a"]},
        {"folders": ["/a", "/a/b"]},
        {"results": "folder"},
        {"results_folder": "/done"},
        {"options": {"model": "no such model"}},
        {"options": {"unheard": 1}},
        {"state": "active"},
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(ready: World, change: dict[str, Any]) -> None:
    found = connect(ready)
    before = do(ready, "GET", found).json
    assert_problem(do(ready, "PATCH", found, **change), 422, "invalid")
    assert do(ready, "GET", found).json == before


def test_a_folder_is_watched_once(ready: World) -> None:
    connect(ready, folders=["/a"])
    second = connect(ready, folders=["/b"])
    answer = do(ready, "PATCH", second, folders=["/A/deep"])
    assert_problem(answer, 409, "conflict")
    assert "/a" in answer.json["detail"]
    assert connections(ready)[1]["folders"] == ["/b"]


def test_options_cost_as_many_mails_to_others_as_an_upload_would(world: World) -> None:
    ready = set_up(world, quota_day_mails=1)
    found = connect(ready)
    others = {"notify": ["one@example.org", "two@example.org"]}
    assert_problem(do(ready, "PATCH", found, options=others), 429, "quota_mails")
