import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from dev.waiting import eventually
from gateway.app import create_app
from gateway.tests.conftest import ADA, LIMIT, World
from gateway.tests.exchanges import TALK, Unread, a_file, assert_problem, upload
from pipeline.catalog import Base
from pipeline.dispatch import Dispatcher
from pipeline.errors import Unavailable
from pipeline.messages import Message
from pipeline.queues.memory import MemoryQueue


def test_an_upload_becomes_a_job_that_waits_for_its_first_worker(world: World) -> None:
    answer = upload(world, {"file": a_file()})
    assert answer.status_code == 202
    job = answer.get_json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert list(job)[:9] == [
        "id", "state", "stage", "percent", "reason", "title", "created_at", "finished_at", "artifacts",
    ]  # fmt: skip
    assert (job["state"], job["stage"], job["percent"], job["title"]) == ("queued", "extract", 0, "talk.mp4")
    assert job["created_at"].endswith("Z")
    assert job["finished_at"] is job["reason"] is None
    (artifact,) = job["artifacts"]
    assert artifact == {
        "name": "talk.mp4",
        "kind": "original",
        "type": "video/mp4",
        "bytes": len(TALK),
        "sha256": hashlib.sha256(TALK).hexdigest(),
        "fid": artifact["fid"],
        "href": f"/v1/jobs/{job['id']}/artifacts/talk.mp4",
        "facts": None,
    }
    assert [stage["name"] for stage in job["stages"]] == [
        "extract",
        "encode",
        "draw",
        "cut",
        "transcribe",
        "merge",
        "deliver",
    ]
    assert world.get(answer.headers["Location"]).json == job


def test_the_file_is_stored_and_the_message_published(world: World) -> None:
    job = upload(world, {"file": a_file()}).json
    (blob,) = world.services.blobs.list()
    with world.services.blobs.open(blob.id) as stored:
        assert stored.read() == TALK
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "a worker")
    assert task
    assert (task.job_id, task.options.notify, task.only("original").blob) == (job["id"], (ADA,), blob.id)
    assert task.trace


def test_the_trace_of_the_upload_goes_on_in_the_job(world: World) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    world.client.post("/upload", data={"f": a_file()}, headers={**world.ada, "traceparent": trace})
    delivery = world.queue.consumer(["extract"]).receive(1)
    assert delivery
    assert trace[3:35] in (delivery.message.trace or "")


def upload_as(world: World, disposition: str, content: bytes = TALK) -> TestResponse:
    """Uploads one file under a Content-Disposition as it stands."""
    body = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n--b--\r\n"
    return world.client.post("/upload", data=body, content_type="multipart/form-data; boundary=b", headers=world.ada)


@pytest.mark.parametrize("field", ["file", "../../etc", "a" * 300, 'qu\\"ote', "new%0D%0Aline", "\U0001f389", ""])
def test_the_field_may_have_any_name(world: World, field: str) -> None:
    assert upload_as(world, f'name="{field}"; filename="talk.mp4"').status_code == 202


def test_the_field_may_have_no_name(world: World) -> None:
    assert upload_as(world, 'filename="talk.mp4"').status_code == 202


@pytest.mark.parametrize(
    ("disposition", "kept"),
    [
        ('filename="../../etc/passwd.mp4"', "passwd.mp4"),
        (r'filename="..\\..\\boot.mp4"', "boot.mp4"),
        ('filename="quo\\"te\'s.mp4"', "quotes.mp4"),
        ("filename*=UTF-8''new%0D%0Aline%00.mp4", "new line.mp4"),
        ('filename="\U0001f389 party.mp4"', "\U0001f389 party.mp4"),
        (
            'filename="\u0418\u043d\u0442\u0435\u0440\u0432\u044c\u044e.mp3"',
            "\u0418\u043d\u0442\u0435\u0440\u0432\u044c\u044e.mp3",
        ),
        ('filename=".."', "recording"),
        ('filename="-rf.mp4"', "rf.mp4"),
        (f'filename="{"x" * 300}.mp4"', "x" * 150 + ".mp4"),
    ],
)
def test_file_names_are_kept_safe(world: World, disposition: str, kept: str) -> None:
    job = upload_as(world, f'name="file"; {disposition}').json
    assert (job["title"], job["artifacts"][0]["name"]) == (kept, kept)
    assert world.get(job["artifacts"][0]["href"]).data == TALK


def test_a_file_name_with_a_line_break_brings_no_headers(world: World) -> None:
    answer = upload_as(world, 'name="f"; filename="a.mp4\r\nX-Evil: 1\r\n\r\n"')
    assert_problem(answer, 422, "file_missing")
    assert world.is_untouched()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.mp3", "audio/mpeg"), ("a.html", "application/octet-stream"), ("a", "application/octet-stream")],
)
def test_the_declared_type_is_not_believed(world: World, name: str, media_type: str) -> None:
    job = upload(world, {"file": (io.BytesIO(TALK), name, "text/html")}).json
    assert job["artifacts"][0]["type"] == media_type


def test_other_fields_are_ignored(world: World) -> None:
    assert upload(world, {"note": "hello", "file": a_file(), "empty": (io.BytesIO(), "")}).status_code == 202
    assert len(list(world.services.blobs.list())) == 1


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({}, 422, "file_missing"),
        ({"file": "only text"}, 422, "file_missing"),
        ({"file": (io.BytesIO(), "")}, 422, "file_missing"),
        ({"file": (io.BytesIO(), "empty.mp4")}, 422, "file_empty"),
        ({"file": (io.BytesIO(b"\x00"), "a.mp4"), "more": (io.BytesIO(b"\x00"), "b.mp4")}, 422, "files_too_many"),
        ({"file": (io.BytesIO(b"I am but text\n"), "text.mp4")}, 422, "file_not_media"),
        ({"file": (io.BytesIO(b"\x00" * (LIMIT + 1)), "a.mp4")}, 413, "too_large"),
    ],
)
def test_other_uploads_leave_nothing(world: World, data: dict[str, Any], status: int, code: str) -> None:
    copies = {
        name: (io.BytesIO(value[0].getvalue()), value[1]) if isinstance(value, tuple) else value
        for name, value in data.items()
    }
    assert_problem(upload(world, copies), status, code)
    assert world.is_untouched()


def test_an_upload_that_announces_too_much_is_refused_unread(world: World) -> None:
    assert_problem(upload_as(world, 'filename="a.mp4"', b"\x00" * 3_000_000), 413, "too_large")
    assert world.is_untouched()


def test_a_file_of_just_the_limit_is_taken(world: World) -> None:
    assert upload(world, {"file": a_file(content=b"\x00" * LIMIT)}).status_code == 202


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("application/json", 415, "media_type"),
        ("video/mp4", 415, "media_type"),
        ("", 415, "media_type"),
        ("application/x-www-form-urlencoded", 415, "media_type"),
        ("multipart/mixed; boundary=b", 415, "media_type"),
        ("multipart/form-data", 400, "malformed"),
        ("multipart/form-data; boundary=", 400, "malformed"),
        ("multipart/form-data; boundary*=UTF-8''%E2%80%A8", 400, "malformed"),
        ("multipart/form-data; boundary=another", 400, "malformed"),
    ],
)
def test_bodies_of_other_types_leave_nothing(world: World, content_type: str, status: int, code: str) -> None:
    answer = world.client.post("/upload", data=b"--b--\r\n", content_type=content_type, headers=world.ada)
    assert_problem(answer, status, code)
    assert world.is_untouched()


def test_without_a_body_there_is_no_file(world: World) -> None:
    content_type = "multipart/form-data; boundary=b"
    answer = world.client.post("/upload", input_stream=io.BytesIO(), content_type=content_type, headers=world.ada)
    assert_problem(answer, 400, "malformed")
    assert world.is_untouched()


def test_an_upload_without_a_catalog_leaves_nothing(world: World) -> None:
    Base.metadata.drop_all(world.services.jobs.engine, tables=[Base.metadata.tables["tasks"]])
    answer = upload(world, {"file": a_file()})
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    eventually(world.is_untouched)


def test_while_the_catalog_cannot_say_whether_the_job_exists_its_blob_is_kept(world: World) -> None:
    """The row may have been committed and only the answer lost: its blob must not go."""
    kept = Base.metadata.tables["accounts"]
    Base.metadata.drop_all(world.services.jobs.engine, tables=[t for t in Base.metadata.sorted_tables if t is not kept])
    assert_problem(upload(world, {"file": a_file()}), 503, "unavailable")
    assert len(list(world.services.blobs.list())) == 1


@pytest.mark.parametrize("away", ["catalog", "token", "boundary"])
def test_what_is_wrong_from_the_start_is_said_before_the_bytes_come(world: World, tmp_path: Path, away: str) -> None:
    if away == "catalog":
        world.services.jobs.engine.dispose()
        (tmp_path / "catalog.db").unlink()
        (tmp_path / "catalog.db").mkdir()
    answer = world.client.post(
        "/upload",
        input_stream=Unread(),
        content_type="multipart/form-data; " + ("" if away == "boundary" else "boundary=b"),
        headers={**({} if away == "token" else world.ada), "Content-Length": "100000"},
    )
    assert answer.status_code == {"catalog": 503, "token": 401, "boundary": 400}[away]
    assert list(world.services.blobs.list()) == []


def test_an_upload_without_a_blob_store_leaves_nothing(world: World) -> None:
    world.folder.rmdir()
    answer = upload(world, {"file": a_file()})
    assert_problem(answer, 503, "unavailable")
    world.folder.mkdir()
    assert world.is_untouched()


class AwayQueue(MemoryQueue):
    """A broker that cannot be reached."""

    def publish(self, message: Message) -> None:
        raise Unavailable("away")


def test_an_upload_is_accepted_while_the_broker_is_away(world: World) -> None:
    tasks = world.services.dispatcher.tasks
    app = create_app(replace(world.services, dispatcher=Dispatcher(tasks, AwayQueue())))
    answer = app.test_client().post("/upload", data={"file": a_file()}, headers=world.ada)
    assert answer.status_code == 202
    assert world.job_ids() == [answer.json["id"]]
    assert [message.job_id for message in tasks.unpublished(0)] == world.job_ids()
