"""The file as the body: options in the query, digests, and what is refused before a byte of it is read."""

import base64
import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.test import TestResponse

from dev.waiting import eventually
from gateway.multipart import OVERHEAD
from gateway.tests.conftest import ADA, LIMIT, World
from gateway.tests.exchanges import TALK, Unread, a_file, assert_problem, finish
from gateway.tests.servers import dial, read_all, serve
from pipeline import database
from pipeline.catalog import UsageRow


def put(world: World, name: str = "talk.mp4", content: bytes = TALK, query: str = "", **headers: str) -> TestResponse:
    return world.client.put(f"/v1/files/{name}{query}", data=content, headers={**world.ada, **headers})


def digest(name: str, content: bytes) -> str:
    return f"{name}=:{base64.b64encode(hashlib.new(name.replace('-', ''), content).digest()).decode()}:"


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_the_body_is_the_file(world: World, method: str) -> None:
    answer = world.client.open("/v1/files/a%20talk.mp4", method=method, data=TALK, headers=world.ada)
    assert answer.status_code == 202
    job = answer.json
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["title"], job["artifacts"][0]["sha256"]) == ("a talk.mp4", hashlib.sha256(TALK).hexdigest())
    assert world.get(job["artifacts"][0]["href"]).data == TALK


def test_options_are_in_the_query(world: World) -> None:
    query = "?title=My%20talk&language=en&formats=txt,srt&tags=a,b&tags=c&transcribe=yes&notify="
    job = put(world, query=query).json
    assert job["title"] == "My talk"
    assert job["options"]["language"] == "en"
    assert job["options"]["formats"] == ["txt", "srt"]
    assert job["options"]["tags"] == ["a", "b", "c"]
    assert job["options"]["notify"] == []
    assert [stage["name"] for stage in job["stages"]] == ["extract", "encode", "draw", "cut", "transcribe", "merge"]


def test_a_recording_that_is_not_to_be_transcribed_has_no_such_stage(world: World) -> None:
    assert [stage["name"] for stage in put(world, query="?transcribe=no").json["stages"]] == [
        "extract",
        "encode",
        "draw",
        "deliver",
    ]


@pytest.mark.parametrize(
    "query",
    ["?langauge=de", "?language=german", "?formats=odt", "?transcribe=perhaps", "?webhook=x",
     "?notify=a@b.org%0aBcc:c@d.org", "?notify=nobody", "?tags=" + "x" * 51, "?keep_original_days=0"],
)  # fmt: skip
def test_options_that_are_wrong_are_said_before_the_bytes_come(world: World, query: str) -> None:
    answer = world.client.put(f"/v1/files/a.mp4{query}", input_stream=Unread(), headers=world.ada)
    assert_problem(answer, 422, "invalid")
    assert query[1:].split("=")[0] in answer.json["detail"]
    assert world.is_untouched()


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_digest_is_checked(world: World, header: str, algorithm: str) -> None:
    assert put(world, content=TALK, **{header: digest(algorithm, TALK)}).status_code == 202


@pytest.mark.parametrize(
    ("field", "status", "code"),
    [
        (digest("sha-256", b"other"), 422, "digest_wrong"),
        (f"{digest('sha-256', TALK)}, {digest('sha-512', b'other')}", 422, "digest_wrong"),
        ("sha-256=:AAAA", 400, "malformed"),
        ("sha-256=abc", 400, "malformed"),
        ("sha-256=1", 400, "malformed"),
        ("\u00e9", 400, "malformed"),
    ],
)
def test_a_file_with_a_wrong_digest_leaves_nothing(world: World, field: str, status: int, code: str) -> None:
    assert_problem(put(world, content=TALK, **{"Content-Digest": field}), status, code)
    assert world.is_untouched()


def test_digests_that_contradict_each_other_are_refused_unread(world: World) -> None:
    right, wrong = digest("sha-256", TALK), digest("sha-256", b"other")
    for content, whole in ((right, wrong), (wrong, right)):
        headers = {**world.ada, "Content-Digest": content, "Repr-Digest": whole}
        answer = world.client.put("/v1/files/a.mp4", input_stream=Unread(TALK), headers=headers)
        assert_problem(answer, 400, "malformed")
    assert world.is_untouched()
    both = {"Content-Digest": right, "Repr-Digest": f"{right}, {digest('sha-512', TALK)}"}
    assert put(world, content=TALK, **both).status_code == 202


def test_a_digest_of_a_kind_we_do_not_know_is_passed_over(world: World) -> None:
    assert put(world, content=TALK, **{"Content-Digest": "unixsum=:AAAA:, adler=1"}).status_code == 202


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "file_empty"),
        (b"I am but text\n", {}, 422, "file_not_media"),
        (b"\x00" * (LIMIT + 1), {}, 413, "too_large"),
        (TALK, {"Content-Encoding": "gzip"}, 415, "media_type"),
    ],
)
def test_other_files_leave_nothing(
    world: World, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    assert_problem(put(world, content=content, **headers), status, code)
    assert world.is_untouched()


def add_usage(world: World, **usage: Any) -> None:
    """What Ada used before today's test."""
    owner = world.services.tokens.check(world.ada["Authorization"].removeprefix("Bearer ")).owner
    with database.transaction(world.services.catalog) as session:
        session.add(UsageRow(owner=owner, **usage))


@pytest.mark.parametrize(
    ("quota", "limit", "status", "code", "used"),
    [
        ("stored_bytes", len(TALK) + 50_000, 413, "quota_stored", len(TALK)),
        ("day_bytes", len(TALK) + 50_000, 429, "quota_day", len(TALK)),
        ("jobs", 1, 429, "quota_jobs", 1),
        ("month_minutes", 3, 429, "quota_minutes", 3),
    ],
)
@pytest.mark.parametrize(
    ("method", "way", "length"), [("PUT", "/v1/files/b.mp4", 60_000), ("POST", "/upload", 60_000 + OVERHEAD)]
)
def test_what_is_over_a_quota_is_refused_unread_with_the_figures(
    world: World, quota: str, limit: int, status: int, code: str, used: int, method: str, way: str, length: int
) -> None:
    narrow = world.changed(**{f"quota_{quota}": limit})
    assert put(narrow).status_code == 202
    add_usage(narrow, seconds=180.0)
    body, form = Unread(bytes(length)), "multipart/form-data; boundary=b"
    answer = narrow.client.open(way, method=method, input_stream=body, headers=world.ada, content_type=form)
    assert_problem(answer, status, code)
    assert (answer.json["quota"], answer.json["limit"], answer.json["used"]) == (quota, limit, used)
    assert ("Retry-After" in answer.headers) == (status == 429)
    assert len(world.job_ids()) == 1


@pytest.mark.parametrize("way", ["/v1/jobs", "/v1/jobs/{id}/retry"])
def test_other_ways_keep_to_the_quotas_too(world: World, way: str) -> None:
    job_id = put(world).json["id"]
    world.client.post(f"/v1/jobs/{job_id}/cancel", headers=world.ada)
    put(world, content=b"\x00" + TALK)
    answer = world.changed(quota_jobs=1).client.post(
        way.format(id=job_id), json={"url": "https://media.example.org/a.mp4"}, headers=world.ada
    )
    assert_problem(answer, 429, "quota_jobs")


def test_what_is_fetched_may_have_what_room_is_left(world: World) -> None:
    narrow = world.changed(quota_stored_bytes=250_000)
    put(narrow)
    narrow.client.post("/v1/jobs", json={"url": "https://media.example.org/a.mp4"}, headers=world.ada)
    delivery = world.queue.consumer(["fetch"]).receive(1)
    assert delivery
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "a worker")
    assert task
    assert task.args["limit"] == 250_000 - len(TALK)


@pytest.mark.parametrize("way", ["query", "form"])
def test_mails_to_others_are_limited_by_the_day(world: World, way: str) -> None:
    narrow, others = world.changed(quota_day_mails=3), "bob@example.org,carl@example.org"
    assert put(narrow, query=f"?notify={others},{ADA}").status_code == 202
    if way == "query":
        body = Unread(bytes(9))
        answer = narrow.client.put(f"/v1/files/b.mp4?notify={others}", input_stream=body, headers=world.ada)
    else:
        data = {"file": a_file(content=b"\x00" + TALK), "notify": others}
        answer = narrow.client.post("/upload", data=data, headers=world.ada)
    assert_problem(answer, 429, "quota_mails")
    assert (answer.json["limit"], answer.json["used"], answer.json["asked"]) == (3, 2, 2)
    eventually(lambda: len(list(world.services.blobs.list())) == 1)
    assert len(world.job_ids()) == 1


def test_room_is_asked_for_what_comes_and_what_is_to_stay_free(world: World) -> None:
    free = world.services.blobs.free()
    assert free
    near = world.changed(free_bytes=free - 2**29, upload_limit=2**40)  # others write to this disk too
    assert put(near).status_code == 202
    with serve(near.app) as url, dial(url) as connection:
        connection.sendall(head(world, f"Content-Length: {2**30}", "Expect: 100-continue"))
        connection.shutdown(socket.SHUT_WR)
        assert b"507" in read_all(connection)


def test_a_store_without_room_refuses_unread(world: World) -> None:
    answer = world.changed(free_bytes=2**60).client.put(
        "/v1/files/a.mp4", input_stream=Unread(b"123"), headers=world.ada
    )
    assert_problem(answer, 507, "store_full")


def test_the_same_bytes_with_the_same_options_are_there_at_once(world: World) -> None:
    first = put(world).json
    finish(world, first["id"])
    again = put(world, "another name.mp4").json
    assert (again["state"], again["reused"], again["percent"], first["reused"]) == ("done", True, 100, False)
    made = {made["kind"]: made for made in again["artifacts"]}
    assert (made["original"]["name"], made["audio"]["name"]) == ("another name.mp4", "another name.mp3")
    assert world.get(made["audio"]["href"]).data == b"mp3"
    assert world.client.delete(f"/v1/jobs/{first['id']}", headers=world.ada).status_code == 204
    assert world.get(made["audio"]["href"]).data == b"mp3"
    assert world.get(made["original"]["href"]).data == TALK
    assert world.client.delete(f"/v1/jobs/{again['id']}", headers=world.ada).status_code == 204
    eventually(lambda: not list(world.services.blobs.list()))


def test_the_same_bytes_with_other_options_are_stored_once_and_worked_on(world: World) -> None:
    finish(world, put(world).json["id"])
    again = put(world, query="?language=en").json
    assert (again["state"], again["reused"]) == ("queued", False)
    eventually(lambda: sum(blob.bytes for blob in world.services.blobs.list()) == len(TALK) + len(b"mp3"))
    assert world.get(again["artifacts"][0]["href"]).data == TALK


def test_the_same_bytes_of_somebody_else_are_nobodys_business(world: World) -> None:
    finish(world, put(world).json["id"])
    answer = world.client.put("/v1/files/talk.mp4", data=TALK, headers=world.bob).json
    assert (answer["state"], answer["reused"]) == ("queued", False)


@pytest.fixture(params=["cheroot", "gunicorn"])
def url(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """The gateway on each server that it runs on."""
    if request.param == "cheroot":
        with serve(world.app) as address:
            yield address
    else:
        run: Callable[[], AbstractContextManager[Any]] = request.getfixturevalue("run")
        with run() as server:
            yield server.url


@pytest.mark.parametrize("name", ["b.mp4", "a/b.mp4", "a%2Fb.mp4", "a%2fb.mp4", "C:%5Ca%5Cb.mp4", "../a/%2E%2E/b.mp4"])
def test_of_a_path_the_last_part_is_the_name(world: World, url: str, name: str) -> None:
    head = f"PUT /v1/files/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: {world.ada['Authorization']}\r\n"
    with dial(url) as connection:
        connection.sendall(f"{head}Connection: close\r\nContent-Length: {len(TALK)}\r\n\r\n".encode() + TALK)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b'"title":"b.mp4"' in answer


def head(world: World, *lines: str) -> bytes:
    given = [f"Authorization: {world.ada['Authorization']}", "Host: x", "Connection: close", *lines]
    return ("\r\n".join(["PUT /v1/files/talk.mp4 HTTP/1.1", *given]) + "\r\n\r\n").encode()


def chunked(content: bytes, step: int) -> bytes:
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_a_body_in_chunks_is_taken(world: World, url: str) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, "Transfer-Encoding: chunked") + chunked(TALK, 7001) + b"0\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert hashlib.sha256(TALK).hexdigest().encode() in answer


def test_a_body_in_chunks_that_breaks_off_leaves_nothing(world: World, url: str, tmp_path: Path) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, "Transfer-Encoding: chunked") + chunked(TALK, 7001))
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert not answer.startswith(b"HTTP/1.1 2")
    eventually(lambda: not [*tmp_path.glob("stored/*"), *tmp_path.glob("blobs/*")])
    assert httpx.get(f"{url}/v1/jobs", headers=world.ada).json()["items"] == []


def test_a_body_shorter_than_announced_leaves_nothing(world: World, url: str, tmp_path: Path) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, f"Content-Length: {len(TALK)}") + TALK[:-1])
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not [*tmp_path.glob("stored/*"), *tmp_path.glob("blobs/*")]
    assert httpx.get(f"{url}/v1/jobs", headers=world.ada).json()["items"] == []


def test_a_body_of_unknown_length_ends_where_the_quota_does(world: World) -> None:
    narrow = world.changed(quota_stored_bytes=len(TALK) - 1)
    with serve(narrow.app) as address, dial(address) as connection:
        connection.sendall(head(world, "Transfer-Encoding: chunked") + chunked(TALK, 7001) + b"0\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")
    assert world.is_untouched()


def test_a_client_that_asks_before_it_sends_is_answered(world: World, url: str) -> None:
    with dial(url) as connection:
        connection.sendall(head(world, "Expect: 100-continue", f"Content-Length: {len(TALK)}"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(TALK)
        assert read_all(connection).startswith(b"HTTP/1.1 202 ")


def test_an_address_becomes_a_job_that_fetches_it(world: World) -> None:
    body = {"url": "https://media.example.org/talk.mp4", "tags": ["a"], "title": "My talk"}
    answer = world.client.post("/v1/jobs", json=body, headers=world.ada)
    assert answer.status_code == 202
    job = answer.json
    assert (job["stage"], job["title"], job["options"]["tags"], job["artifacts"]) == ("fetch", "My talk", ["a"], [])
    assert job["options"]["notify"] == [ADA]
    delivery = world.queue.consumer(["fetch"]).receive(1)
    assert delivery
    task = world.services.dispatcher.tasks.claim(delivery.message.task_id, "a worker")
    assert task
    assert task.args == {"url": "https://media.example.org/talk.mp4", "limit": LIMIT}


@pytest.mark.parametrize(
    "body", [{}, {"url": "file:///etc/passwd"}, {"url": "x"}, {"url": "https://a.org", "langauge": "de"}, [], "x"]
)
def test_what_is_no_address_is_refused(world: World, body: Any) -> None:
    assert_problem(world.client.post("/v1/jobs", json=body, headers=world.ada), 422, "invalid")
    assert world.job_ids() == []
