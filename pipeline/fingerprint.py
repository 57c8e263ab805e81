"""What is known of a file while it comes: how long it is, its SHA-256, and how it begins."""

import hashlib
from typing import Self

from pipeline.sniff import HEAD, plainly_not_media


class Fingerprint:
    """Of a file's first `bytes` bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._head = b""
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.bytes += len(data)
        self._head += data[: HEAD - len(self._head)]
        self._sha256.update(data)

    @property
    def plainly_not_media(self) -> bool:
        """Of a file that has come as a whole, or begun with HEAD bytes; before, nothing can be said."""
        return plainly_not_media(self._head)

    @property
    def begun(self) -> bool:
        """Whether enough has come to say what the file is."""
        return len(self._head) == HEAD

    def copy(self) -> Self:
        other = type(self)()
        other.bytes, other._head, other._sha256 = self.bytes, self._head, self._sha256.copy()
        return other

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()
