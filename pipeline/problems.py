"""Errors of the HTTP interfaces: problem+json (RFC 9457) with a stable `code`, all from one table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Response
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.sansio.response import Response as SansioResponse

from pipeline.errors import Busy, Full, Unavailable

RETRY_AFTER = 5
"""Seconds after which a client may try again when a part is away."""

log = structlog.get_logger()
HTTP_STATUS_CODES[460] = "Checksum Mismatch"  # tus; werkzeug looks the phrase up here


@dataclass(frozen=True)
class Kind:
    status: int
    title: str


KINDS = {
    "malformed": Kind(400, "The request cannot be understood."),
    "unauthorized": Kind(401, "Sign in first."),
    "credentials_wrong": Kind(401, "The e-mail address or the password is wrong."),
    "token_invalid": Kind(401, "The token is wrong, expired or revoked."),
    "forbidden": Kind(403, "This is not allowed."),
    "not_found": Kind(404, "There is nothing here."),
    "method_not_allowed": Kind(405, "This method is not possible here."),
    "not_acceptable": Kind(406, "None of the accepted types can be given."),
    "timeout": Kind(408, "The request took too long to arrive."),
    "conflict": Kind(409, "This does not fit what is there."),
    "upload_offset": Kind(409, "The upload has come to another byte; ask how far it is."),
    "link_expired": Kind(410, "The link has expired."),
    "authorization_expired": Kind(410, "This way to connect an account has expired or was used; begin again."),
    "upload_expired": Kind(410, "The upload has expired; begin it again."),
    "cursor_expired": Kind(410, "The cursor is too old to know what was deleted since; start again without one."),
    "link_used_up": Kind(410, "The link has been used as often as it may be."),
    "length_required": Kind(411, "The request must say its length."),
    "precondition_failed": Kind(412, "The thing is not what the request expects."),
    "tus_version": Kind(412, "This is tus 1.0.0, and the request has to say so in Tus-Resumable."),
    "too_large": Kind(413, "The request is too large."),
    "media_type": Kind(415, "This type of content is not taken."),
    "cover_too_large": Kind(413, "The cover is larger than it may be."),
    "quota_stored": Kind(413, "You keep as much as you may; delete something first."),
    "range_not_satisfiable": Kind(416, "The thing does not have this range."),
    "invalid": Kind(422, "The request is not complete or not correct."),
    "file_missing": Kind(422, "The request holds no file."),
    "file_empty": Kind(422, "The file is empty."),
    "file_not_media": Kind(422, "The file is neither a video nor a recording."),
    "files_too_many": Kind(422, "The request holds more than one file."),
    "cover_not_picture": Kind(422, "The cover is neither a JPEG nor a PNG."),
    "digest_wrong": Kind(422, "The file did not arrive as it was sent."),
    "locked": Kind(423, "Somebody else is writing this; try again in a few seconds."),
    "too_many_requests": Kind(429, "Too many attempts; wait a little."),
    "quota_day": Kind(429, "You have uploaded as much as you may today."),
    "quota_mails": Kind(429, "Your jobs have sent as many mails to others as they may today."),
    "quota_jobs": Kind(429, "As many of your jobs are unfinished as may be at a time."),
    "quota_minutes": Kind(429, "As much has been worked on for you as may be this month."),
    "too_many_exports": Kind(429, "As many of your exports are unfinished as may be; wait for one or delete it."),
    "too_many_uploads": Kind(429, "As many of your uploads are unfinished as may be; finish one or delete it."),
    "precondition_required": Kind(428, "The request must say which version it changes."),
    "headers_too_large": Kind(431, "The request's headers are too large."),
    "checksum_wrong": Kind(460, "The bytes did not arrive as they were sent; send them again."),
    "internal": Kind(500, "Something went wrong on our side."),
    "not_set_up": Kind(501, "This installation is not set up for that."),
    "unavailable": Kind(503, "A part of the service is away; try again soon."),
    "store_full": Kind(507, "There is no room left for this; tell whoever runs this server."),
}
"""Code -> status and title. Where codes share a status, the first one stands for it."""

_BY_STATUS = {kind.status: code for code, kind in reversed(KINDS.items())}
_OWN_TO_BODY = {"content-type", "content-length"}


class Problem(Exception):
    """Ends a request with the problem `code` of the table. `detail`, headers and `members` are read by the client."""

    def __init__(
        self, code: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(code)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> Response:
        body = {
            "type": f"urn:spool:problem:{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "code": self.code,
            **({"detail": self.detail} if self.detail else {}),
            **self.members,
        }
        text = json.dumps(body, ensure_ascii=False) + "\n"
        return Response(text, self.kind.status, self.headers, content_type="application/problem+json")


def register(app: Flask) -> None:
    """Answers every error of `app` as a problem; what the client must not read goes to the log."""
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Full, _full)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Busy, lambda _: Problem("locked").response())
    app.register_error_handler(Exception, _unexpected)


def _http(error: HTTPException) -> Response | HTTPException | SansioResponse:
    """What Flask and Werkzeug raise; their headers (Allow, Retry-After, Content-Range...) are kept."""
    if error.response is not None:
        return error.response
    status = error.code or 500
    if status < 400:  # a redirect
        return error
    code = _BY_STATUS.get(status) or ("malformed" if status < 500 else "internal")
    headers = {name: value for name, value in error.get_headers() if name.lower() not in _OWN_TO_BODY}
    return Problem(code, headers=headers).response()


def _full(error: Full) -> Response:
    log.error("a store is full", exc_info=error)
    return Problem("store_full").response()


def _unavailable(error: Unavailable) -> Response:
    log.warning("a part is away", exc_info=error)
    return Problem("unavailable", headers={"Retry-After": str(RETRY_AFTER)}).response()


def _unexpected(error: Exception) -> Response:
    log.error("the request failed", exc_info=error)
    return Problem("internal").response()
