"""What Dropbox says when something did not work, in Spool's words.

No text of an answer is kept: Dropbox quotes what it was sent, also tokens.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dropbox.exceptions import ApiError, AuthError, BadInputError, DropboxException, RateLimitError
from dropbox.files import UploadSessionOffsetError, UploadWriteFailed
from requests import HTTPError, RequestException
from stone.backends.python_rsrc.stone_base import Union
from stone.backends.python_rsrc.stone_validators import ValidationError

from pipeline.errors import Reject, Retry
from sync.dropbox.patience import LONGEST_DELAY, Asked

USUAL_DELAY = 5.0
"""Seconds, where Dropbox asks to wait and does not say how long."""

AWAY = "Dropbox cannot be reached."
TROUBLE = "Dropbox has a problem of its own."
UNCLEAR = "Dropbox answered in a way that is not understood."
CUT = "The connection to Dropbox broke off."
SPOILED = "What came over the network was not what had been sent."
NO_ROOM = "There is no room left in this Dropbox; make some, and it goes on by itself."

REVOKED = (
    "Dropbox does not let Spool in any more, because the access was taken back or has ended; connect the account again."
)
SUSPENDED = "Dropbox has suspended this account; connect it again once that is settled."
NARROWED = "Dropbox does not let Spool do what it needs any more ({scope}); connect the account again and allow all that is asked for."
CODE = "Dropbox did not accept the sign-in, which is good for a few minutes and once; connect the account again."

MISSING = "This is not in Dropbox any more."
UNFETCHABLE = "Dropbox does not give out this file."
UNWRITABLE = "Dropbox does not let Spool write there; choose another folder for the results."

T = TypeVar("T")


class CursorReset(Exception):
    """The cursor is of no use any more: list from the beginning again."""


class Broken(Exception):
    """The account does not open any more until its owner connects it again; the owner reads `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(Reject):
    """The file, revision or folder is not there."""


class Taken(Exception):
    """Something else is there."""


class Lost(Retry):
    """Bytes did not come, or not as they were sent."""


class SessionLost(Retry):
    """The upload has to begin again."""


class Elsewhere(Retry):
    """An upload goes on at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(CUT)
        self.offset = offset


def translated(call: Callable[[], T], away: str = AWAY) -> T:
    """What `call` of the SDK gives. Raises our errors from its; `away` says that the network failed."""
    try:
        return call()
    except _FAILURES as error:
        raise _translation(error, away) from error


_FAILURES = (
    DropboxException,
    OSError,  # those of requests, too
    *(AssertionError, AttributeError, KeyError, TypeError, ValueError, ValidationError),
)
"""What the SDK raises. The last are what becomes of an answer that it does not understand."""


def _translation(error: Exception, away: str) -> Exception:
    match error:
        case AuthError():
            return _refusal(error.error)
        case RateLimitError():
            return Asked(float(USUAL_DELAY if error.backoff is None else error.backoff))
        case ApiError():
            return _route_error(error.error)
        case BadInputError() if "cursor" in error.message:
            return CursorReset()
        case HTTPError() if error.response is not None and error.response.status_code == 400:
            return Broken(CODE)  # only the end of a sign-in raises this
        case DropboxException() | HTTPError():
            return Retry(TROUBLE)
        case RequestException() | OSError():
            return Retry(away)
        case _:
            return Retry(UNCLEAR)


def _refusal(error: Any) -> Exception:
    if error.is_expired_access_token():
        return Retry(TROUBLE)  # it was new
    if error.is_user_suspended():
        return Broken(SUSPENDED)
    if error.is_missing_scope():
        return Broken(NARROWED.format(scope=error.get_missing_scope().required_scope))
    return Broken(REVOKED)


def _route_error(error: Any) -> Exception:
    match list(_tags(error)):
        case [*_, "reset"]:
            return CursorReset()
        case ["path", "not_found" | "not_folder"]:
            return Missing(MISSING)
        case ["path", "conflict", *_]:
            return Taken()
        case [*_, "incorrect_offset"]:
            return Elsewhere(_offset(error))
        case [*_, "not_found" | "closed"]:
            return SessionLost(CUT)
        case [*_, "content_hash_mismatch"]:
            return Lost(SPOILED)
        case [*_, "too_many_write_operations"]:
            return Asked(USUAL_DELAY)
        case [*_, last]:
            return _by_name(last)
        case _:
            return Retry(UNCLEAR)


_NO_ROOM = ("insufficient_space", "member_folder_insufficient_space", "team_folder_insufficient_space")
_UNFETCHABLE = ("unsupported_file", "not_file", "restricted_content", "unsupported_content_type", "malformed_path")
_UNWRITABLE = ("no_write_permission", "disallowed_name", "access_restricted", "team_folder", "operation_suppressed")


def _by_name(tag: str) -> Exception:
    if tag in (*_NO_ROOM, "upload_traffic_limit_reached"):
        return Retry(NO_ROOM if tag in _NO_ROOM else TROUBLE, LONGEST_DELAY)
    if tag in _UNWRITABLE:
        return Reject(UNWRITABLE)
    return Reject(UNFETCHABLE) if tag in _UNFETCHABLE else Retry(TROUBLE)


def _tags(error: Any) -> Iterator[str]:
    """From the outside in; unions tell which of their members they are by these names alone."""
    while isinstance(error, Union):
        yield error._tag
        error = error._value
        if isinstance(error, UploadWriteFailed):
            error = error.reason


def _offset(error: Any) -> int:
    while not isinstance(error, UploadSessionOffsetError):
        error = error._value
    return int(error.correct_offset)
