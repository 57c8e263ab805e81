"""Blobs in MongoDB, laid out as GridFS (https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md).

Any GridFS tool reads them. The driver's own streams are not used: they hold 48 MB and more of every file on its way in,
and fetch 16 MB after every seek. Here it is one chunk.
"""

import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, PyMongoError

from pipeline.blobs import CHUNK, BlobMissing, Growing, StoredBlob, Writer, check_id
from pipeline.blobs.gridfs_errors import translated
from pipeline.blobs.gridfs_upload import Upload, resume, seal

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from pymongo.collection import Collection
    from pymongo.database import Database

_OPTIONS: dict[str, Any] = {
    "w": "majority",
    "journal": True,
    "wtimeoutMS": 20_000,
    "serverSelectionTimeoutMS": 3_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 30_000,
    "waitQueueTimeoutMS": 10_000,
    "tz_aware": True,
}

FREE_SECONDS = 10.0


class _Download(io.RawIOBase):
    """A blob that is being read, chunk by chunk."""

    def __init__(self, bucket: "Collection[dict[str, Any]]", file: dict[str, Any]) -> None:
        self._bucket = bucket
        self._id = file["_id"]
        self._length = int(file["length"])
        self._chunk_size = int(file["chunkSize"])
        self._position = 0
        self._number = -1
        self._data = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, target: "WriteableBuffer", /) -> int:
        if self._position >= self._length:
            return 0
        number, start = divmod(self._position, self._chunk_size)
        if number != self._number:
            self._data, self._number = self._fetch(number), number
        wanted = memoryview(target).cast("B")
        part = self._data[start : start + len(wanted)]
        wanted[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _fetch(self, number: int) -> memoryview:
        """Raises BlobMissing if the blob was deleted meanwhile."""
        with translated():
            chunk = self._bucket.chunks.find_one({"files_id": self._id, "n": number}, {"data": True})
        expected = min(self._chunk_size, self._length - number * self._chunk_size)
        if chunk is None or len(chunk["data"]) != expected:
            raise BlobMissing(self._id)
        return memoryview(chunk["data"])


class GridFSBlobs:
    """Keeps blobs in the database that `url` names, `spool` if none. Raises ValueError if `url` is no MongoDB URL.

    It connects when first used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._client: MongoClient[dict[str, Any]] = MongoClient(url, connect=False, **_OPTIONS)
        except ConfigurationError as error:
            raise ValueError(f"not a MongoDB URL: {error}") from error
        self._free: int | None = None
        self._asked = float("-inf")
        self._database: Database[dict[str, Any]] = self._client.get_default_database("spool")

    @contextmanager
    def create(self, blob_id: str) -> Iterator[Writer]:
        check_id(blob_id)
        with translated():
            bucket = self._indexed
            if bucket.files.find_one({"_id": blob_id}) or bucket.chunks.find_one({"files_id": blob_id}, {"n": True}):
                raise FileExistsError(blob_id)
        upload = Upload(bucket, blob_id)
        try:
            yield upload
            upload.finish()
        except BaseException:
            with suppress(PyMongoError):  # what cannot be removed now, the janitor finds
                upload.abort()
            raise

    @contextmanager
    def extend(self, blob_id: str, offset: int) -> Iterator[Growing]:
        check_id(blob_id)
        with translated():
            bucket = self._indexed
        upload = resume(bucket, blob_id, offset)
        try:
            yield upload
        finally:
            with suppress(PyMongoError):  # what cannot be removed now, the next writer drops
                upload.leave()

    def seal(self, blob_id: str, bytes: int) -> None:
        try:
            length = self.size(blob_id)
        except BlobMissing:
            seal(self._bucket, blob_id, bytes)
        else:
            if length != bytes:
                raise ValueError(f"blob {blob_id!r} has {length} bytes, not {bytes}")

    def open(self, blob_id: str) -> BinaryIO:
        return io.BufferedReader(_Download(self._bucket, self._file(blob_id)))

    def fetch(self, blob_id: str, path: Path) -> None:
        with self.open(blob_id) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)

    def size(self, blob_id: str) -> int:
        return int(self._file(blob_id)["length"])

    def delete(self, blob_id: str) -> None:
        check_id(blob_id)
        with translated():
            self._bucket.files.delete_one({"_id": blob_id})
            self._bucket.chunks.delete_many({"files_id": blob_id})

    def list(self) -> Iterator[StoredBlob]:
        with translated():
            for file in self._bucket.files.find({}, {"length": True, "uploadDate": True}):
                yield StoredBlob(file["_id"], int(file["length"]), file["uploadDate"])
            for blob_id in self._unfinished():
                yield from self._describe(blob_id)

    def free(self) -> int | None:
        """Of the server's disk, as it was at most `FREE_SECONDS` ago: asking costs the server more than a small upload."""
        if time.monotonic() - self._asked > FREE_SECONDS:
            with translated():
                self._free = _free(self._database.command("dbStats"))
            self._asked = time.monotonic()
        return self._free

    def ping(self) -> None:
        """A write that matches nothing; the server refuses it if it cannot write."""
        with translated():
            self._bucket.files.delete_one({"_id": "", "length": -1})

    def close(self) -> None:
        self._client.close()

    @property
    def _bucket(self) -> "Collection[dict[str, Any]]":
        return self._database.fs

    @cached_property
    def _indexed(self) -> "Collection[dict[str, Any]]":
        """The bucket, once its chunks are sure to be unique."""
        self._bucket.chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
        return self._bucket

    def _file(self, blob_id: str) -> dict[str, Any]:
        with translated():
            file = self._bucket.files.find_one({"_id": check_id(blob_id)})
        if file is None:
            raise BlobMissing(blob_id)
        return file

    def _unfinished(self) -> Iterator[str]:
        """Ids of chunks without a file. The match lets the server answer from the index alone."""
        files = {"from": self._bucket.files.name, "localField": "_id", "foreignField": "_id", "as": "files"}
        pipeline: Sequence[Mapping[str, Any]] = [
            {"$match": {"files_id": {"$gt": ""}}},
            {"$group": {"_id": "$files_id"}},
            {"$lookup": files},
            {"$match": {"files": []}},
        ]
        for group in self._bucket.chunks.aggregate(pipeline):
            yield group["_id"]

    def _describe(self, blob_id: str) -> Iterator[StoredBlob]:
        """An unfinished blob, as of its latest write; nothing if it went meanwhile."""
        latest = {"$max": {"$ifNull": ["$written", {"$toDate": "$_id"}]}}
        pipeline: Sequence[Mapping[str, Any]] = [
            {"$match": {"files_id": blob_id}},
            {"$group": {"_id": None, "bytes": {"$sum": {"$binarySize": "$data"}}, "latest": latest}},
        ]
        for found in self._bucket.chunks.aggregate(pipeline):
            yield StoredBlob(blob_id, int(found["bytes"]), found["latest"])


def _free(stats: Mapping[str, Any]) -> int | None:
    """From https://www.mongodb.com/docs/manual/reference/command/dbStats/; not every server tells."""
    return int(stats["fsTotalSize"] - stats["fsUsedSize"]) if "fsTotalSize" in stats else None
