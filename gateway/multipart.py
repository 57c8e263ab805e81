"""The one file of a multipart body (RFC 7578), passed on piece by piece: neither memory nor a temporary file holds it."""

import io
from collections.abc import Callable, Iterator
from typing import IO

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder

from gateway.receiving import Receiver
from pipeline.blobs import CHUNK
from pipeline.problems import Problem

LONGEST_FIELD = 4096
"""Bytes of a text that are looked at; what is longer is no option of ours."""
PARTS = 100
"""How many parts a body may have."""
OVERHEAD = CHUNK
"""Bytes that a body may have besides the file: other fields, and what frames them."""
LONGEST = 2 * CHUNK
"""Bytes of a piece that the decoder gets at once."""
MORE, PADDING = 65536, 16
"""Bytes read to complete a delimiter, and bytes that its line may have after the boundary."""


class Form:
    """Takes the events of a body, in order; the one file's bytes go to `receiver`. Both methods raise `Problem`.

    `name` is what the client calls the file, `fields` are the texts beside it.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.name = ""
        self.fields: dict[str, list[str]] = {}
        self._receiver = receiver
        self._write: Callable[[bytes], None] | None = None
        self._text = bytearray()

    def take(self, event: Event) -> None:
        match event:
            case File(filename=name) if name:  # a browser sends an empty name for a file that was not chosen
                self._begin(name)
            case File():
                self._write = None
            case Field(name=name):
                self._text, self._write = bytearray(), self._add_text
                self._field = name or ""
            case Data(data=data, more_data=more) if self._write:
                self._write(data)
                if not more and self._write == self._add_text:
                    self.fields.setdefault(self._field, []).append(self._text.decode(errors="replace"))

    def end(self) -> None:
        if not self.name:
            raise Problem("file_missing")
        self._receiver.end()

    def _begin(self, name: str) -> None:
        if self.name:
            raise Problem("files_too_many")
        self.name, self._write = name, self._receiver.write

    def _add_text(self, data: bytes) -> None:
        self._text += data[: LONGEST_FIELD - len(self._text)]


def receive(body: IO[bytes], boundary: bytes, receiver: Receiver) -> Form:
    """Reads `body` to its end, and its one file into `receiver`.

    Raises `Problem` unless it holds exactly one, werkzeug's HTTPException if the client goes away or sends too much.
    """
    form = Form(receiver)
    decoder = MultipartDecoder(boundary, max_form_memory_size=2 * LONGEST, max_parts=PARTS)
    for piece in _pieces(body, b"--" + boundary):
        for event in _decode(decoder, piece):
            form.take(event)
    form.end()
    return form


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
