"""The contract of the blob port, held by every adapter."""

import contextlib
import errno
import hashlib
import io
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gridfs import GridFSBucket
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient

from pipeline.blobs import CHUNK, BlobMissing, BlobStore, check_id, store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.blobs.gridfs import GridFSBlobs
from pipeline.errors import Full, Unavailable
from pipeline.tests.stores import BATCH, get, ids, put

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, BATCH, BATCH + 1, 20 * 10**6]


def put_half_before(blobs: BlobStore, blob_id: str, fault: Callable[[], None]) -> None:
    with blobs.create(blob_id) as target:
        target.write(bytes(BATCH))
        fault()


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_as_they_were_written(blobs: BlobStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    put(blobs, "a", data)
    assert get(blobs, "a") == data
    assert blobs.size("a") == size


def test_pieces_of_any_length_make_one_blob(blobs: BlobStore) -> None:
    pieces = [random.Random(n).randbytes(n * 7919) for n in range(60)]
    with blobs.create("a") as target:
        for piece in pieces:
            target.write(piece)
    assert get(blobs, "a") == b"".join(pieces)


def test_store_tells_size_and_digest_of_a_file(blobs: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (CHUNK + 5))
    assert store(blobs, "a", path) == (CHUNK + 5, hashlib.sha256(path.read_bytes()).hexdigest())
    assert get(blobs, "a") == path.read_bytes()


def test_a_reader_seeks_to_any_position(blobs: BlobStore) -> None:
    data = random.Random(1).randbytes(3 * CHUNK + 10)
    put(blobs, "a", data)
    with blobs.open("a") as source:
        assert source.seekable()
        for position in [3 * CHUNK, 0, CHUNK - 1, CHUNK, 2 * CHUNK + 77, len(data) - 1, len(data), len(data) + 9]:
            assert source.seek(position) == position
            assert source.read(70_000) == data[position : position + 70_000]
        assert source.seek(-5, io.SEEK_END) == len(data) - 5
        assert source.read() == data[-5:]
        source.seek(10)
        assert source.seek(5, io.SEEK_CUR) == 15
        assert source.read(1) == data[15:16]
        with pytest.raises((ValueError, OSError)):
            source.seek(-1)


def test_two_readers_do_not_disturb_each_other(blobs: BlobStore) -> None:
    put(blobs, "a", b"0123456789")
    with blobs.open("a") as first, blobs.open("a") as second:
        assert first.read(5) == b"01234"
        assert second.read(2) == b"01"
        assert first.read() == b"56789"


@pytest.mark.parametrize("size", [0, 10, BATCH + 10])
def test_an_exception_in_the_block_keeps_nothing(blobs: BlobStore, size: int) -> None:
    with contextlib.suppress(ZeroDivisionError), blobs.create("a") as target:
        target.write(bytes(size))
        raise ZeroDivisionError
    assert ids(blobs) == []
    with pytest.raises(BlobMissing):
        blobs.open("a")
    put(blobs, "a", b"again")
    assert get(blobs, "a") == b"again"


def test_an_exception_of_the_block_is_not_taken_for_the_stores(blobs: BlobStore) -> None:
    with pytest.raises(OSError, match="the client went"), blobs.create("a"):
        raise OSError(errno.EPIPE, "the client went")


def test_a_blob_is_not_there_before_its_block_ends(blobs: BlobStore) -> None:
    with blobs.create("a") as target:
        target.write(bytes(BATCH + 10))
        with pytest.raises(BlobMissing):
            blobs.size("a")
        with pytest.raises(BlobMissing):
            blobs.open("a")


@pytest.mark.parametrize("size", [0, 10])
def test_a_taken_id_is_refused_and_the_blob_stays(blobs: BlobStore, size: int) -> None:
    put(blobs, "a", bytes(size))
    entered = False
    with pytest.raises(FileExistsError), blobs.create("a"):
        entered = True
    assert not entered
    assert get(blobs, "a") == bytes(size)
    assert ids(blobs) == ["a"]


@pytest.mark.parametrize("sizes", [(10, 20), (BATCH + 1, 10), (10, BATCH + 1), (0, 10), (10, 0), (0, 0)])
def test_of_two_writers_of_one_id_one_wins_whole(blobs: BlobStore, sizes: tuple[int, int]) -> None:
    first, second = b"1" * sizes[0], b"2" * sizes[1]
    with contextlib.suppress(FileExistsError), blobs.create("a") as outer:
        outer.write(first)
        with contextlib.suppress(FileExistsError):
            put(blobs, "a", second)
    assert get(blobs, "a") in (first, second)
    assert [blob.bytes for blob in blobs.list()] == [len(get(blobs, "a"))]


def test_a_missing_blob_is_said_to_be_missing(blobs: BlobStore, tmp_path: Path) -> None:
    for ask in (blobs.open, blobs.size):
        with pytest.raises(BlobMissing):
            ask("nothing")
    with pytest.raises(BlobMissing):
        blobs.fetch("nothing", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_delete_removes_and_is_quiet_the_second_time(blobs: BlobStore) -> None:
    put(blobs, "a", b"1")
    put(blobs, "ab", b"2")
    blobs.delete("a")
    blobs.delete("a")
    assert ids(blobs) == ["ab"]
    with pytest.raises(BlobMissing):
        blobs.size("a")
    put(blobs, "a", b"3")
    assert get(blobs, "a") == b"3"


def test_list_tells_id_size_and_time_of_every_blob(blobs: BlobStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    put(blobs, "a", b"")
    put(blobs, "b.mp3", bytes(CHUNK + 1))
    listed = {blob.id: blob for blob in blobs.list()}
    assert {blob.id: blob.bytes for blob in listed.values()} == {"a": 0, "b.mp3": CHUNK + 1}
    assert all(before <= blob.written_at <= datetime.now(UTC) + timedelta(seconds=2) for blob in listed.values())


def test_an_unfinished_blob_is_listed_and_can_be_deleted(blobs: BlobStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    with contextlib.suppress(Unavailable), blobs.create("a") as target:  # its bytes go while it is written
        target.write(bytes(BATCH + 1))
        (unfinished,) = blobs.list()
        assert unfinished.id == "a"
        assert unfinished.bytes >= BATCH
        assert before <= unfinished.written_at <= datetime.now(UTC) + timedelta(seconds=2)
        blobs.delete("a")
        assert ids(blobs) == []
        raise Unavailable


def test_fetch_makes_a_file_of_the_same_bytes(blobs: BlobStore, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(2 * CHUNK + 3)
    put(blobs, "a", data)
    path = tmp_path / "file"
    blobs.fetch("a", path)
    assert path.read_bytes() == data
    path.unlink()
    assert get(blobs, "a") == data


def test_fetch_never_replaces_a_file(blobs: BlobStore, tmp_path: Path) -> None:
    put(blobs, "a", b"1")
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        blobs.fetch("a", path)
    assert path.read_bytes() == b"mine"


def test_a_fetched_file_outlives_its_blob(blobs: BlobStore, tmp_path: Path) -> None:
    put(blobs, "a", b"1")
    blobs.fetch("a", tmp_path / "file")
    blobs.delete("a")
    assert (tmp_path / "file").read_bytes() == b"1"


@pytest.mark.parametrize("blob_id", ["", "../a", "a/b", ".a", "-a", "A", "a\n", "a" * 201, "a\0", "a$b"])
def test_a_malformed_id_is_refused_everywhere(blobs: BlobStore, tmp_path: Path, blob_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: blobs.create(blob_id).__enter__(),
        lambda: blobs.extend(blob_id, 0).__enter__(),
        lambda: blobs.seal(blob_id, 0),
        lambda: blobs.open(blob_id),
        lambda: blobs.size(blob_id),
        lambda: blobs.delete(blob_id),
        lambda: blobs.fetch(blob_id, tmp_path / "file"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="malformed"):
            call()
    assert ids(blobs) == []


def test_the_longest_id_is_good(blobs: BlobStore) -> None:
    put(blobs, "a" * 200, b"1")
    assert ids(blobs) == ["a" * 200]


def test_a_reachable_store_answers_a_ping_and_keeps_nothing_of_it(blobs: BlobStore) -> None:
    blobs.ping()
    assert ids(blobs) == []


@given(st.text())
def test_an_accepted_id_is_a_plain_file_name(text: str) -> None:
    try:
        accepted = check_id(text)
    except ValueError:
        return
    assert Path(accepted).name == text
    assert text == text.lower()
    assert text.isascii()
    assert 1 <= len(text) <= 200


def assert_unavailable(blobs: BlobStore, path: Path, seconds: float) -> None:
    calls: list[Callable[[], object]] = [
        lambda: put(blobs, "b", b"1"),
        lambda: blobs.extend("b", 0).__enter__(),
        lambda: blobs.seal("b", 0),
        lambda: blobs.free(),
        lambda: blobs.open("a"),
        lambda: blobs.size("a"),
        lambda: blobs.delete("a"),
        lambda: blobs.fetch("a", path),
        lambda: list(blobs.list()),
        lambda: blobs.ping(),
    ]
    start = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = [threads.submit(call) for call in calls]
    assert time.monotonic() - start < seconds
    assert [type(answer.exception()) for answer in answers] == [Unavailable] * len(calls)
    assert not path.exists()


def test_a_folder_that_went_is_unavailable(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    (tmp_path / "blobs").rmdir()
    assert_unavailable(blobs, tmp_path / "file", seconds=5)


def test_a_full_disk_is_unavailable_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    blobs = DirectoryBlobs(tmp_path / "blobs")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Full):
        put(blobs, "a", b"1")
    monkeypatch.undo()
    assert ids(blobs) == []


def test_a_name_that_is_not_durable_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synced = []

    def only_files(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    blobs = DirectoryBlobs(tmp_path / "blobs")
    monkeypatch.setattr(os, "fsync", only_files)
    with pytest.raises(Unavailable):
        put(blobs, "a", b"1")
    monkeypatch.undo()
    assert ids(blobs) == []


def test_blobs_are_fetched_from_another_file_system_by_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def elsewhere(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    blobs = DirectoryBlobs(tmp_path / "blobs")
    put(blobs, "a", b"12345")
    monkeypatch.setattr(os, "link", elsewhere)
    blobs.fetch("a", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"12345"


def test_a_directory_starts_again_with_what_it_had(tmp_path: Path) -> None:
    put(DirectoryBlobs(tmp_path / "blobs"), "a", b"1")
    assert get(DirectoryBlobs(tmp_path / "blobs"), "a") == b"1"


def test_foreign_files_in_the_folder_are_no_blobs(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "README").touch()
    assert ids(DirectoryBlobs(tmp_path)) == []


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody listens on, and nobody else gets."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_is_away_is_unavailable_within_seconds(closed_port: int, tmp_path: Path) -> None:
    with contextlib.closing(GridFSBlobs(f"mongodb://127.0.0.1:{closed_port}/spool")) as blobs:
        assert_unavailable(blobs, tmp_path / "file", seconds=20)


def test_a_wrong_url_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a MongoDB URL"):
        GridFSBlobs("mongodb://")


def mongo(url: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(url)


@pytest.mark.servers
def test_a_blob_is_a_gridfs_file_to_other_tools(mongo_url: str) -> None:
    data = random.Random(3).randbytes(BATCH + CHUNK + 5)
    with contextlib.closing(GridFSBlobs(mongo_url)) as blobs, mongo(mongo_url) as client:
        bucket = GridFSBucket(client.get_default_database())
        put(blobs, "ours", data)
        with bucket.open_download_stream("ours") as source:
            assert source.read() == data
        with bucket.open_upload_stream_with_id("theirs", "theirs") as target:
            target.write(data)
        assert get(blobs, "theirs") == data


@pytest.mark.servers
def test_a_server_that_dies_is_unavailable_and_keeps_what_it_acknowledged(
    mongo_url: str, mongo_server: Any, tmp_path: Path
) -> None:
    data = random.Random(4).randbytes(3 * CHUNK)
    with contextlib.closing(GridFSBlobs(mongo_url)) as blobs:
        put(blobs, "a", data)
        reader = blobs.open("a")
        with pytest.raises(Unavailable):
            put_half_before(blobs, "b", mongo_server.kill)
        with pytest.raises(Unavailable):
            reader.read()
        assert_unavailable(blobs, tmp_path / "file", seconds=20)
        mongo_server.start()
        assert get(blobs, "a") == data
        with pytest.raises(BlobMissing):
            blobs.open("b")
        blobs.delete("b")
        assert ids(blobs) == ["a"]


@pytest.mark.servers
def test_a_blob_deleted_while_read_is_missing(mongo_url: str) -> None:
    with contextlib.closing(GridFSBlobs(mongo_url)) as blobs:
        put(blobs, "a", bytes(2 * CHUNK))
        with blobs.open("a") as source:
            source.read(10)
            blobs.delete("a")
            source.seek(CHUNK)
            with pytest.raises(BlobMissing):
                source.read(10)


@pytest.mark.servers
def test_a_damaged_blob_is_never_read_as_a_short_one(mongo_url: str) -> None:
    with contextlib.closing(GridFSBlobs(mongo_url)) as blobs, mongo(mongo_url) as client:
        put(blobs, "a", bytes(2 * CHUNK))
        client.get_default_database().fs.chunks.update_one({"files_id": "a", "n": 1}, {"$set": {"data": b"short"}})
        with pytest.raises(BlobMissing):
            get(blobs, "a")
