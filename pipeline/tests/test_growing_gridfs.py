"""Blobs that grow in MongoDB, where nobody can be kept out: who comes later wins, and who was before learns of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gridfs import GridFSBucket
from pymongo import MongoClient
from pymongo.collection import Collection

from dev.services.mongo import Mongo
from pipeline.blobs import CHUNK, BlobStore, Growing
from pipeline.blobs.gridfs import GridFSBlobs, _free
from pipeline.errors import Busy, Full
from pipeline.tests.stores import BATCH, get, grow, just_before, put, some

pytestmark = pytest.mark.servers


@pytest.fixture
def mongo_blobs(mongo_url: str) -> Iterator[BlobStore]:
    with contextlib.closing(GridFSBlobs(mongo_url)) as opened:
        yield opened


@pytest.fixture
def bucket(mongo_url: str) -> Iterator[Any]:
    """The collections as any other client sees them."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        yield client.get_default_database().fs


@contextlib.contextmanager
def lost(blobs: BlobStore) -> Iterator[Growing]:
    """A visit that has to end with Busy."""
    with pytest.raises(Busy), blobs.extend("a", 0) as target:
        yield target


def numbers(bucket: Any) -> list[int]:
    return [chunk["n"] for chunk in bucket.chunks.find({"files_id": "a"}, {"n": True}).sort("n")]


@pytest.mark.parametrize("begun", [0, 1, CHUNK, CHUNK + 1, BATCH])
@pytest.mark.parametrize("mine", [0, 7, BATCH + 1])
def test_a_stale_writer_learns_that_it_is_one_and_changes_nothing(
    mongo_blobs: BlobStore, begun: int, mine: int
) -> None:
    with lost(mongo_blobs) as stale:
        stale.write(some(begun))
        stale.sync()
        with mongo_blobs.extend("a", begun) as target:
            with contextlib.suppress(Busy):  # at the latest when it syncs
                stale.write(bytes(BATCH + 1))
            with pytest.raises(Busy):
                stale.sync()
            target.write(some(mine))
            target.sync()
        stale.sync()
    mongo_blobs.seal("a", begun + mine)
    assert get(mongo_blobs, "a") == some(begun) + some(mine)


def test_a_stale_writer_far_ahead_takes_its_chunks_away(mongo_blobs: BlobStore, bucket: Any) -> None:
    with lost(mongo_blobs) as stale:
        stale.write(some(2 * BATCH))
        grow(mongo_blobs, "a", 0, b"mine")
        stale.write(bytes(BATCH))
        assert numbers(bucket) == [0, 8, 9, 10, 11]
        stale.sync()
    assert numbers(bucket) == [0]
    mongo_blobs.seal("a", 4)
    assert get(mongo_blobs, "a") == b"mine"


def stray(number: int) -> dict[str, Any]:
    return {"files_id": "a", "n": number, "data": b"stray", "upload": "a dead writer's"}


@pytest.mark.parametrize("begun", [CHUNK, CHUNK - 5])
def test_chunks_of_a_dead_writer_make_way_for_the_next(mongo_blobs: BlobStore, bucket: Any, begun: int) -> None:
    with mongo_blobs.extend("a", 0) as target:
        target.write(some(begun))
        target.sync()
        bucket.chunks.insert_many([stray(3), stray(4), stray(9)])
        target.write(some(BATCH))
        target.sync()
    assert numbers(bucket) == [0, 1, 2, 3, 4]
    mongo_blobs.seal("a", begun + BATCH)
    assert get(mongo_blobs, "a") == some(begun) + some(BATCH)


def test_chunks_of_a_dead_writer_are_gone_after_the_next_visit(mongo_blobs: BlobStore, bucket: Any) -> None:
    grow(mongo_blobs, "a", 0, b"123")
    bucket.chunks.insert_one(stray(2))
    with pytest.raises(ValueError, match="bytes"):
        mongo_blobs.seal("a", 3)
    grow(mongo_blobs, "a", 3, b"")
    mongo_blobs.seal("a", 3)
    assert get(mongo_blobs, "a") == b"123"


def test_a_visitor_who_wakes_up_on_the_way_in_removes_nothing_of_the_next(
    monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore
) -> None:
    grow(mongo_blobs, "a", 0, b"123" + bytes(BATCH))
    just_before(monkeypatch, Collection, "delete_many", lambda: grow(mongo_blobs, "a", 3, some(BATCH)))
    with pytest.raises(Busy), mongo_blobs.extend("a", 3):
        pass
    mongo_blobs.seal("a", 3 + BATCH)
    assert get(mongo_blobs, "a") == b"123" + some(BATCH)


def test_what_is_sent_while_another_comes_in_is_dropped(
    monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore, bucket: Any
) -> None:
    with lost(mongo_blobs) as stale:
        just_before(monkeypatch, Collection, "update_one", lambda: stale.write(bytes(BATCH)))
        with mongo_blobs.extend("a", 0):
            assert numbers(bucket) == [0]
        stale.sync()


@pytest.mark.parametrize("call", ["distinct", "update_one"])
@pytest.mark.parametrize("size", [0, 3, CHUNK])
def test_a_blob_that_is_sealed_while_it_is_opened_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore, call: str, size: int
) -> None:
    grow(mongo_blobs, "a", 0, some(size))
    just_before(monkeypatch, Collection, call, lambda: mongo_blobs.seal("a", size))
    with pytest.raises(Busy), mongo_blobs.extend("a", size):
        pass
    assert get(mongo_blobs, "a") == some(size)


def test_a_blob_that_is_opened_while_it_is_sealed_grows_on(
    monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore
) -> None:
    grow(mongo_blobs, "a", 0, b"123")
    just_before(monkeypatch, Collection, "update_one", lambda: grow(mongo_blobs, "a", 3, b"more"))
    with pytest.raises(Busy):
        mongo_blobs.seal("a", 3)
    mongo_blobs.seal("a", 7)
    assert get(mongo_blobs, "a") == b"123more"


@pytest.mark.parametrize("call", ["update_one", "insert_one"])
def test_of_two_who_seal_a_blob_none_breaks_it(
    monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore, call: str
) -> None:
    grow(mongo_blobs, "a", 0, b"123")
    just_before(monkeypatch, Collection, call, lambda: mongo_blobs.seal("a", 3))
    with contextlib.suppress(Busy):
        mongo_blobs.seal("a", 3)
    assert get(mongo_blobs, "a") == b"123"


def test_of_two_who_begin_a_blob_one_goes_on(monkeypatch: pytest.MonkeyPatch, mongo_blobs: BlobStore) -> None:
    just_before(monkeypatch, Collection, "insert_one", lambda: grow(mongo_blobs, "a", 0, b"123"))
    with pytest.raises(Busy), mongo_blobs.extend("a", 0):
        pass
    mongo_blobs.seal("a", 3)
    assert get(mongo_blobs, "a") == b"123"


def test_a_blob_with_a_hole_is_not_sealed(mongo_blobs: BlobStore, bucket: Any) -> None:
    grow(mongo_blobs, "a", 0, some(BATCH))
    bucket.chunks.delete_one({"files_id": "a", "n": 1})
    with pytest.raises(ValueError, match="bytes"):
        mongo_blobs.seal("a", BATCH)


def test_a_writer_that_was_sealed_under_changes_nothing(mongo_blobs: BlobStore) -> None:
    with lost(mongo_blobs) as stale:
        stale.write(b"123")
        stale.sync()
        mongo_blobs.seal("a", 3)
        stale.write(b"4")
        stale.sync()
    assert get(mongo_blobs, "a") == b"123"


def test_a_blob_deleted_while_it_grows_leaves_nothing(mongo_blobs: BlobStore, bucket: Any) -> None:
    with lost(mongo_blobs) as target:
        target.write(bytes(BATCH))
        target.sync()
        mongo_blobs.delete("a")
        target.write(bytes(BATCH))
        target.sync()
    assert numbers(bucket) == []


@pytest.mark.parametrize("size", [0, 5, CHUNK, BATCH + 1])
def test_a_grown_blob_is_a_gridfs_file_to_other_tools(mongo_blobs: BlobStore, mongo_url: str, size: int) -> None:
    grow(mongo_blobs, "a", 0, some(size)[: size // 2])
    grow(mongo_blobs, "a", size // 2, some(size)[size // 2 :])
    mongo_blobs.seal("a", size)
    with MongoClient[dict[str, Any]](mongo_url) as client:
        assert GridFSBucket(client.get_default_database()).open_download_stream("a").read() == some(size)


def test_a_server_that_dies_keeps_what_was_synced(mongo_blobs: BlobStore, mongo_server: Any) -> None:
    data = some(BATCH + 5)
    with mongo_blobs.extend("a", 0) as target:
        target.write(data)
        target.sync()
        mongo_server.kill()
    mongo_server.start()
    grow(mongo_blobs, "a", len(data), b"more")
    mongo_blobs.seal("a", len(data) + 4)
    assert get(mongo_blobs, "a") == data + b"more"


class Faulty(Mongo):
    """A server that can be told to fail."""

    def command(self) -> list[str]:
        return [*super().command(), "--enable-test-commands"]


def test_a_full_server_is_said_to_be_full(tmp_path: Path) -> None:
    server = Faulty(tmp_path)
    try:
        server.start()
        with contextlib.closing(GridFSBlobs(server.url)) as blobs, MongoClient[dict[str, Any]](server.url) as client:
            grow(blobs, "a", 0, b"1")
            failure = {"failCommands": ["insert", "update"], "errorCode": 14031}
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=failure)
            with pytest.raises(Full):
                grow(blobs, "a", 1, b"2")
            with pytest.raises(Full):
                put(blobs, "b", b"3")
    finally:
        server.discard()


@pytest.mark.parametrize(
    ("stats", "free"),
    [
        ({"fsTotalSize": 1000.0, "fsUsedSize": 400.0}, 600),
        ({"fsTotalSize": 9, "fsUsedSize": 9}, 0),
        ({"ok": 1.0}, None),
    ],
)
def test_room_is_what_the_servers_disk_has_left(stats: dict[str, float], free: int | None) -> None:
    """https://www.mongodb.com/docs/manual/reference/command/dbStats/ ; the tests' server does not tell."""
    assert _free(stats) == free
