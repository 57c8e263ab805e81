"""How bytes get into GridFS: chunk after chunk, in batches, at one go or over several visits.

Every writer has a token, and its chunks carry it. Three rules keep a growing blob whole, without transactions,
whoever dies or wakes up when:
- A chunk is inserted, which fails if its number is taken, or changed only if it still carries the expected token.
- A chunk is full before the one behind it is inserted. A short last chunk is replaced by a fuller one in one step.
- Who takes a blob over puts their token on its last chunk, and removes the chunks behind it whose tokens they saw
  before: never those of somebody who came later. A writer whose last synced chunk is not theirs has lost the blob.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bson import Int64, ObjectId
from pymongo.errors import DuplicateKeyError

from pipeline.blobs import CHUNK, BlobMissing
from pipeline.blobs.gridfs_errors import translated
from pipeline.errors import Busy

if TYPE_CHECKING:
    from pymongo.collection import Collection

    Bucket = Collection[dict[str, Any]]

BATCH = CHUNK
"""Bytes sent at once, each time waiting for the journal. More was no faster, and the driver holds each batch three times."""

_LOST = "another writer has taken the blob over"


class Upload:
    """A blob that is being written. All it sends carries its token, so that `abort` removes nothing but its own."""

    def __init__(self, bucket: "Bucket", blob_id: str) -> None:
        self._bucket = bucket
        self._id = blob_id
        self._token = ObjectId()
        self._buffer = bytearray()  # from the beginning of chunk `_number` on
        self._number = 0
        self._stored = False  # whether that chunk is there already, but short
        self._sent = 0

    def write(self, data: bytes, /) -> None:
        self._buffer += data
        while len(self._buffer) >= BATCH:
            self._send(BATCH)

    def finish(self) -> None:
        self._flush()
        _insert_file(self._bucket, self._id, self._length, self._token)

    def abort(self) -> None:
        self._bucket.files.delete_one({"_id": self._id, "metadata.upload": self._token})
        self._bucket.chunks.delete_many({"files_id": self._id, "upload": self._token})

    @property
    def _length(self) -> int:
        return self._number * CHUNK + len(self._buffer)

    def _flush(self) -> None:
        if self._length > self._sent:
            self._send(len(self._buffer))

    def _send(self, size: int) -> None:
        chunks = [
            {
                "files_id": self._id,
                "n": self._number + number,
                "data": bytes(memoryview(self._buffer)[start : min(start + CHUNK, size)]),
                "upload": self._token,
            }
            for number, start in enumerate(range(0, size, CHUNK))
        ]
        with translated():
            if self._stored:
                _change(self._bucket, self._id, self._number, self._token, data=chunks.pop(0)["data"])
            if chunks:
                self._bucket.chunks.insert_many(chunks)
        whole, rest = divmod(size, CHUNK)
        del self._buffer[: whole * CHUNK]
        self._number += whole
        self._stored = rest > 0
        self._sent = self._number * CHUNK + rest


class GrowingUpload(Upload):
    """A blob that is written over several visits, from `end` on, which it takes over."""

    def __init__(self, bucket: "Bucket", blob_id: str, end: "_End") -> None:
        super().__init__(bucket, blob_id)
        self._synced = end.number
        self._loose = False  # whether anything was sent since
        self._drop(end.number, lambda: end.take(self._token))
        data = end.data[: end.bytes]
        if data != end.data:  # only now: with chunks behind it, it has to be full
            with translated():
                _change(bucket, blob_id, end.number, self._token, data=data)
        self._stored = end.bytes < CHUNK
        self._number = end.number if self._stored else end.number + 1
        self._buffer += data if self._stored else b""
        self._sent = self._length

    def sync(self) -> None:
        """All that was sent is durable; what remains is to know that the blob is still ours."""
        self._flush()
        self._check()
        self._synced = _last(self._length)
        self._loose = False

    def leave(self) -> None:
        """Removes the chunks that were never synced, lest they lie in another writer's way."""
        if self._loose:
            self._bucket.chunks.delete_many({**self._behind(self._synced), "upload": self._token})

    def _send(self, size: int) -> None:
        self._loose = True
        with suppress(FileExistsError):
            return super()._send(size)
        # Those are chunks of one who lost the blob, or it is we who did.
        self._drop(self._number - (not self._stored), self._check)
        try:
            super()._send(size)
        except FileExistsError as error:
            raise Busy(_LOST) from error

    def _check(self) -> None:
        """Raises Busy if the blob is not ours any more."""
        with translated():
            last = self._bucket.chunks.find_one({"files_id": self._id, "n": self._synced}, {"upload": True})
        if not last or last["upload"] != self._token:
            raise Busy(_LOST)

    def _drop(self, number: int, claim: Callable[[], None]) -> None:
        """Removes the chunks behind that one whose writers were at work before the `claim`, which raises Busy if it fails."""
        with translated():
            seen = self._bucket.chunks.distinct("upload", self._behind(number - 1))
            claim()
            self._bucket.chunks.delete_many({**self._behind(number), "upload": {"$in": seen}})

    def _behind(self, number: int) -> dict[str, Any]:
        return {"files_id": self._id, "n": {"$gt": number}}

    @property
    def bytes(self) -> int:
        return self._length


class _End:
    """The chunk in which the first `length` bytes of an unfinished blob end: chunk 0 if they are none."""

    def __init__(self, bucket: "Bucket", blob_id: str, length: int) -> None:
        self._bucket = bucket
        self._id = blob_id
        self.number = _last(length)
        self.bytes = length - self.number * CHUNK
        with translated():
            self.chunk = bucket.chunks.find_one({"files_id": blob_id, "n": self.number})
        self.data = self.chunk["data"] if self.chunk else b""

    def take(self, token: ObjectId) -> None:
        """Puts `token` on it; makes it, if there is none yet. Raises Busy if somebody else just did."""
        if self.chunk:
            _change(self._bucket, self._id, self.number, self.chunk["upload"], upload=token)
        else:
            chunk = {"files_id": self._id, "n": self.number, "data": b"", "upload": token}
            try:
                self._bucket.chunks.insert_one(chunk)
            except DuplicateKeyError:
                raise Busy(_LOST) from None


def resume(bucket: "Bucket", blob_id: str, offset: int) -> GrowingUpload:
    """Takes an unfinished blob over. Raises BlobMissing, FileExistsError and Busy as `BlobStore.extend` does."""
    end = _End(bucket, blob_id, offset)
    with translated():
        # Asked after the chunk was read: who seals a blob takes its last chunk first.
        if bucket.files.find_one({"_id": blob_id}, {"_id": True}):
            raise FileExistsError(blob_id)
    if len(end.data) < end.bytes:
        raise BlobMissing(blob_id)
    return GrowingUpload(bucket, blob_id, end)


def seal(bucket: "Bucket", blob_id: str, length: int) -> None:
    """Makes a file of a grown blob. Raises BlobMissing, ValueError and Busy as `BlobStore.seal` does."""
    end, token = _End(bucket, blob_id, length), ObjectId()
    with translated():
        chunks = bucket.chunks.count_documents({"files_id": blob_id})
        if not chunks:
            raise BlobMissing(blob_id)
        if (chunks, len(end.data)) != (end.number + 1, end.bytes):
            raise ValueError(f"blob {blob_id!r} has not {length} bytes")
        end.take(token)
    with suppress(FileExistsError):  # somebody sealed these very bytes meanwhile
        _insert_file(bucket, blob_id, length, token)


def _last(length: int) -> int:
    """The number of the chunk in which `length` bytes end."""
    return max(0, length - 1) // CHUNK


def _change(bucket: "Bucket", blob_id: str, number: int, expected: ObjectId, **values: Any) -> None:
    """Sets fields of the chunk of that number if it carries the `expected` token. Raises Busy if it does not."""
    values["written"] = datetime.now(UTC)
    chunk = {"files_id": blob_id, "n": number, "upload": expected}
    if not bucket.chunks.update_one(chunk, {"$set": values}).matched_count:
        raise Busy(_LOST)


def _insert_file(bucket: "Bucket", blob_id: str, length: int, token: ObjectId) -> None:
    document = {
        "_id": blob_id,
        "length": Int64(length),
        "chunkSize": CHUNK,
        "uploadDate": datetime.now(UTC),
        "filename": blob_id,
        "metadata": {"upload": token},
    }
    with translated():
        bucket.files.insert_one(document)
