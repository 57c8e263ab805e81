"""Errors as Dropbox tells them (https://www.dropbox.com/developers/documentation/http/documentation, "Error handling")."""

from collections.abc import Mapping
from typing import Any

Tagged = dict[str, Any]
"""A member of one of the API's unions: its name under `.tag`, and its value."""


class Refused(Exception):
    """What is answered instead: text, or something that becomes JSON."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.headers = status, body, dict(headers or {})


def tagged(*tags: str, **last: Any) -> Tagged:
    """`tagged("path", "conflict", "file")` is a conflict with a file at the path; `last`: fields of the innermost."""
    first, *others = tags
    return {".tag": first, first: tagged(*others, **last)} if others else {".tag": first, **last}


def summary(error: Tagged) -> str:
    tag = error[".tag"]
    inner = error.get(tag)
    return f"{tag}/{summary(inner)}" if isinstance(inner, dict) and ".tag" in inner else f"{tag}/..."


def refusal(status: int, error: Tagged, headers: Mapping[str, str] | None = None) -> Refused:
    return Refused(status, {"error_summary": summary(error), "error": error}, headers)


def conflict(*tags: str, **last: Any) -> Refused:
    """An error that belongs to the route: 409, whatever it says."""
    return refusal(409, tagged(*tags, **last))


def unauthorized(tag: str, **fields: Any) -> Refused:
    return refusal(401, tagged(tag, **fields))


def bad_input(route: str, message: str) -> Refused:
    return Refused(400, f'Error in call to API function "{route}": {message}')


def too_many(seconds: int, reason: str = "too_many_requests") -> Refused:
    """429: to be asked again after `seconds`."""
    error = {"reason": {".tag": reason}, "retry_after": seconds}
    return Refused(429, {"error_summary": f"{reason}/...", "error": error}, {"Retry-After": str(seconds)})
