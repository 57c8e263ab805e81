"""tus 1.0, request by request: https://tus.io/protocols/resumable-upload"""

import base64
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, update
from werkzeug.http import parse_date
from werkzeug.test import TestResponse

from dev.waiting import eventually
from gateway.app import create_app
from gateway.hashes import REMEMBERED, Hashes, Running
from gateway.tests.conftest import ADA, LIMIT, World
from gateway.tests.exchanges import NOBODYS, TALK, assert_problem
from gateway.tests.servers import dial, read_all, serve
from gateway.tus import VERSION
from pipeline import uploads
from pipeline.accounts import Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, UploadRow
from pipeline.database import now, transaction
from pipeline.errors import Busy
from pipeline.uploads import expire

BYTES = "application/offset+octet-stream"
SHA256 = hashlib.sha256(TALK).hexdigest()
TEXT = b"I am but text\n" * 100


class Tus:
    """A client that says exactly what a test wants."""

    def __init__(self, world: World, app: Any = None, who: dict[str, str] | None = None) -> None:
        self.app, self.who = app or world.app, world.ada if who is None else who

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        given = {"Tus-Resumable": VERSION, **named} if "Tus_Resumable" not in headers else named
        answer = self.app.test_client().open(path, method=method, headers={**self.who, **given}, data=body)
        assert answer.headers["Tus-Resumable"] == VERSION
        return answer

    def create(self, length: int | None = len(TALK), **headers: str | None) -> str:
        size = {"Upload_Length": str(length)} if length is not None else {"Upload_Defer_Length": "1"}
        answer = self.send("POST", "/v1/uploads", **size, **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(self, path: str, offset: int, body: bytes, **headers: str | None) -> TestResponse:
        given = {"Upload_Offset": str(offset), "Content_Type": BYTES, **headers}
        return self.send("PATCH", path, body, **given)

    def head(self, path: str) -> TestResponse:
        return self.send("HEAD", path)

    def offset(self, path: str) -> int:
        return int(self.head(path).headers["Upload-Offset"])

    def part(self, content: bytes) -> str:
        path = self.create(len(content), Upload_Concat="partial")
        assert self.patch(path, 0, content).status_code == 204
        return path


@pytest.fixture
def tus(world: World) -> Tus:
    return Tus(world)


def metadata(**texts: str) -> str:
    return ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in texts.items())


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def set_row(world: World, path: str, **values: Any) -> None:
    with transaction(world.services.jobs.engine) as session:
        session.execute(update(UploadRow).where(UploadRow.id == path.rpartition("/")[2]).values(**values))


def nothing_is_kept(world: World) -> bool:
    with transaction(world.services.jobs.engine) as session:
        rows = list(session.scalars(select(UploadRow.id)))
    return world.is_untouched() and not rows


def assert_talk(world: World, job_id: str) -> None:
    """The job's original is TALK, byte by byte."""
    (artifact,) = world.get(f"/v1/jobs/{job_id}").json["artifacts"]
    assert (artifact["bytes"], artifact["sha256"]) == (len(TALK), SHA256)
    assert world.get(artifact["href"]).data == TALK


def test_everybody_is_told_what_is_spoken(world: World) -> None:
    for path in ("/v1/uploads", f"/v1/uploads/{NOBODYS}"):
        answer = world.client.options(path)
        assert (answer.status_code, answer.data) == (204, b"")
        assert answer.headers["Tus-Resumable"] == answer.headers["Tus-Version"] == "1.0.0"
        assert set(answer.headers["Tus-Extension"].split(",")) == {
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        }
        assert answer.headers["Tus-Max-Size"] == str(LIMIT)
        assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"


def test_an_upload_comes_in_pieces_and_becomes_a_job(world: World, tus: Tus) -> None:
    given = metadata(filename="Gespräch.mp4", language="en", tags="a,b", filetype="video/mp4")
    path = tus.create(Upload_Metadata=given)
    head = tus.head(path)
    assert (head.status_code, head.data, head.headers["Cache-Control"]) == (204, b"", "no-store")
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("0", str(len(TALK)))
    assert head.headers["Upload-Metadata"] == given
    assert "Spool-Job" not in head.headers
    first = tus.patch(path, 0, TALK[:70_000])
    assert (first.status_code, first.headers["Upload-Offset"], first.data) == (204, "70000", b"")
    assert "Spool-Job" not in first.headers
    assert tus.offset(path) == 70_000
    assert world.job_ids() == []
    last = tus.patch(path, 70_000, TALK[70_000:])
    assert last.headers["Upload-Offset"] == str(len(TALK))
    job = world.get(f"/v1/jobs/{last.headers['Spool-Job']}").json
    assert (job["title"], job["options"]["language"], job["options"]["tags"]) == ("Gespräch.mp4", "en", ["a", "b"])
    assert job["options"]["notify"] == [ADA]
    assert_talk(world, job["id"])
    for again in (tus.head(path), tus.patch(path, len(TALK), b"")):
        assert (again.status_code, again.headers["Spool-Job"]) == (204, job["id"])
    assert len(world.job_ids()) == 1
    assert world.queue.depth("extract") == 1


def test_a_name_alone_is_the_files_name_and_none_is_needed(world: World, tus: Tus) -> None:
    for given, title in ((metadata(name="talk.mp4"), "talk.mp4"), ("", "recording"), ("filename", "recording")):
        path = tus.create(Upload_Metadata=given)
        job = tus.patch(path, 0, TALK).headers["Spool-Job"]
        assert world.get(f"/v1/jobs/{job}").json["title"] == title


@pytest.mark.parametrize("split", [0, 50_000, len(TALK)])
def test_a_creation_may_bring_bytes(world: World, tus: Tus, split: int) -> None:
    answer = tus.send("POST", "/v1/uploads", TALK[:split], Upload_Length=str(len(TALK)), Content_Type=BYTES)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(split))
    job = answer.headers.get("Spool-Job")
    assert (job is not None) == (split == len(TALK))
    if not job:
        job = tus.patch(answer.headers["Location"], split, TALK[split:]).headers["Spool-Job"]
    assert_talk(world, job)


@pytest.mark.parametrize("with_bytes", [True, False])
def test_the_length_may_be_said_later(world: World, tus: Tus, with_bytes: bool) -> None:
    path = tus.create(None)
    assert tus.head(path).headers["Upload-Defer-Length"] == "1"
    assert "Upload-Length" not in tus.head(path).headers
    cut = 100_000 if with_bytes else len(TALK)
    assert "Spool-Job" not in tus.patch(path, 0, TALK[:cut]).headers
    last = tus.patch(path, cut, TALK[cut:], Upload_Length=str(len(TALK)))
    assert_talk(world, last.headers["Spool-Job"])
    assert tus.head(path).headers["Upload-Length"] == str(len(TALK))


def test_a_length_once_said_stays(tus: Tus) -> None:
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000], Upload_Length="2000").status_code == 204
    assert tus.patch(path, 1000, TALK[:10], Upload_Length="2000").status_code == 204
    assert_problem(tus.patch(path, 1010, b"", Upload_Length="3000"), 400, "malformed")


@pytest.mark.parametrize(("length", "status"), [("999", 400), ("x", 400), ("0", 400), (str(LIMIT + 1), 413)])
def test_a_length_said_later_has_to_fit(tus: Tus, length: str, status: int) -> None:
    path = tus.create(None)
    tus.patch(path, 0, TALK[:1000])
    assert tus.patch(path, 1000, b"", Upload_Length=length).status_code == status
    assert tus.offset(path) == 1000


def test_an_upload_of_unknown_length_is_bounded(tus: Tus) -> None:
    path = tus.create(None)
    assert_problem(tus.patch(path, 0, bytes(LIMIT + 1)), 413, "too_large")
    assert tus.offset(path) == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksums_are_checked(world: World, tus: Tus, algorithm: str) -> None:
    path, half = tus.create(), 100_000
    good = checksum(TALK[:half], algorithm)
    wrong = tus.patch(path, 0, b"\xff" + TALK[1:half], Upload_Checksum=good)
    assert_problem(wrong, 460, "checksum_wrong")
    assert wrong.status == "460 CHECKSUM MISMATCH"
    assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK[:half], Upload_Checksum=good).status_code == 204
    assert tus.patch(path, half, TALK, Upload_Checksum=good).status_code == 413
    last = tus.patch(path, half, TALK[half:], Upload_Checksum=checksum(TALK[half:], algorithm))
    assert_talk(world, last.headers["Spool-Job"])


@pytest.mark.parametrize("given", ["crc32 AAAA", "sha1 ###", ""])
def test_checksums_that_cannot_be_understood_are_malformed(tus: Tus, given: str) -> None:
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK, Upload_Checksum=given), 400, "malformed")


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.1"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_other_versions_are_not_spoken(world: World, tus: Tus, method: str, version: str | None) -> None:
    path = "/v1/uploads" if method == "POST" else tus.create()
    answer = tus.send(method, path, Tus_Resumable=version, Upload_Length="100")
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, VERSION)
    if method != "HEAD":
        assert_problem(answer, 412, "tus_version")
    if method != "POST":
        assert tus.offset(path) == 0


BAD_UTF8 = base64.b64encode(b"\xff").decode()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Defer_Length": "1"}, 400, "malformed"),
        ({"Upload_Defer_Length": "2"}, 400, "malformed"),
        ({"Upload_Length": "-1"}, 400, "malformed"),
        ({"Upload_Length": "1e3"}, 400, "malformed"),
        ({"Upload_Length": "9" * 40}, 400, "malformed"),
        ({"Upload_Length": "0"}, 422, "file_empty"),
        ({"Upload_Length": str(LIMIT + 1)}, 413, "too_large"),
        ({"Upload_Length": "10", "Upload_Metadata": "filename ###"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": f"filename {BAD_UTF8}"}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": "a YQ==,a YQ=="}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": "a YQ== YQ=="}, 400, "malformed"),
        ({"Upload_Length": "10", "Upload_Metadata": metadata(language="?")}, 422, "invalid"),
        ({"Upload_Length": "10", "Upload_Metadata": metadata(notify="nobody")}, 422, "invalid"),
        ({"Upload_Length": "10", "Upload_Concat": "half"}, 400, "malformed"),
        ({"Upload_Concat": "final;"}, 400, "malformed"),
        ({"Upload_Concat": "final;/elsewhere/a"}, 404, "not_found"),
        ({"Upload_Concat": f"final;/v1/uploads/{NOBODYS}"}, 404, "not_found"),
        ({"Upload_Concat": "final;http://["}, 404, "not_found"),
        ({"Upload_Length": "10", "Upload_Checksum": "none"}, 400, "malformed"),
    ],
)
def test_what_cannot_be_begun_leaves_nothing(
    world: World, tus: Tus, headers: dict[str, str], status: int, code: str
) -> None:
    assert_problem(tus.send("POST", "/v1/uploads", **headers), status, code)
    assert nothing_is_kept(world)


def test_bytes_of_another_type_are_not_taken(world: World, tus: Tus) -> None:
    answer = tus.send("POST", "/v1/uploads", TALK, Upload_Length=str(len(TALK)), Content_Type="video/mp4")
    assert_problem(answer, 415, "media_type")
    assert nothing_is_kept(world)
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK, Content_Type="video/mp4"), 415, "media_type")
    assert tus.offset(path) == 0


@pytest.mark.parametrize(
    ("offset", "status", "code"),
    [("99", 409, "upload_offset"), ("101", 409, "upload_offset"), (None, 400, "malformed"), ("-1", 400, "malformed")],
)
def test_bytes_go_where_the_upload_ends_and_nowhere_else(tus: Tus, offset: str | None, status: int, code: str) -> None:
    path = tus.create()
    tus.patch(path, 0, TALK[:100])
    answer = tus.patch(path, 0, TALK[100:], Upload_Offset=offset)
    assert_problem(answer, status, code)
    if status == 409:
        assert answer.json["offset"] == 100
    assert tus.offset(path) == 100


def test_more_bytes_than_announced_are_not_taken(world: World, tus: Tus) -> None:
    path = tus.create()
    assert_problem(tus.patch(path, 0, TALK + b"x"), 413, "too_large")
    assert tus.offset(path) == 0
    chunked = world.app.test_client().patch(
        path,
        input_stream=io.BytesIO(TALK + b"x"),
        headers={**world.ada, "Tus-Resumable": VERSION, "Upload-Offset": "0", "Transfer-Encoding": "chunked"},
        content_type=BYTES,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert_problem(chunked, 413, "too_large")
    assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK).status_code == 204
    assert_problem(tus.patch(path, len(TALK), b"x"), 413, "too_large")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_what_is_not_there_or_anothers_is_not_found(world: World, tus: Tus, method: str) -> None:
    path, bob = tus.create(), Tus(world, who=world.bob)
    for client, missing in ((bob, path), (tus, f"/v1/uploads/{NOBODYS}"), (tus, "/v1/uploads/x")):
        answer = client.send(method, missing, b"", Upload_Offset="0", Content_Type=BYTES)
        assert answer.status_code == 404
    assert tus.offset(path) == 0


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_nothing_is_done_without_a_token(world: World, tus: Tus, method: str) -> None:
    path = "/v1/uploads" if method == "POST" else tus.create()
    assert Tus(world, who={}).send(method, path, Upload_Length="10").status_code == 401


def test_an_upload_can_be_given_up(world: World, tus: Tus) -> None:
    path = tus.create()
    tus.patch(path, 0, TALK[:1000])
    assert tus.send("DELETE", path).status_code == 204
    eventually(lambda: nothing_is_kept(world))
    for answer in (tus.head(path), tus.patch(path, 1000, TALK[1000:]), tus.send("DELETE", path)):
        assert answer.status_code == 404


def test_giving_a_finished_upload_up_leaves_its_job(world: World, tus: Tus) -> None:
    path = tus.create()
    job = tus.patch(path, 0, TALK).headers["Spool-Job"]
    assert tus.send("DELETE", path).status_code == 204
    world.services.removals.carry_out()
    assert_talk(world, job)


def test_methods_can_be_sent_as_post(world: World, tus: Tus) -> None:
    path = tus.create()

    def post(method: str, body: bytes = b"", **headers: str) -> TestResponse:
        return tus.send("POST", path, body, X_HTTP_Method_Override=method, **headers)

    assert post("PATCH", TALK[:10], Upload_Offset="0", Content_Type=BYTES).headers["Upload-Offset"] == "10"
    assert post("HEAD").headers["Upload-Offset"] == "10"
    assert post("GET").status_code == post("").status_code == 405
    assert post("DELETE").status_code == 204
    assert tus.head(path).status_code == 404


def test_an_upload_expires_a_time_after_its_last_byte(world: World, tus: Tus) -> None:
    path = tus.create()
    set_row(world, path, expires_at=now() + timedelta(minutes=5))
    soon = parse_date(tus.head(path).headers["Upload-Expires"])
    later = parse_date(tus.patch(path, 0, TALK[:10]).headers["Upload-Expires"])
    assert soon
    assert later
    assert later - soon > timedelta(hours=23)
    set_row(world, path, expires_at=now() - timedelta(seconds=1))
    for answer in (tus.patch(path, 10, TALK[10:]), tus.send("DELETE", path)):
        assert_problem(answer, 410, "upload_expired")
    assert tus.head(path).status_code == 410
    assert expire(world.services.jobs.engine, 100) == 1
    world.services.removals.carry_out()
    assert nothing_is_kept(world)
    assert tus.head(path).status_code == 404


def test_expiry_takes_small_steps_and_neither_jobs_nor_what_is_being_written(world: World, tus: Tus) -> None:
    paths = [tus.create() for _ in range(5)]
    job = tus.patch(paths[0], 0, TALK).headers["Spool-Job"]
    for path in paths[:4]:
        set_row(world, path, expires_at=now() - timedelta(seconds=1))
    set_row(world, paths[3], lock="another's", locked_until=now() + timedelta(seconds=60))
    engine = world.services.jobs.engine
    assert [expire(engine, 2), expire(engine, 2), expire(engine, 2)] == [2, 1, 0]
    world.services.removals.carry_out()
    assert_talk(world, job)
    assert tus.head(paths[4]).status_code == 204


@contextmanager
def other_gateways(world: World, count: int) -> Iterator[list[Tus]]:
    """More replicas on the same catalog and blob store."""
    more = [replace(world.services, blobs=DirectoryBlobs(world.folder)) for _ in range(count)]
    yield [Tus(world, create_app(services)) for services in more]
    for services in more:
        services.hub.close()


def test_gateways_take_turns_chunk_by_chunk(world: World, tus: Tus) -> None:
    with other_gateways(world, 2) as others:
        replicas, path, offset = [tus, *others], tus.create(), 0
        for number, start in enumerate(range(0, len(TALK), 30_000)):
            replica = replicas[number % 3]
            assert replica.offset(path) == start
            answer = replica.patch(path, start, TALK[start : start + 30_000])
            offset = int(answer.headers["Upload-Offset"])
        assert offset == len(TALK)
        assert_talk(world, answer.headers["Spool-Job"])
        assert {other.head(path).headers["Spool-Job"] for other in replicas} == {answer.headers["Spool-Job"]}


def test_while_one_writes_another_is_told_at_once(world: World, tus: Tus) -> None:
    path = tus.create()
    with world.services.uploads.locked(_owner(world, path), path.rpartition("/")[2]):
        assert_problem(tus.patch(path, 0, TALK), 423, "locked")
        assert_problem(tus.send("DELETE", path), 423, "locked")
        assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK).status_code == 204


def _owner(world: World, path: str) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(UploadRow.owner).where(UploadRow.id == path.rpartition("/")[2])))


def test_a_lapsed_lock_is_free_and_its_holder_can_commit_nothing(world: World, tus: Tus) -> None:
    path = tus.create()
    with world.services.uploads.locked(_owner(world, path), path.rpartition("/")[2]) as held:
        held.advance(0)
        set_row(world, path, locked_until=now() - timedelta(seconds=1))
        held.advance(0)  # nobody took it
        set_row(world, path, locked_until=now() - timedelta(seconds=1))
        assert tus.patch(path, 0, TALK[:500]).status_code == 204
        for act in (lambda: held.advance(7), held.delete):
            with pytest.raises(Busy):
                act()
    assert tus.offset(path) == 500
    assert tus.patch(path, 500, TALK[500:]).headers["Spool-Job"]


def test_who_leaves_late_frees_no_lock_of_another(world: World, tus: Tus) -> None:
    path = tus.create()
    with world.services.uploads.locked(_owner(world, path), path.rpartition("/")[2]):
        set_row(world, path, lock="another's", locked_until=now() + timedelta(seconds=60))
    assert_problem(tus.patch(path, 0, TALK), 423, "locked")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "POST"])
def test_a_gateway_that_died_before_the_job_leaves_it_to_the_next_request(world: World, tus: Tus, method: str) -> None:
    path = tus.create(Upload_Metadata=metadata(filename="talk.mp4"))
    tus.patch(path, 0, TALK[:-1])
    blob = _blob(world, path)
    with world.services.blobs.extend(blob, len(TALK) - 1) as target:
        target.write(TALK[-1:])
        target.sync()
    set_row(world, path, offset=len(TALK))
    if method == "POST":
        world.services.blobs.seal(blob, len(TALK))
    answer = tus.head(path) if method == "HEAD" else tus.patch(path, len(TALK), b"")
    assert_talk(world, answer.headers["Spool-Job"])
    assert tus.head(path).headers["Spool-Job"] == answer.headers["Spool-Job"]


def _blob(world: World, path: str) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(UploadRow.blob).where(UploadRow.id == path.rpartition("/")[2])))


def test_bytes_that_were_never_committed_are_written_over(world: World, tus: Tus) -> None:
    path = tus.create(None)
    tus.patch(path, 0, TALK[:1000])
    with world.services.blobs.extend(_blob(world, path), 1000) as target:
        target.write(b"lost with its gateway")
        target.sync()
    assert tus.offset(path) == 1000
    job = tus.patch(path, 1000, b"", Upload_Length="1000").headers["Spool-Job"]
    assert world.get(f"/v1/jobs/{job}").json["artifacts"][0]["sha256"] == hashlib.sha256(TALK[:1000]).hexdigest()


def test_what_is_no_recording_ends_with_its_upload(world: World, tus: Tus) -> None:
    path = tus.create(len(TEXT))
    tus.patch(path, 0, TEXT[:100])
    assert_problem(tus.patch(path, 100, TEXT[100:]), 422, "file_not_media")
    assert tus.head(path).status_code == 404
    eventually(lambda: nothing_is_kept(world))


def test_the_same_bytes_again_are_stored_once(world: World, tus: Tus) -> None:
    jobs = [tus.patch(tus.create(), 0, TALK).headers["Spool-Job"] for _ in range(2)]
    eventually(lambda: len(list(world.services.blobs.list())) == 1)
    for job in jobs:
        assert_talk(world, job)


def final(parts: list[str], url: str = "") -> str:
    return "final;" + " ".join(url + part for part in parts)


@pytest.mark.parametrize("url", ["", "http://localhost"])
def test_parts_are_joined_in_their_order(world: World, tus: Tus, url: str) -> None:
    cuts = [0, 90_000, 100_000, len(TALK)]
    parts = [tus.part(TALK[start:end]) for start, end in pairwise(cuts)]
    assert world.job_ids() == []
    assert tus.head(parts[0]).headers["Upload-Concat"] == "partial"
    listed, given = final(parts, url), metadata(filename="whole.mp4")
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=listed, Upload_Metadata=given)
    assert answer.status_code == 201
    path, job = answer.headers["Location"], answer.headers["Spool-Job"]
    assert_talk(world, job)
    assert world.get(f"/v1/jobs/{job}").json["title"] == "whole.mp4"
    head = tus.head(path)
    assert (head.headers["Upload-Concat"], head.headers["Spool-Job"]) == (final(parts), job)
    assert head.headers["Upload-Length"] == head.headers["Upload-Offset"] == str(len(TALK))
    assert_problem(tus.patch(path, len(TALK), b""), 403, "forbidden")
    eventually(lambda: len(list(world.services.blobs.list())) == 1)
    assert {tus.head(part).status_code for part in parts} == {404}
    again = tus.send("POST", "/v1/uploads", Upload_Concat=listed, Upload_Metadata=given)
    assert (again.status_code, again.headers["Location"], again.headers["Spool-Job"]) == (201, path, job)
    assert len(world.job_ids()) == 1


def test_only_own_whole_parts_are_joined(world: World, tus: Tus) -> None:
    whole, half, alone = tus.part(TALK[:1000]), tus.create(1000, Upload_Concat="partial"), tus.create()
    tus.patch(half, 0, TALK[:10])
    bobs = Tus(world, who=world.bob).part(TALK[:1000])
    for parts, status in (([whole, half], 409), ([whole, alone], 409), ([whole, bobs], 404)):
        assert tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)).status_code == status
    assert tus.offset(whole) == 1000
    assert world.job_ids() == []


def test_parts_that_are_too_much_together_are_not_joined(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK), tus.part(TALK)]
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_problem(answer, 413, "too_large")
    assert [tus.offset(part) for part in parts] == [len(TALK)] * 2


def test_parts_that_are_no_recording_end_with_their_upload(world: World, tus: Tus) -> None:
    parts = [tus.part(TEXT[:700]), tus.part(TEXT[700:])]
    assert_problem(tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 422, "file_not_media")
    eventually(lambda: nothing_is_kept(world))


def test_while_one_request_joins_another_is_told_at_once(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK[:1000]), tus.part(TALK[1000:])]
    joined = world.services.uploads.join(_owner(world, parts[0]), [part.rpartition("/")[2] for part in parts], "")
    with world.services.uploads.locked(joined.owner, joined.id):
        assert_problem(tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)), 423, "locked")
        head = tus.head(f"/v1/uploads/{joined.id}")
        assert (head.status_code, "Upload-Offset" in head.headers) == (204, False)
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_talk(world, answer.headers["Spool-Job"])


def test_a_gateway_that_died_while_joining_is_made_up_for(world: World, tus: Tus) -> None:
    parts = [tus.part(TALK[:1000]), tus.part(TALK[1000:])]
    joined = world.services.uploads.join(_owner(world, parts[0]), [part.rpartition("/")[2] for part in parts], "")
    world.services.blobs.seal(_blob(world, parts[0]), 1000)
    with world.services.blobs.extend(joined.blob, 0) as target:
        target.write(TALK[:50])
        target.sync()
    answer = tus.send("POST", "/v1/uploads", Upload_Concat=final(parts))
    assert_talk(world, answer.headers["Spool-Job"])


def test_unfinished_uploads_count_as_stored(world: World) -> None:
    owner_limits = replace(world.services.accounts, defaults=Limits(stored_bytes=len(TALK), day_bytes=2 * len(TALK)))
    services = replace(world.services, accounts=owner_limits)
    tus = Tus(world, create_app(services))
    parts = [tus.create(len(TALK) // 2, Upload_Concat="partial") for _ in range(2)]
    refused = tus.send("POST", "/v1/uploads", Upload_Length="1")
    assert_problem(refused, 413, "quota_stored")
    assert (refused.json["limit"], refused.json["used"], refused.json["asked"]) == (len(TALK), len(TALK), 1)
    for part, start in zip(parts, (0, len(TALK) // 2), strict=True):
        assert tus.patch(part, 0, TALK[start : start + len(TALK) // 2]).status_code == 204
    assert tus.send("POST", "/v1/uploads", Upload_Concat=final(parts)).headers["Spool-Job"]
    assert services.accounts.use(_owner_of_jobs(world)).day_bytes == len(TALK)
    services.hub.close()


def _owner_of_jobs(world: World) -> str:
    with transaction(world.services.jobs.engine) as session:
        return str(session.scalar(select(JobRow.owner)))


def test_an_upload_of_unknown_length_keeps_to_the_quota(world: World) -> None:
    services = replace(world.services, accounts=replace(world.services.accounts, defaults=Limits(stored_bytes=1500)))
    tus = Tus(world, create_app(services))
    path = tus.create(None)
    assert tus.patch(path, 0, TALK[:1000]).status_code == 204
    assert_problem(tus.patch(path, 1000, TALK[:501]), 413, "quota_stored")
    assert_problem(tus.patch(path, 1000, b"", Upload_Length="1501"), 413, "quota_stored")
    assert tus.patch(path, 1000, TALK[1000:1500], Upload_Length="1500").headers["Spool-Job"]
    services.hub.close()


def test_a_user_may_begin_only_so_many(world: World, tus: Tus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_OPEN", 2)
    first = tus.create()
    tus.create()
    assert_problem(tus.send("POST", "/v1/uploads", Upload_Length="10"), 429, "too_many_uploads")
    assert Tus(world, who=world.bob).create()
    tus.patch(first, 0, TALK)
    assert tus.create()


def test_a_client_that_breaks_off_goes_on_where_it_was(world: World, tus: Tus) -> None:
    path = tus.create()
    with serve(world.app) as url, dial(url) as connection:
        connection.sendall(_patch_head(world, path, len(TALK)) + TALK[:150_000])
        connection.shutdown(1)
        read_all(connection)
    assert tus.offset(path) == 150_000
    assert_talk(world, tus.patch(path, 150_000, TALK[150_000:]).headers["Spool-Job"])


def test_of_a_checked_chunk_that_is_cut_nothing_counts(world: World, tus: Tus) -> None:
    path = tus.create()
    with serve(world.app) as url, dial(url) as connection:
        head = _patch_head(world, path, len(TALK), f"Upload-Checksum: {checksum(TALK)}")
        connection.sendall(head + TALK[:150_000])
        connection.shutdown(1)
        read_all(connection)
    assert tus.offset(path) == 0
    assert_talk(world, tus.patch(path, 0, TALK, Upload_Checksum=checksum(TALK)).headers["Spool-Job"])


def _patch_head(world: World, path: str, length: int, *more: str) -> bytes:
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {world.ada['Authorization']}",
        f"Tus-Resumable: {VERSION}",
        "Upload-Offset: 0",
        f"Content-Type: {BYTES}",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_pages_elsewhere_may_upload_only_if_their_origin_is_named(world: World) -> None:
    page, stranger = "https://app.example.org", "https://evil.example.org"
    services = replace(world.services, cors_origins=f"{page} https://other.example.org")
    app = create_app(services)
    asked = {
        "Origin": page,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,tus-resumable,upload-offset,content-type",
    }
    for path in ("/v1/uploads", f"/v1/uploads/{NOBODYS}", "/upload", "/v1/jobs"):
        allowed = app.test_client().options(path, headers=asked)
        assert allowed.status_code in (200, 204)
        assert allowed.headers["Access-Control-Allow-Origin"] == page
        assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
        assert {"authorization", "tus-resumable", "upload-offset"} <= set(
            allowed.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
        )
        refused = app.test_client().options(path, headers={**asked, "Origin": stranger})
        assert "Access-Control-Allow-Origin" not in refused.headers
    answer = Tus(world, app).send("POST", "/v1/uploads", Upload_Length="10", Origin=page)
    exposed = answer.headers["Access-Control-Expose-Headers"].replace(" ", "").split(",")
    assert {"Location", "Upload-Offset", "Upload-Length", "Tus-Resumable", "Spool-Job"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    plain = world.client.options("/v1/uploads", headers=asked)
    assert "Access-Control-Allow-Origin" not in plain.headers
    services.hub.close()


def test_only_so_many_hashes_are_remembered() -> None:
    hashes = Hashes()
    running = Running()
    running.add(b"abc")
    for number in range(REMEMBERED + 1):
        hashes.keep(str(number), running)
    assert hashes.get("0").bytes == 0
    assert hashes.get(str(REMEMBERED)).hexdigest() == hashlib.sha256(b"abc").hexdigest()
    hashes.get("1").add(b"more")
    assert hashes.get("1").bytes == 3
