"""The one file of a multipart body (RFC 7578), passed on piece by piece: neither memory nor a temporary file holds it."""

import hashlib
import io
from collections.abc import Iterator
from typing import IO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder

from pipeline.sniff import HEAD, plainly_not_media
from pipeline.blobs import CHUNK, Writer
from pipeline.problems import Problem

PARTS = 100
"""How many parts a body may have."""
OVERHEAD = CHUNK
"""Bytes that a body may have besides the file: other fields, and what frames them."""
LONGEST = 2 * CHUNK
"""Bytes of a piece that the decoder gets at once."""
MORE, PADDING = 65536, 16
"""Bytes read to complete a delimiter, and bytes that its line may have after the boundary."""


class Upload:
    """Takes the events of a body, in order; the file's bytes go to `target`. Both methods raise `Problem`.

    `name` is what the client calls the file; `bytes` and `sha256` describe what has come of it so far.
    """

    def __init__(self, target: Writer, limit: int) -> None:
        self.name = ""
        self.bytes = 0
        self._target = target
        self._limit = limit
        self._digest = hashlib.sha256()
        self._head = b""
        self._in_file = False

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def take(self, event: Event) -> None:
        match event:
            case File(filename=name) if name:  # a browser sends an empty name for a file that was not chosen
                self._begin(name)
            case File() | Field():
                self._in_file = False
            case Data(data=data) if self._in_file:
                self._write(data)

    def end(self) -> None:
        if not self.name:
            raise Problem("file_missing")
        if not self.bytes:
            raise Problem("file_empty")
        if plainly_not_media(self._head):
            raise Problem("file_not_media")

    def _begin(self, name: str) -> None:
        if self.name:
            raise Problem("files_too_many")
        self.name, self._in_file = name, True

    def _write(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > self._limit:
            raise Problem("too_large")
        self._head += data[: HEAD - len(self._head)]
        self._digest.update(data)
        self._target.write(data)


def receive(body: IO[bytes], boundary: bytes, target: Writer, limit: int) -> Upload:
    """Reads `body` to its end and writes its one file, of at most `limit` bytes, to `target`.

    Raises `Problem` unless it holds exactly one, werkzeug's HTTPException if the client goes away or sends too much.
    """
    upload = Upload(target, limit)
    decoder = MultipartDecoder(boundary, max_form_memory_size=2 * LONGEST, max_parts=PARTS)
    for piece in _pieces(body, b"--" + boundary):
        for event in _decode(decoder, piece):
            upload.take(event)
    upload.end()
    return upload


def _pieces(body: IO[bytes], delimiter: bytes) -> Iterator[bytes]:
    """All of the body, then an empty piece. None ends at a delimiter whose line is not complete.

    There werkzeug's decoder counts the carriage return before the delimiter as content (pallets/werkzeug#3285).
    """
    reader = io.BufferedReader(body, MORE)
    while piece := reader.read(CHUNK):
        while delimiter in piece[-len(delimiter) - PADDING :] and len(piece) < LONGEST and (more := reader.read(MORE)):
            piece += more
        yield piece
    yield b""


def _decode(decoder: MultipartDecoder, piece: bytes) -> Iterator[Event]:
    """What `piece` completes. An empty one is the end of the body: the decoder fails if it still expects something."""
    try:
        decoder.receive_data(piece or None)
        event = decoder.next_event()
        while event is not NEED_DATA and not isinstance(event, Epilogue):
            yield event
            event = decoder.next_event()
    except (RequestEntityTooLarge, ValueError) as error:
        cause = "The body is not multipart/form-data as RFC 7578 describes it." if piece else "The body ends too early."
        raise Problem("malformed", cause) from error
