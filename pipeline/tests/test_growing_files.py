"""Blobs that grow in a directory, where a lock keeps everybody else out."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.blobs import BlobMissing, BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Busy, Unavailable
from pipeline.tests.stores import get, grow, ids, just_before, put


@pytest.fixture
def directory(tmp_path: Path) -> BlobStore:
    return DirectoryBlobs(tmp_path / "blobs")


def test_a_folder_lets_one_writer_in(directory: BlobStore) -> None:
    with directory.extend("a", 0) as target:
        target.write(b"123")
        target.sync()
        for offset in (0, 3):
            with pytest.raises(Busy), directory.extend("a", offset):
                pass
        with pytest.raises(Busy):
            directory.seal("a", 3)
    directory.seal("a", 3)
    assert get(directory, "a") == b"123"


@pytest.mark.parametrize("offset", [0, 3])
def test_a_file_that_is_sealed_while_it_is_opened_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, directory: BlobStore, offset: int
) -> None:
    grow(directory, "a", 0, b"123")
    just_before(monkeypatch, fcntl, "flock", lambda: directory.seal("a", 3))
    with pytest.raises(FileExistsError), directory.extend("a", offset):
        pass
    assert get(directory, "a") == b"123"
    assert ids(directory) == ["a"]


@pytest.mark.parametrize("begun_again", [False, True])
def test_a_file_that_is_deleted_while_it_is_opened_is_not_written(
    monkeypatch: pytest.MonkeyPatch, directory: BlobStore, begun_again: bool
) -> None:
    def delete() -> None:
        directory.delete("a")
        if begun_again:
            grow(directory, "a", 0, b"new")

    grow(directory, "a", 0, b"123")
    just_before(monkeypatch, fcntl, "flock", delete)
    with pytest.raises(Busy if begun_again else BlobMissing), directory.extend("a", 3):
        pass


def test_a_file_begun_beside_a_sealed_one_goes(monkeypatch: pytest.MonkeyPatch, directory: BlobStore) -> None:
    just_before(monkeypatch, os, "open", lambda: put(directory, "a", b"123"))
    with pytest.raises(FileExistsError), directory.extend("a", 0):
        pass
    assert get(directory, "a") == b"123"
    assert ids(directory) == ["a"]


def test_what_a_disk_does_not_take_is_neither_synced_nor_sealed(
    monkeypatch: pytest.MonkeyPatch, directory: BlobStore
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with directory.extend("a", 0) as target:
        target.write(b"123")
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(Unavailable):
            target.sync()
    with pytest.raises(Unavailable):
        directory.seal("a", 3)
    assert ids(directory) == ["a"]
    with pytest.raises(BlobMissing):
        directory.size("a")


def test_a_sealed_file_is_read_only(directory: BlobStore, tmp_path: Path) -> None:
    grow(directory, "a", 0, b"123")
    directory.seal("a", 3)
    assert (tmp_path / "blobs/a").stat().st_mode & 0o777 == 0o400


@settings(deadline=None, max_examples=50)  # it waits for the disk
@given(
    data=st.binary(max_size=300),
    cuts=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50), st.booleans()), max_size=6),
)
def test_a_file_that_grows_in_any_steps_has_exactly_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[tuple[int, int, bool]]
) -> None:
    directory = DirectoryBlobs(tmp_path_factory.mktemp("blobs"))
    grow(directory, "a", 0, b"")
    synced = 0
    for back, size, sync in cuts:
        offset = max(0, synced - back)
        with directory.extend("a", offset) as target:
            target.write(data[offset : offset + size])
            if sync:
                target.sync()
        synced = min(offset + size, len(data)) if sync else offset
    grow(directory, "a", synced, data[synced:])
    directory.seal("a", len(data))
    assert get(directory, "a") == data


FULL = """
import contextlib, json, sys
from pathlib import Path
from pipeline.blobs import store
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Full

blobs, said = DirectoryBlobs(Path(sys.argv[1])), []
free = blobs.free()
with blobs.extend("a", 0) as target:
    target.write(bytes(500_000))
    target.sync()
try:
    with blobs.extend("a", 500_000) as target:
        for _ in range(2_000):
            target.write(bytes(1_001))
except Full:
    said.append("extend")
with blobs.extend("a", 500_000):
    pass
try:
    with blobs.create("b") as target:
        for _ in range(2_000):
            target.write(bytes(1_001))
except Full:
    said.append("create")
blobs.seal("a", 500_000)
print(json.dumps([free, said, [(blob.id, blob.bytes) for blob in blobs.list()]]))
"""


def test_a_full_disk_is_said_to_be_full_and_keeps_what_was_synced(tmp_path: Path) -> None:
    """On a file system of one mebibyte, which only a process with a namespace of its own can see."""
    namespace = ["timeout", "60", "unshare", "--user", "--map-root-user", "--mount"]
    mount = 'mount -t tmpfs -o size=1m none "$0"'
    if subprocess.run([*namespace, "sh", "-c", mount, tmp_path], capture_output=True).returncode:
        pytest.skip("this machine gives no namespace to mount a small file system in")
    done = subprocess.run(
        [*namespace, "sh", "-c", mount + ' && exec "$@"', tmp_path, sys.executable, "-c", FULL, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [2**20, ["extend", "create"], [["a", 500_000]]]
