"""Blobs as files of one folder: `<id>` for a blob, `.<id>` while it is being written."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.blobs import CHUNK, BlobMissing, Growing, StoredBlob, Writer, check_id
from pipeline.errors import Busy, Full, Unavailable


class _File:
    """A blob that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> None:
        with _translated():
            self._file.write(data)

    def sync(self) -> None:
        with _translated():
            self._file.flush()
            os.fsync(self._file.fileno())


class _GrowingFile(_File):
    @property
    def bytes(self) -> int:
        return self._file.tell()


class DirectoryBlobs:
    """Keeps blobs in `folder`, which is made if it is not there. Raises `Unavailable` if that fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with _translated():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def create(self, blob_id: str) -> Iterator[Writer]:
        path, kept = self._path(blob_id), self._unfinished(blob_id)
        with _translated():
            # Whoever makes this name holds the id, so the rename below can overwrite nothing.
            file = _new_file(kept)
        try:
            with _closing(file):
                if path.exists():
                    raise FileExistsError(blob_id)
                target = _File(file)
                yield target
                target.sync()
            with _translated():
                kept = kept.rename(path)
                self._sync_folder()
        except BaseException:
            with suppress(OSError):
                kept.unlink()
            raise

    @contextmanager
    def extend(self, blob_id: str, offset: int) -> Iterator[Growing]:
        file = self._hold(blob_id, 0 if offset else os.O_CREAT)
        with _closing(file):
            with _translated():
                if os.fstat(file.fileno()).st_size < offset:
                    raise BlobMissing(blob_id)
                file.truncate(offset)
                file.seek(offset)
                if not offset:
                    self._sync_folder()
            yield _GrowingFile(file)

    def seal(self, blob_id: str, bytes: int) -> None:
        try:
            file = self._hold(blob_id)
        except (BlobMissing, FileExistsError):
            length = self.size(blob_id)
        else:
            with _closing(file), _translated():
                length = os.fstat(file.fileno()).st_size
                if length == bytes:
                    os.fsync(file.fileno())
                    self._unfinished(blob_id).rename(self._path(blob_id))
        if length != bytes:
            raise ValueError(f"blob {blob_id!r} has {length} bytes, not {bytes}")
        with _translated():  # also for one that was sealed before: maybe that ended just here
            self._path(blob_id).chmod(0o400)
            self._sync_folder()

    def open(self, blob_id: str) -> BinaryIO:
        path = self._path(blob_id)
        with self._missing(blob_id):
            return path.open("rb")

    def fetch(self, blob_id: str, path: Path) -> None:
        with self.open(blob_id) as source:
            try:
                path.hardlink_to(self._path(blob_id))
            except FileExistsError:
                raise
            except OSError:  # another file system, or one without links
                with path.open("xb") as target:
                    shutil.copyfileobj(source, target, CHUNK)

    def size(self, blob_id: str) -> int:
        path = self._path(blob_id)
        with self._missing(blob_id):
            return path.stat().st_size

    def delete(self, blob_id: str) -> None:
        with _translated():
            self._path(blob_id).unlink(missing_ok=True)
            self._unfinished(blob_id).unlink(missing_ok=True)
            self._sync_folder()

    def list(self) -> Iterator[StoredBlob]:
        with _translated(), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, ValueError):
                    yield _describe(entry)

    def free(self) -> int | None:
        with _translated():
            return shutil.disk_usage(self._folder).free

    def ping(self) -> None:
        with _translated(), tempfile.TemporaryFile(dir=self._folder, prefix="ping_") as file:
            file.write(b"ping")

    def close(self) -> None:
        pass

    def _path(self, blob_id: str) -> Path:
        return self._folder / check_id(blob_id)

    def _unfinished(self, blob_id: str) -> Path:
        return self._folder / f".{check_id(blob_id)}"

    def _hold(self, blob_id: str, flags: int = 0) -> BinaryIO:
        """The unfinished blob, for this handle alone. Raises BlobMissing, Busy, and FileExistsError if it is finished."""
        path, kept = self._path(blob_id), self._unfinished(blob_id)
        with self._missing(blob_id):
            try:
                file = _locked(kept, flags)
            except FileNotFoundError:
                if not path.exists():
                    raise
            else:
                if not path.exists():
                    return file
                file.close()
                kept.unlink(missing_ok=True)
            raise FileExistsError(blob_id)

    def _sync_folder(self) -> None:
        """A new name is durable only once its folder is."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _missing(self, blob_id: str) -> Iterator[None]:
        with _translated():
            try:
                yield
            except FileNotFoundError:
                if not self._folder.is_dir():
                    raise
                raise BlobMissing(blob_id) from None


def _new_file(path: Path) -> BinaryIO:
    """To be written by this handle alone: blobs are immutable, and a fetched file may be the very same inode."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400), "wb")


def _locked(path: Path, flags: int) -> BinaryIO:
    """Opens the file at `path` for writing. Raises BlockingIOError while another handle, in any process, has it so."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600), "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise BlockingIOError(f"{path.name} was replaced before it was locked")
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def _closing(file: BinaryIO) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(OSError):  # bytes that cannot be written now were never synced
            file.close()


def _describe(entry: os.DirEntry[str]) -> StoredBlob:
    """Raises ValueError for what is no blob, FileNotFoundError for one that went meanwhile."""
    blob_id = check_id(entry.name.removeprefix("."))
    stat = entry.stat(follow_symlinks=False)
    return StoredBlob(blob_id, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except BlockingIOError as error:
        raise Busy("the blob is being written by somebody else") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full("the blob folder has no room") from error
        raise Unavailable("the blob folder cannot be used") from error
