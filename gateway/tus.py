"""Resumable uploads by tus 1.0 (https://tus.io/protocols/resumable-upload), for its unmodified clients."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from flask import Response, request
from werkzeug.http import http_date

from gateway import api as described
from gateway import intake, models, resumable
from gateway.access import identity
from gateway.services import services
from gateway.tus_headers import (
    ALGORITHMS,
    PATH,
    Append,
    Checksum,
    Creation,
    Headers,
    Override,
    length_of,
    number,
    parts_of,
    read_metadata,
)
from pipeline.errors import Busy
from pipeline.problems import Problem
from pipeline.uploads import Held, Missing, TooMany, Unfinished, Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
EXPOSED = (
    "Location",
    "Spool-Job",
    *(f"Tus-{name}" for name in ("Resumable", "Version", "Extension", "Max-Size", "Checksum-Algorithm")),
    *(f"Upload-{name}" for name in ("Offset", "Length", "Defer-Length", "Metadata", "Concat", "Expires")),
)
"""What a page in a browser has to be allowed to read."""

SAVING_SECONDS = 2.0
"""How long a request waits for another, whose client has gone silent, to save what came from it."""

_BYTES = "application/offset+octet-stream"
_BODY: dict[str, Any] = {"requestBody": {"content": {_BYTES: described.BODY["content"]["application/octet-stream"]}}}
_STATUSES = [400, 403, 404, 409, 410, 412, 413, 415, 422, 423, 429, 460, 501, 503, 507]

api = described.private_routes("resumable uploads", _STATUSES)


class Bare(Response):
    """Headers say all."""

    default_mimetype = None


@api.before_request
def check_version() -> None:
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        raise Problem("tus_version", headers={"Tus-Version": VERSION})


@api.after_request
def sign(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    return response


@api.post(
    PATH,
    summary="Begin a resumable upload",
    responses={201: {"description": "It has begun; `Location` is where its bytes go."}},
    openapi_extensions=_BODY,
    provide_automatic_options=False,
)
def create_upload(header: Creation) -> Response:
    """Options are in `Upload-Metadata`. The body may be the file's beginning, or all of it: then `Spool-Job` is the job."""
    parts = parts_of(header.concat)
    if parts is not None:
        return _created(_join(parts, header.metadata or ""))
    _check_metadata(header.metadata)
    length = length_of(header)
    if length == 0:
        raise Problem("file_empty")
    checksum, brings = _checksum(header), _brings_bytes()
    upload = _create(length, header)
    return _created(_begin(upload, checksum) if brings else upload)


@api.get(
    f"{PATH}/<id>",
    summary="How far an upload has come",
    responses={204: {"description": "`Upload-Offset` is how many bytes are there, `Spool-Job` what became of them."}},
    provide_automatic_options=False,
)
def get_upload(path: models.JobPath, header: Headers) -> Response:  # noqa: ARG001
    """For clients of tus by HEAD; the answer is the same."""
    _interrupt_silent(path.id)
    upload = _found(path.id)
    if upload.whole and not upload.partial and not upload.job_id:  # a gateway died
        with suppress(Busy), _locked(upload.id) as held:
            upload = resumable.complete(held)
    return Bare(status=204, headers=_state(upload) | _described(upload))


@api.patch(
    f"{PATH}/<id>",
    summary="Add bytes to an upload",
    responses={204: {"description": "They are safe. After the last of them `Spool-Job` is the job."}},
    openapi_extensions=_BODY,
    provide_automatic_options=False,
)
def append_to_upload(path: models.JobPath, header: Append) -> Response:
    """If this is cut, what came is kept: ask how far it is and go on from there."""
    offset, length = number("Upload-Offset", header.offset), number("Upload-Length", header.length)
    if offset is None:
        raise Problem("malformed", "Upload-Offset is missing.")
    if request.mimetype != _BYTES:
        raise Problem("media_type", f"The body is {_BYTES}.")
    checksum = _checksum(header)
    with _locked(path.id) as held:
        if held.upload.parts:
            raise Problem("forbidden", "What was made of parts takes no bytes.")
        if offset != held.upload.offset:
            raise Problem("upload_offset", offset=held.upload.offset)
        if length is not None and length != held.upload.length:
            _set_length(held, length)
        upload = _append(held, checksum)
    return Bare(status=204, headers=_state(upload))


@api.delete(
    f"{PATH}/<id>",
    summary="Give an upload up",
    responses={204: {"description": "It is gone. A job that it became stays."}},
    provide_automatic_options=False,
)
def delete_upload(path: models.JobPath, header: Headers) -> Response:  # noqa: ARG001
    with _locked(path.id) as held:
        resumable.remove(held)
    return Bare(status=204)


@api.post(
    f"{PATH}/<id>",
    summary="PATCH, DELETE or HEAD of an upload, for who can only send POST",
    responses={204: {"description": "What the method in `X-HTTP-Method-Override` answers."}},
    openapi_extensions=_BODY,
    provide_automatic_options=False,
)
def override_method(path: models.JobPath, header: Override) -> Response:
    answer: Response
    match (header.method or "").upper():
        case "PATCH":
            answer = append_to_upload(path, header)
        case "DELETE":
            answer = delete_upload(path, header)
        case "HEAD":
            answer = get_upload(path, header)
        case _:
            raise Problem("method_not_allowed", headers={"Allow": "HEAD, GET, PATCH, DELETE, OPTIONS"})
    return answer


def tell_what_is_spoken(id: str | None = None) -> Response:  # noqa: ARG001
    """Answers OPTIONS, which needs no token."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(services().settings.upload_limit),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return Bare(status=204, headers=headers)


for _path in (PATH, f"{PATH}/<id>"):
    api.add_url_rule(_path, view_func=tell_what_is_spoken, methods=["OPTIONS"], provide_automatic_options=False)


def _check_metadata(field: str | None) -> None:
    """What could not become a job is refused before its bytes come."""
    _, wanted = read_metadata(field)
    intake.check(wanted)


def _checksum(header: Creation | Append) -> Checksum | None:
    return None if header.checksum is None else Checksum(header.checksum)


def _brings_bytes() -> bool:
    """Whether the request that creates an upload has a body."""
    chunked = "Transfer-Encoding" in request.headers
    if not chunked and not request.content_length:
        return False
    if request.mimetype != _BYTES:
        raise Problem("media_type", f"The body is {_BYTES}.")
    return True


def _create(length: int | None, header: Creation) -> Upload:
    try:
        with intake.admitted(length or 0):
            return services().uploads.create(identity().owner, length, header.metadata or "", header.concat)
    except TooMany:
        raise Problem("too_many_uploads") from None


def _begin(upload: Upload, checksum: Checksum | None) -> Upload:
    """Adds the first bytes. If that fails the client is not told where the upload is, so that nothing of it stays."""
    try:
        with _locked(upload.id) as held:
            return _append(held, checksum)
    except BaseException:
        resumable.abandon(upload)
        raise


def _join(parts: Sequence[str], metadata: str) -> Upload:
    _check_metadata(metadata)
    try:
        final = services().uploads.join(identity().owner, parts, metadata)
    except Missing:
        raise Problem("not_found", "One of the parts is not there.") from None
    except Unfinished:
        raise Problem("conflict", "Only partial uploads that are whole can be joined.") from None
    with _locked(final.id) as held:
        return resumable.join(held)


@contextmanager
def _locked(upload_id: str) -> Iterator[Held]:
    """Raises `Problem`, and `Busy` if somebody else is at it."""
    _interrupt_silent(upload_id)
    try:
        with ExitStack() as last, services().uploads.locked(identity().owner, upload_id) as held:
            _check_alive(held.upload)
            last.enter_context(services().writers.writing(upload_id, request.environ))  # ends when the lock is free
            yield held
    except Missing:
        raise Problem("not_found") from None


def _interrupt_silent(upload_id: str) -> None:
    """Who writes the upload here without having saved anything for as long as a lock lasts saves what came, and leaves."""
    writer = services().writers.find(upload_id)
    if writer and services().uploads.lapsed(identity().owner, upload_id):
        writer.interrupt(SAVING_SECONDS)


def _found(upload_id: str) -> Upload:
    try:
        upload = services().uploads.get(identity().owner, upload_id)
    except Missing:
        raise Problem("not_found") from None
    _check_alive(upload)
    return upload


def _check_alive(upload: Upload) -> None:
    if upload.expired:
        raise Problem("upload_expired")


def _set_length(held: Held, length: int) -> None:
    """Of an upload whose length was to be said later."""
    offset, limit = held.upload.offset, services().settings.upload_limit
    if held.upload.length is not None or length < offset:
        raise Problem("malformed", "Upload-Length is not the length of this upload.")
    if not length:
        raise Problem("file_empty")
    if length > limit:
        raise Problem("too_large", limit=limit, asked=length)
    if length > offset:
        intake.more(length - offset)
    held.advance(offset, length)


def _append(held: Held, checksum: Checksum | None) -> Upload:
    """Adds the request's body to the upload, and makes a job of it if that was the last of it."""
    upload, coming, end = held.upload, request.content_length, resumable.end_of(held.upload)
    if upload.offset + (coming or 0) > end:
        raise Problem("too_large", limit=end, asked=coming)
    if upload.length is None and coming != 0:
        end = min(end, upload.offset + intake.more(coming))
    request.max_content_length = end - upload.offset + 1
    if not upload.job_id:
        resumable.append(held, request.stream, checksum, end)
    if held.upload.offset < upload.offset + (coming or 0):  # not every server says that the client has gone
        raise Problem("malformed", "The body ends too early.")
    return resumable.complete(held)


def _created(upload: Upload) -> Response:
    return Bare(status=201, headers={"Location": f"{PATH}/{upload.id}", **_state(upload)})


def _state(upload: Upload) -> dict[str, str]:
    joining = upload.parts and not upload.whole
    ended = {"Spool-Job": upload.job_id} if upload.job_id else {"Upload-Expires": http_date(upload.expires_at)}
    return {"Cache-Control": "no-store", **ended, **({} if joining else {"Upload-Offset": str(upload.offset)})}


def _described(upload: Upload) -> dict[str, str]:
    parts = "final;" + " ".join(f"{PATH}/{part}" for part in upload.parts)
    concat = parts if upload.parts else upload.concat
    return {
        **({"Upload-Defer-Length": "1"} if upload.length is None else {"Upload-Length": str(upload.length)}),
        **({"Upload-Metadata": upload.meta} if upload.meta else {}),
        **({"Upload-Concat": concat} if concat else {}),
    }
