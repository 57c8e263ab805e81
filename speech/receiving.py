"""A form with a recording, which goes straight to where it will be heard."""

from contextlib import ExitStack
from pathlib import Path
from typing import IO

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import parse_form_data

from pipeline.errors import Retry
from pipeline.room import check_room
from speech.errors import ApiError, NoRoom


def receive(request: Request, path: Path) -> MultiDict[str, str]:
    """Writes the file of the form to `path` and returns its other fields.

    Raises ApiError, and HTTPException where the body is too large or ends too early.
    """
    _check_room(path.parent, request.content_length or 0)
    with ExitStack() as stack:

        def write(*_: object, **__: object) -> IO[bytes]:
            if path.exists():
                raise ApiError(400, "Send one file at a time.", param="file")
            return stack.enter_context(path.open("w+b"))

        _, form, files = parse_form_data(
            request.environ,
            write,
            max_form_memory_size=request.max_form_memory_size,
            max_content_length=request.max_content_length,
            max_form_parts=request.max_form_parts,
        )
    if "file" not in files:
        raise ApiError(400, "A file is required.", param="file")
    return form


def _check_room(folder: Path, needed: int) -> None:
    try:
        check_room(folder, needed)
    except Retry:
        raise NoRoom from None
