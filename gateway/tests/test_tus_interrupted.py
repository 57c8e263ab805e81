"""Resumable uploads that are interrupted, shared, or written by two at a time."""

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from dev.waiting import eventually
from gateway.app import create_app
from gateway.hashes import REMEMBERED, Hashes
from gateway.tests.conftest import World
from gateway.tests.exchanges import TALK, assert_problem
from gateway.tests.servers import dial, read_all, serve
from gateway.tests.tus import (
    BYTES,
    Tus,
    assert_talk,
    begun,
    blob_of,
    checksum,
    id_of,
    metadata,
    nothing_is_kept,
    owner,
    set_row,
)
from gateway.tus import VERSION
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.database import now
from pipeline.errors import Busy
from pipeline.fingerprint import Fingerprint


@pytest.fixture
def tus(world: World) -> Tus:
    return Tus(world)


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
    with world.services.uploads.locked(owner(world, path), id_of(path)):
        assert_problem(tus.patch(path, 0, TALK), 423, "locked")
        assert_problem(tus.send("DELETE", path), 423, "locked")
        assert tus.offset(path) == 0
    assert tus.patch(path, 0, TALK).status_code == 204


def test_a_lapsed_lock_is_free_and_its_holder_can_commit_nothing(world: World, tus: Tus) -> None:
    path = tus.create()
    with world.services.uploads.locked(owner(world, path), id_of(path)) as held:
        held.advance(0)
        set_row(world, path, locked_until=now() - timedelta(seconds=1))
        held.advance(0)  # nobody took it
        set_row(world, path, locked_until=now() - timedelta(seconds=1))
        assert tus.patch(path, 0, TALK[:500]).status_code == 204
        acts: tuple[Callable[[], object], ...] = (lambda: held.advance(7), held.delete)
        for act in acts:
            with pytest.raises(Busy):
                act()
    assert tus.offset(path) == 500
    assert tus.patch(path, 500, TALK[500:]).headers["Spool-Job"]


def test_who_leaves_late_frees_no_lock_of_another(world: World, tus: Tus) -> None:
    path = tus.create()
    with world.services.uploads.locked(owner(world, path), id_of(path)):
        set_row(world, path, lock="another's", locked_until=now() + timedelta(seconds=60))
    assert_problem(tus.patch(path, 0, TALK), 423, "locked")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "POST"])
def test_a_gateway_that_died_before_the_job_leaves_it_to_the_next_request(world: World, tus: Tus, method: str) -> None:
    path = tus.create(Upload_Metadata=metadata(filename="talk.mp4"))
    tus.patch(path, 0, TALK[:-1])
    blob = blob_of(world, path)
    with world.services.blobs.extend(blob, len(TALK) - 1) as target:
        target.write(TALK[-1:])
        target.sync()
    set_row(world, path, offset=len(TALK))
    if method == "POST":
        world.services.blobs.seal(blob, len(TALK))
    answer = tus.head(path) if method == "HEAD" else tus.patch(path, len(TALK), b"")
    assert_talk(world, answer.headers["Spool-Job"])
    assert tus.head(path).headers["Spool-Job"] == answer.headers["Spool-Job"]


def test_bytes_that_were_never_committed_are_written_over(world: World, tus: Tus) -> None:
    path = tus.create(None)
    tus.patch(path, 0, TALK[:1000])
    with world.services.blobs.extend(blob_of(world, path), 1000) as target:
        target.write(b"lost with its gateway")
        target.sync()
    assert tus.offset(path) == 1000
    job = tus.patch(path, 1000, b"", Upload_Length="1000").headers["Spool-Job"]
    assert world.get(f"/v1/jobs/{job}").json["artifacts"][0]["sha256"] == hashlib.sha256(TALK[:1000]).hexdigest()


def test_a_client_that_breaks_off_goes_on_where_it_was(world: World, tus: Tus) -> None:
    path = tus.create()
    with serve(world.app) as url, dial(url) as connection:
        connection.sendall(begun(world, "PATCH", path, len(TALK), "Upload-Offset: 0") + TALK[:150_000])
        connection.shutdown(1)
        read_all(connection)
    assert tus.offset(path) == 150_000
    assert_talk(world, tus.patch(path, 150_000, TALK[150_000:]).headers["Spool-Job"])


def test_of_a_checked_chunk_that_is_cut_nothing_counts(world: World, tus: Tus) -> None:
    path = tus.create()
    with serve(world.app) as url, dial(url) as connection:
        head = begun(world, "PATCH", path, len(TALK), "Upload-Offset: 0", f"Upload-Checksum: {checksum(TALK)}")
        connection.sendall(head + TALK[:150_000])
        connection.shutdown(1)
        read_all(connection)
    assert tus.offset(path) == 0
    assert_talk(world, tus.patch(path, 0, TALK, Upload_Checksum=checksum(TALK)).headers["Spool-Job"])


def test_of_a_creation_that_is_cut_nothing_stays(world: World) -> None:
    with serve(world.app) as url, dial(url) as connection:
        head = begun(world, "POST", "/v1/uploads", len(TALK), f"Upload-Length: {len(TALK)}")
        connection.sendall(head + TALK[:150_000])
        connection.shutdown(1)
        assert b" 400 " in read_all(connection)
    eventually(lambda: nothing_is_kept(world))


def test_of_a_creation_whose_bytes_cannot_be_kept_nothing_stays(world: World) -> None:
    headers = {"Tus-Resumable": VERSION, "Upload-Length": str(len(TALK)), "Content-Length": str(len(TALK))}
    body = Trouble(TALK, lambda: shutil.rmtree(world.folder, ignore_errors=True))
    answer = world.client.post("/v1/uploads", input_stream=body, headers={**world.ada, **headers}, content_type=BYTES)
    assert_problem(answer, 503, "unavailable")
    world.folder.mkdir()
    assert nothing_is_kept(world)


def test_who_finds_the_bytes_in_anothers_hands_leaves_them_to_it(world: World, tus: Tus) -> None:
    path = tus.create()
    with (
        other_gateways(world, 1) as (other,),
        world.services.uploads.locked(owner(world, path), id_of(path)) as held,
        world.services.blobs.extend(held.upload.blob, 0) as target,
    ):
        set_row(world, path, locked_until=now() - timedelta(seconds=1))
        for _ in range(2):
            assert_problem(other.patch(path, 0, TALK), 423, "locked")
        target.write(TALK[:1000])
        target.sync()
        held.advance(1000)
    assert tus.offset(path) == 1000
    assert_talk(world, tus.patch(path, 1000, TALK[1000:]).headers["Spool-Job"])


class Trouble(io.BytesIO):
    """A body in the middle of which something happens."""

    def __init__(self, content: bytes, happens: Callable[[], None]) -> None:
        super().__init__(content)
        self._happens = happens

    def readinto(self, target: Any) -> int:
        if self.tell() >= 100_000:
            self._happens()
        return super().readinto(target)


def send_in_trouble(world: World, path: str, happens: Callable[[], None], **headers: str) -> TestResponse:
    named = {"Tus-Resumable": VERSION, "Upload-Offset": "0", "Content-Length": str(len(TALK)), **headers}
    body = Trouble(TALK, happens)
    return world.client.patch(path, input_stream=body, headers={**world.ada, **named}, content_type=BYTES)


@pytest.mark.parametrize("checked", [True, False])
def test_when_the_connection_breaks_what_came_is_kept_unless_it_was_to_be_checked(
    world: World, tus: Tus, checked: bool
) -> None:
    def vanish() -> None:
        raise ConnectionResetError

    path = tus.create()
    headers = {"Upload-Checksum": checksum(TALK)} if checked else {}
    assert send_in_trouble(world, path, vanish, **headers).status_code == 400
    offset = tus.offset(path)
    assert offset == 0 if checked else 100_000 <= offset < len(TALK)
    assert_talk(world, tus.patch(path, offset, TALK[offset:]).headers["Spool-Job"])


def test_who_loses_the_lock_while_writing_commits_nothing_more(world: World, tus: Tus) -> None:
    path = tus.create()
    lost = send_in_trouble(world, path, lambda: set_row(world, path, lock="another's"))
    assert_problem(lost, 423, "locked")
    assert tus.offset(path) == 0
    assert world.job_ids() == []


def test_who_loses_the_upload_while_writing_makes_no_job(world: World, tus: Tus) -> None:
    path = tus.create()
    mine, upload_id = owner(world, path), id_of(path)
    assert_problem(
        send_in_trouble(world, path, lambda: world.services.uploads.forget(mine, [upload_id])), 423, "locked"
    )
    assert tus.head(path).status_code == 404
    assert world.job_ids() == []


def test_only_so_many_hashes_are_remembered() -> None:
    hashes = Hashes()
    running = Fingerprint()
    running.add(b"abc")
    for number in range(REMEMBERED + 1):
        hashes.keep(str(number), running)
    assert hashes.get("0").bytes == 0
    assert hashes.get(str(REMEMBERED)).hexdigest() == hashlib.sha256(b"abc").hexdigest()
    hashes.get("1").add(b"more")
    assert hashes.get("1").bytes == 3
