"""Uploads, at once and in sessions."""

from typing import TYPE_CHECKING, Any

from dropbox.content_hash import content_hash

from dev.dropbox.content import Held
from dev.dropbox.errors import bad_input, conflict
from dev.dropbox.writing import Unwritable, write

if TYPE_CHECKING:
    from dev.dropbox.routes import Call

MOST_BYTES = 150 * 2**20
"""Of one call; more has to come in a session."""


def upload(call: "Call") -> Any:
    _check(call)
    try:
        return write(call.account, call.argument, Held(call.body)).metadata()
    except Unwritable as unwritable:
        raise conflict("path", reason=unwritable.error, upload_session_id="") from None


def start(call: "Call") -> Any:
    _check(call)
    if call.argument.get("session_type", {".tag": "sequential"}) not in ({".tag": "sequential"}, "sequential"):
        raise bad_input("files/upload_session/start", "session_type: the stand-in knows sequential sessions alone")
    return {"session_id": call.account.sessions.start(call.body, call.argument.get("close", False))}


def append(call: "Call") -> Any:
    _check(call)
    with call.account.moved_on:
        session = call.account.sessions.find(**call.argument["cursor"], more=bool(call.body))
        session.data += call.body
        session.closed = session.closed or call.argument.get("close", False)


def finish(call: "Call") -> Any:
    """The session stays, with what it had, if the file cannot be written."""
    _check(call)
    cursor = call.argument["cursor"]
    with call.account.moved_on:
        session = call.account.sessions.find(**cursor, more=bool(call.body), within="lookup_failed")
        try:
            file = write(call.account, call.argument["commit"], Held(bytes(session.data) + call.body))
        except Unwritable as unwritable:
            raise conflict("path", path=unwritable.error) from None
        call.account.sessions.end(cursor["session_id"])
    return file.metadata()


def _check(call: "Call") -> None:
    if len(call.body) > MOST_BYTES:
        raise conflict("payload_too_large")
    if call.argument.get("content_hash", "") not in ("", content_hash(call.body)):
        raise conflict("content_hash_mismatch")
