"""A large file on its way into Dropbox, in chunks, gone on with where it was cut.

https://www.dropbox.com/developers/documentation/http/documentation#files-upload_session-start
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from dropbox import Dropbox
from dropbox.files import CommitInfo, FileMetadata, UploadSessionCursor

from pipeline.errors import Retry
from pipeline.network import Beat
from sync.dropbox.errors import Elsewhere, SessionLost
from sync.dropbox.patience import pause

CHUNK = 8 * 2**20
"""Bytes that are sent at once."""
FAILURES = 10
"""How many calls of one upload may fail before its task has to begin again."""
PAUSE = 1.0
"""Seconds after each of them."""


@dataclass
class UploadSession:
    """Sends `size` bytes of `source`, more than CHUNK, by calls that `call` makes."""

    client: Dropbox
    call: Callable[[Callable[[], Any]], Any]
    beat: Beat
    source: BinaryIO
    size: int

    def put(self, commit: CommitInfo) -> FileMetadata:
        """Raises what `call` does; a call that failed is made again for a while."""
        started = self.call(partial(self.client.files_upload_session_start, self._chunk(0)))
        cursor, failures = UploadSessionCursor(started.session_id, CHUNK), 0
        while True:
            try:
                if file := self._send(cursor, commit):
                    return file
            except Retry as error:
                failures += 1
                if failures > FAILURES or isinstance(error, SessionLost):
                    raise
                self._go_on(cursor, error)

    def _send(self, cursor: UploadSessionCursor, commit: CommitInfo) -> FileMetadata | None:
        """Sends the next chunk; the file is there once that was the last."""
        chunk = self._chunk(cursor.offset)
        if cursor.offset + len(chunk) >= self.size:
            return self.call(partial(self.client.files_upload_session_finish, chunk, cursor, commit))
        self.call(partial(self.client.files_upload_session_append_v2, chunk, cursor))
        cursor.offset += len(chunk)
        return None

    def _go_on(self, cursor: UploadSessionCursor, error: Retry) -> None:
        """Where an answer was lost, the bytes may be there, and Dropbox says how far it is."""
        if isinstance(error, Elsewhere):
            cursor.offset = error.offset
        else:
            pause(PAUSE, self.beat)

    def _chunk(self, offset: int) -> bytes:
        self.source.seek(offset)
        return self.source.read(CHUNK)
