"""A file's bytes on their way in: counted, hashed and looked at once, while they go to the blob store."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

import http_sf

from pipeline.blobs import CHUNK, Writer
from pipeline.problems import Problem
from pipeline.sniff import HEAD, plainly_not_media

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
"""Those of RFC 9530 that are not broken, and Python's names for them."""


LARGE = CHUNK // 4
"""Bytes of a piece that is worth handing to another thread."""


class Receiver:
    """Passes what is written on to `target`, at most `limit` bytes of it. Both methods raise `Problem`.

    Large pieces are hashed in a thread beside the writing: hashlib does not hold the interpreter's lock meanwhile.
    """

    def __init__(self, target: Writer, limit: int, expected: Mapping[str, bytes] | None = None) -> None:
        self.bytes = 0
        self._target = target
        self._limit = limit
        self._expected = dict(expected or {})
        self._digests = {name: hashlib.new(ALGORITHMS[name]) for name in {"sha-256", *self._expected}}
        self._head = b""
        self._beside = ThreadPoolExecutor(1, "digests")
        self._hashed: Future[None] = Future()
        self._hashed.set_result(None)

    @property
    def sha256(self) -> str:
        self._hashed.result()
        return self._digests["sha-256"].hexdigest()

    def write(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > self._limit:
            raise Problem("too_large", limit=self._limit)
        self._head += data[: HEAD - len(self._head)]
        self._hashed.result()
        if len(data) < LARGE:
            self._hash(data)
        else:
            self._hashed = self._beside.submit(self._hash, data)
        self._target.write(data)

    def end(self) -> None:
        """Says what is wrong with the file as a whole."""
        if not self.bytes:
            raise Problem("file_empty")
        if plainly_not_media(self._head):
            raise Problem("file_not_media")
        self._hashed.result()
        for name, digest in self._expected.items():
            if self._digests[name].digest() != digest:
                raise Problem("digest_wrong", f"The bytes that came do not have the {name} that the request names.")

    def _hash(self, data: bytes) -> None:
        for digest in self._digests.values():
            digest.update(data)


def receive(body: IO[bytes], receiver: Receiver, length: int | None) -> None:
    """Reads `body` to its end, which comes after `length` bytes if that is known.

    Raises `Problem`, and werkzeug's HTTPException if the client goes away or sends too much.
    """
    for piece in pieces(body):
        receiver.write(piece)
    if length is not None and receiver.bytes < length:  # not every server says that the client has gone
        raise Problem("malformed", "The body ends too early.")
    receiver.end()


def pieces(body: IO[bytes]) -> Iterator[bytes]:
    """All of `body`, CHUNK by CHUNK. Raises werkzeug's HTTPException if the client goes away or sends too much."""
    while piece := body.read(CHUNK):
        yield piece


def expected_digests(*fields: str | None) -> dict[str, bytes]:
    """What `Content-Digest` and `Repr-Digest` (RFC 9530) promise, by algorithms that we know. Raises `Problem`."""
    found: dict[str, bytes] = {}
    for field in filter(None, fields):
        try:
            given = http_sf.parse(field.encode("ascii"), tltype="dictionary")
        except (ValueError, UnicodeError) as error:
            raise Problem("malformed", "A digest is a dictionary as RFC 9530 describes it: sha-256=:...:") from error
        for name in given.keys() & ALGORITHMS:
            digest = _bytes(given[name][0])
            if found.setdefault(name, digest) != digest:
                raise Problem("malformed", f"Content-Digest and Repr-Digest name different values of {name}.")
    return found


def _bytes(digest: object) -> bytes:
    if not isinstance(digest, bytes):
        raise Problem("malformed", "A digest is given as bytes in base64 between colons (RFC 9651).")
    return digest
