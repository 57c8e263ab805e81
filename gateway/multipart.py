"""The one recording of a form (RFC 7578), passed on piece by piece: neither memory nor a temporary file holds it."""

from collections.abc import Callable
from typing import IO

from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.http import parse_options_header

from gateway import covers
from gateway.covers import Cover
from gateway.receiving import Receiver, pieces
from pipeline.blobs import CHUNK
from pipeline.options import Options
from pipeline.problems import Problem

LONGEST_FIELD = 64 * 1024
"""Bytes of a text: chapters of a long book fit, and of fields that are not ours no more is kept."""
PARTS = 100
"""How many parts a body may have."""
OVERHEAD = CHUNK
"""Bytes that a body may have besides its files: other fields, and what frames them."""


class Form:
    """Takes what a parser finds in a body, in order; the recording's bytes go to `receiver`. Both methods raise `Problem`.

    `name` is what the client calls the recording; `cover` and `fields` are the picture and the texts beside it, if there are any.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.name = ""
        self.cover: Cover | None = None
        self.fields: dict[str, list[str]] = {}
        self._receiver = receiver
        self._write: Callable[[bytes], None] = receiver.write
        self._end: Callable[[], None] = receiver.end
        self._field: str | None = None
        self._text = bytearray()

    def take(self, found: MultipartSegment | bytes | bytearray | None) -> None:
        """A part's head, a piece of its content, or its end."""
        match found:
            case MultipartSegment():
                self._begin(found.name, _filename(found))
            case None:
                self._end()
            case bytes() | bytearray():
                self._write(bytes(found))

    def end(self) -> None:
        if not self.name:
            raise Problem("file_missing")
        if self.cover:
            self._receiver.check_room(self.cover.size)

    def _begin(self, field: str, filename: str | None) -> None:
        if not filename:  # a browser sends an empty name for a file that was not chosen
            self._begin_text(field if filename is None else None)
        elif field == covers.FIELD:
            self._begin_cover()
        elif self.name:
            raise Problem("files_too_many")
        else:
            self.name, self._write, self._end = filename, self._receiver.write, self._receiver.end

    def _begin_cover(self) -> None:
        if self.cover:
            raise Problem("files_too_many", "One cover is enough.")
        self.cover = Cover()
        self._write, self._end = self.cover.write, self.cover.end

    def _begin_text(self, field: str | None) -> None:
        self._field, self._text = field, bytearray()
        self._write, self._end = self._add_text, self._end_text

    def _add_text(self, data: bytes) -> None:
        room = LONGEST_FIELD - len(self._text)
        if len(data) > room and self._field in Options.model_fields:
            raise Problem("invalid", f"{self._field}: longer than {LONGEST_FIELD} bytes.")
        self._text += data[:room]

    def _end_text(self) -> None:
        if self._field is not None:
            self.fields.setdefault(self._field, []).append(self._text.decode(errors="replace"))


def receive(body: IO[bytes], boundary: bytes, receiver: Receiver) -> Form:
    """Reads `body` to its end, and its one recording into `receiver`.

    Raises `Problem` unless it holds exactly one and at most one cover, werkzeug's HTTPException if the client goes away or sends too much.
    """
    form = Form(receiver)
    parser = PushMultipartParser(boundary, max_segment_count=PARTS)
    for piece in pieces(body):
        _feed(parser, piece, form)
    _close(parser)
    form.end()
    return form


def _feed(parser: PushMultipartParser, piece: bytes, form: Form) -> None:
    try:
        for found in parser.parse(piece):
            form.take(found)
    except MultipartError as error:
        raise Problem("malformed", "The body is not multipart/form-data as RFC 7578 describes it.") from error


def _close(parser: PushMultipartParser) -> None:
    try:
        parser.close()
    except MultipartError as error:
        raise Problem("malformed", "The body ends too early.") from error


def _filename(part: MultipartSegment) -> str | None:
    """Also where it is given as `filename*`, which RFC 7578 forbids and some clients send."""
    name: str | None = part.filename
    if name is not None:
        return name
    return parse_options_header(part.header("Content-Disposition", ""))[1].get("filename")
