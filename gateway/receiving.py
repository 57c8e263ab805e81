"""A file's bytes on their way in: counted, hashed and looked at once, while they go to the blob store."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import IO

import http_sf

from pipeline.blobs import CHUNK, Writer
from pipeline.fingerprint import Fingerprint
from pipeline.problems import Problem

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
"""Those of RFC 9530 that are not broken, and Python's names for them."""


class Receiver:
    """Passes what is written on to `target`, at most `limit` bytes of it. All methods raise `Problem`."""

    def __init__(self, target: Writer, limit: int, expected: Mapping[str, bytes] | None = None) -> None:
        self._target = target
        self._limit = limit
        self._seen = Fingerprint()
        self._expected = {name: (hashlib.new(ALGORITHMS[name]), digest) for name, digest in (expected or {}).items()}

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self._seen.bytes

    @property
    def sha256(self) -> str:
        return self._seen.hexdigest()

    def write(self, data: bytes) -> None:
        """Refuses what is too much, or plainly no recording, as soon as that can be seen."""
        self.check_room(len(data))
        self._seen.add(data)
        if self._seen.begun and self._seen.plainly_not_media:
            raise Problem("file_not_media")
        for digest, _ in self._expected.values():
            digest.update(data)
        self._target.write(data)

    def check_room(self, more: int) -> None:
        """Answers if so many bytes may come beside those that are there."""
        if self.size + more > self._limit:
            raise Problem("too_large", limit=self._limit)

    def end(self) -> None:
        """Says what is wrong with the file as a whole."""
        if not self.size:
            raise Problem("file_empty")
        if self._seen.plainly_not_media:
            raise Problem("file_not_media")
        for name, (digest, expected) in self._expected.items():
            if digest.digest() != expected:
                raise Problem("digest_wrong", f"The bytes that came do not have the {name} that the request names.")


def receive(body: IO[bytes], receiver: Receiver, length: int | None) -> None:
    """Reads `body` to its end, which comes after `length` bytes if that is known.

    Raises `Problem`, and werkzeug's HTTPException if the client goes away or sends too much.
    """
    for piece in pieces(body):
        receiver.write(piece)
    if length is not None and receiver.size < length:  # not every server says that the client has gone
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
        assert isinstance(given, dict)
        for name in given.keys() & ALGORITHMS:
            digest = _bytes(given[name])
            if found.setdefault(name, digest) != digest:
                raise Problem("malformed", f"Content-Digest and Repr-Digest name different values of {name}.")
    return found


def _bytes(member: object) -> bytes:
    """Of a value and its parameters."""
    match member:
        case bytes() as digest, _:
            return digest
    raise Problem("malformed", "A digest is given as bytes in base64 between colons (RFC 9651).")
