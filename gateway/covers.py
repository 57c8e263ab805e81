"""The picture that a form may bring beside its recording. It is small enough to be held until the recording is whole."""

import hashlib

from pipeline.blobs import BlobStore
from pipeline.problems import Problem
from pipeline.work import Artifact

FIELD = "cover"
"""The field of a form that it comes in."""
LARGEST = 5_000_000
"""Bytes."""

_KINDS = {b"\xff\xd8\xff": ("cover.jpg", "image/jpeg"), b"\x89PNG\r\n\x1a\n": ("cover.png", "image/png")}
"""What a picture begins with, by which it is known; what a client calls it is not asked."""


class Cover:
    """Takes the picture's bytes. `write` and `end` raise `Problem`."""

    def __init__(self) -> None:
        self._content = bytearray()

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return len(self._content)

    def write(self, data: bytes) -> None:
        if self.size + len(data) > LARGEST:
            raise Problem("cover_too_large", limit=LARGEST)
        self._content += data

    def end(self) -> None:
        if not any(map(self._content.startswith, _KINDS)):
            raise Problem("cover_not_picture")

    def store(self, blobs: BlobStore, blob: str) -> Artifact:
        """Writes it as a blob. Raises `Unavailable`."""
        content = bytes(self._content)
        name, media_type = next(kind for head, kind in _KINDS.items() if content.startswith(head))
        with blobs.create(blob) as target:
            target.write(content)
        return Artifact(name, "cover", media_type, len(content), hashlib.sha256(content).hexdigest(), blob)
