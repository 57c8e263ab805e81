"""The contract of blobs that grow over several visits, held by every adapter."""

import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.blobs import CHUNK, BlobMissing, BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.blobs.gridfs import GridFSBlobs
from pipeline.errors import Busy
from pipeline.tests.stores import BATCH, get, grow, ids, put, some

OFFSETS = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, BATCH, BATCH + 5]


def test_a_blob_grows_at_any_offset_and_is_sealed(blobs: BlobStore) -> None:
    data = some(3 * BATCH + 12_345)
    ends = [0, 1, 1, 999_999, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7, BATCH, 2 * BATCH + 1, len(data)]
    for start, end in zip([0, *ends], ends, strict=False):
        grow(blobs, "a", start, data[start:end])
    blobs.seal("a", len(data))
    assert get(blobs, "a") == data
    assert [(blob.id, blob.bytes) for blob in blobs.list()] == [("a", len(data))]


def test_what_is_synced_within_one_visit_stays_in_order(blobs: BlobStore) -> None:
    pieces = [some(n * 7919) for n in range(1, 40)]
    with blobs.extend("a", 0) as target:
        for number, piece in enumerate(pieces):
            target.write(piece)
            if number % 3 == 0:
                target.sync()
        target.sync()
        target.sync()
    blobs.seal("a", sum(map(len, pieces)))
    assert get(blobs, "a") == b"".join(pieces)


def test_a_writer_counts_from_the_beginning_of_the_blob(blobs: BlobStore) -> None:
    grow(blobs, "a", 0, bytes(CHUNK + 5))
    with blobs.extend("a", CHUNK + 1) as target:
        assert target.bytes == CHUNK + 1
        target.write(bytes(10))
        assert target.bytes == CHUNK + 11
        target.write(bytes(BATCH))
        assert target.bytes == CHUNK + 11 + BATCH


def test_an_empty_blob_can_be_grown_and_sealed(blobs: BlobStore) -> None:
    with blobs.extend("a", 0):
        pass
    assert [(blob.id, blob.bytes) for blob in blobs.list()] == [("a", 0)]
    grow(blobs, "a", 0, b"")
    blobs.seal("a", 0)
    assert get(blobs, "a") == b""
    assert blobs.size("a") == 0


@pytest.mark.parametrize("offset", OFFSETS)
def test_what_lay_behind_the_offset_is_dropped(blobs: BlobStore, offset: int) -> None:
    old, new = some(2 * BATCH + 77), some(CHUNK + 3)
    grow(blobs, "a", 0, old)
    with blobs.extend("a", offset):
        pass
    assert [blob.bytes for blob in blobs.list()] == [offset]
    grow(blobs, "a", offset, new)
    blobs.seal("a", offset + len(new))
    assert get(blobs, "a") == old[:offset] + new


@pytest.mark.parametrize("offset", OFFSETS)
def test_an_exception_keeps_what_was_synced(blobs: BlobStore, offset: int) -> None:
    data = some(offset)
    with contextlib.suppress(ZeroDivisionError), blobs.extend("a", 0) as target:
        target.write(data)
        target.sync()
        target.write(bytes(BATCH + 10))
        raise ZeroDivisionError
    grow(blobs, "a", offset, b"more")
    blobs.seal("a", offset + 4)
    assert get(blobs, "a") == data + b"more"


def test_an_exception_of_the_block_is_not_taken_for_the_stores(blobs: BlobStore) -> None:
    with pytest.raises(OSError, match="the client went"), blobs.extend("a", 0):
        raise OSError("the client went")


@pytest.mark.parametrize(
    ("size", "offset"), [(0, 1), (10, 11), (CHUNK, CHUNK + 1), (CHUNK + 1, BATCH), (BATCH, 9 * BATCH)]
)
def test_an_offset_beyond_the_end_is_missing_and_changes_nothing(blobs: BlobStore, size: int, offset: int) -> None:
    grow(blobs, "a", 0, some(size))
    with pytest.raises(BlobMissing), blobs.extend("a", offset):
        pass
    blobs.seal("a", size)
    assert get(blobs, "a") == some(size)


def test_a_blob_that_was_never_begun_is_missing(blobs: BlobStore) -> None:
    with pytest.raises(BlobMissing), blobs.extend("a", 1):
        pass
    for size in (0, 1):
        with pytest.raises(BlobMissing):
            blobs.seal("a", size)
    assert ids(blobs) == []


def test_a_growing_blob_cannot_be_read(blobs: BlobStore, tmp_path: Path) -> None:
    grow(blobs, "a", 0, b"1")
    for ask in (blobs.open, blobs.size):
        with pytest.raises(BlobMissing):
            ask("a")
    with pytest.raises(BlobMissing):
        blobs.fetch("a", tmp_path / "file")


def test_a_growing_blob_is_listed_with_its_last_write_and_can_be_deleted(blobs: BlobStore) -> None:
    grow(blobs, "a", 0, some(CHUNK + 1))
    (first,) = blobs.list()
    grow(blobs, "a", CHUNK + 1, b"2")
    (second,) = blobs.list()
    assert (second.id, second.bytes) == ("a", CHUNK + 2)
    assert first.written_at < second.written_at <= datetime.now(UTC) + timedelta(seconds=2)
    blobs.delete("a")
    assert ids(blobs) == []
    with pytest.raises(BlobMissing):
        blobs.seal("a", CHUNK + 2)
    put(blobs, "a", b"3")
    assert get(blobs, "a") == b"3"


@pytest.mark.parametrize("size", [0, 10, BATCH + 1])
def test_a_sealed_blob_is_immutable(blobs: BlobStore, size: int) -> None:
    grow(blobs, "a", 0, some(size))
    blobs.seal("a", size)
    blobs.seal("a", size)
    for offset in (0, size, size + 1):
        with pytest.raises(FileExistsError), blobs.extend("a", offset):
            pass
    with pytest.raises(FileExistsError):
        put(blobs, "a", b"other")
    with pytest.raises(ValueError, match="bytes"):
        blobs.seal("a", size + 1)
    assert get(blobs, "a") == some(size)
    assert ids(blobs) == ["a"]


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1, 2 * CHUNK, BATCH + 1])
def test_a_blob_of_another_length_is_not_sealed_and_grows_on(blobs: BlobStore, size: int) -> None:
    grow(blobs, "a", 0, some(size))
    for wrong in (0, size - 1, size + 1, size - CHUNK, size + CHUNK, size + BATCH):
        if wrong >= 0:
            with pytest.raises(ValueError, match="bytes"):
                blobs.seal("a", wrong)
    grow(blobs, "a", size, b"more")
    blobs.seal("a", size + 4)
    assert get(blobs, "a") == some(size) + b"more"


def test_growing_and_created_blobs_do_not_share_an_id(blobs: BlobStore) -> None:
    put(blobs, "a", b"1")
    with pytest.raises(FileExistsError), blobs.extend("a", 0):
        pass
    grow(blobs, "b", 0, b"2")
    with pytest.raises(FileExistsError):
        put(blobs, "b", b"3")
    blobs.seal("b", 1)
    assert [get(blobs, blob_id) for blob_id in ids(blobs)] == [b"1", b"2"]


def test_free_bytes_are_a_number_or_unknown(blobs: BlobStore) -> None:
    put(blobs, "a", b"1")
    free = blobs.free()
    assert free is None or free > 0


class Stale:
    """A writer in a process of its own, which syncs its text, sends more of it, and says how many bytes are synced."""

    TEXT = some(1_000_003)
    CODE = """
import contextlib, random, sys
from pathlib import Path
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.blobs.gridfs import GridFSBlobs
from pipeline.errors import Busy

place, text = sys.argv[1], random.Random(1_000_003).randbytes(1_000_003)
blobs = GridFSBlobs(place) if "://" in place else DirectoryBlobs(Path(place))
with contextlib.suppress(Busy), blobs.extend("a", 0) as target:
    while True:
        target.write(text)
        target.sync()
        synced = target.bytes
        for _ in range(5):
            target.write(text)
        print(synced, flush=True)
        sys.stdin.readline()
print("busy", flush=True)
"""

    def __init__(self, place: str, steps: bool) -> None:
        self._process = subprocess.Popen(
            ["timeout", "60", sys.executable, "-c", self.CODE, place],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE if steps else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def report(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def step(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> int:
        """Ends it without warning; returns how many bytes it synced, as far as it came to say."""
        os.killpg(self._process.pid, signal.SIGKILL)
        rest, _ = self._process.communicate()
        return max([0, *(int(line) for line in rest.split("\n")[:-1])])

    @classmethod
    def wrote(cls, size: int) -> bytes:
        return (cls.TEXT * (size // len(cls.TEXT) + 1))[:size]


def place_of(request: pytest.FixtureRequest, blobs: BlobStore) -> str:
    folder: Path = request.getfixturevalue("tmp_path")
    return str(folder / "blobs") if isinstance(blobs, DirectoryBlobs) else request.getfixturevalue("mongo_url")


@pytest.mark.parametrize("reports", [1, 2, 4])
def test_a_killed_writer_leaves_all_that_it_synced(
    request: pytest.FixtureRequest, blobs: BlobStore, reports: int
) -> None:
    writer = Stale(place_of(request, blobs), steps=False)
    said = [int(writer.report()) for _ in range(reports)]
    offset = max(*said, writer.kill())
    grow(blobs, "a", offset, b"more")
    blobs.seal("a", offset + 4)
    assert get(blobs, "a") == Stale.wrote(offset) + b"more"


def test_a_writer_of_another_process_is_kept_out_or_fenced(request: pytest.FixtureRequest, blobs: BlobStore) -> None:
    writer = Stale(place_of(request, blobs), steps=True)
    offset = int(writer.report())
    if isinstance(blobs, DirectoryBlobs):
        with pytest.raises(Busy), blobs.extend("a", offset):
            pass
        with pytest.raises(Busy):
            blobs.seal("a", offset)
        writer.kill()
    grow(blobs, "a", offset, b"mine")
    if isinstance(blobs, GridFSBlobs):
        writer.step()
        assert writer.report() == "busy"
        writer.kill()
    blobs.seal("a", offset + 4)
    assert get(blobs, "a") == Stale.wrote(offset) + b"mine"
