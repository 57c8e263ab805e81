"""Folders listed by cursors: a cursor is a place in the account's journal."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from threading import Event
from typing import Any

from dev.dropbox.account import Account
from dev.dropbox.entries import Change, Deleted, Folder, within
from dev.dropbox.errors import Refused, bad_input, conflict

_LONGEST_PAGE = 2000
_POLL_SECONDS = range(30, 481)


@dataclass(frozen=True)
class Cursor:
    """What of the journal comes next. `until`: where the first listing, which leaves out what is gone, ends."""

    account: str
    path: str
    recursive: bool
    deleted: bool
    limit: int
    epoch: int
    place: int
    until: int | None

    def __str__(self) -> str:
        return urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    def told(self, change: Change) -> Change | None:
        """What of a change can be seen in the folder: if one around it goes, it goes."""
        if isinstance(change, Deleted) and change.folder and self.path and within(self.path, change.lower):
            return Deleted(self.path, folder=True)
        inside = within(change.lower, self.path) if self.recursive else change.lower.rpartition("/")[0] == self.path
        return change if inside else None


def read(text: str, route: str) -> Cursor:
    """Raises Refused if `text` is none."""
    try:
        return Cursor(**json.loads(urlsafe_b64decode(text)))
    except (ValueError, TypeError):
        raise bad_input(route, "cursor: invalid cursor") from None


def begin(account: Account, arg: dict[str, Any], page: int) -> Cursor:
    """At the beginning of a folder, of which `page` entries are told at once if no limit is asked for."""
    path = _listed(account, arg["path"])
    limit = arg.get("limit") or page
    if not 1 <= limit <= _LONGEST_PAGE:
        raise bad_input("files/list_folder", f"limit: {limit} is not within 1 and {_LONGEST_PAGE}")
    return Cursor(
        account.id,
        path,
        arg.get("recursive", False),
        arg.get("include_deleted", False),
        limit,
        account.epoch,
        0,
        len(account.journal),
    )


def latest(account: Account, arg: dict[str, Any], page: int) -> Cursor:
    """After all that happened until now."""
    return replace(begin(account, arg, page), place=len(account.journal), until=None)


def following(account: Account, cursor: Cursor) -> dict[str, Any]:
    """The next page. Raises Refused if the cursor is not this account's, or no longer good."""
    with account.moved_on:
        check(account, cursor)
        entries: list[dict[str, Any]] = []
        for place, change in _ahead(account, cursor):
            if len(entries) == cursor.limit:
                break
            entries.append(change.metadata())
            cursor = replace(cursor, place=place + 1)
        else:
            cursor = replace(cursor, place=_end(account, cursor), until=None)
        more = next(_ahead(account, cursor), None) is not None
        return {"entries": entries, "cursor": str(cursor), "has_more": more}


def check(account: Account | None, cursor: Cursor) -> Account:
    if account is None or cursor.account != account.id:
        raise Refused(400, "Invalid cursor")
    if cursor.epoch != account.epoch:
        raise conflict("reset")
    return account


def wait(account: Account, cursor: Cursor, seconds: float, over: Event) -> bool:
    """Until something happened after the cursor, at most `seconds`, or until it is `over`."""

    def awaited() -> bool:
        check(account, cursor)
        return over.is_set() or next(_ahead(account, cursor), None) is not None

    with account.moved_on:
        return account.moved_on.wait_for(awaited, seconds) and not over.is_set()


def _end(account: Account, cursor: Cursor) -> int:
    return len(account.journal) if cursor.until is None else cursor.until


def _ahead(account: Account, cursor: Cursor) -> Iterator[tuple[int, Change]]:
    holds = _first(account, cursor.deleted) if cursor.until is not None else _newest(account, cursor.place)
    for place in range(cursor.place, _end(account, cursor)):
        change = account.journal[place]
        told = cursor.told(change)
        if told and holds(place, change):
            yield place, told


def _first(account: Account, deleted: bool) -> Callable[[int, Change], bool]:
    """What is there, and if asked for, what was."""

    def holds(place: int, change: Change) -> bool:
        if isinstance(change, Deleted):
            return deleted and change.lower not in account.entries
        return account.places.get(change.lower) == place

    return holds


def _newest(account: Account, start: int) -> Callable[[int, Change], bool]:
    """Of each path the newest state alone; but that a folder went is told, because what was in it went too."""
    last: dict[str, int] = {}
    gone: dict[str, int] = {}
    for place, change in enumerate(account.journal[start:], start):
        last[change.lower] = place
        if isinstance(change, Deleted) and change.folder:
            gone[change.lower] = place

    def holds(place: int, change: Change) -> bool:
        newest = last[change.lower] == place or gone.get(change.lower) == place
        return newest and not any(gone.get(str(folder), -1) > place for folder in PurePosixPath(change.lower).parents)

    return holds


def _listed(account: Account, path: str) -> str:
    """The folder's path in lower case."""
    if path == "":
        return ""
    if path == "/":
        message = 'path: The root folder should be specified as an empty string rather than as "/".'
        raise bad_input("files/list_folder", f"request body: {message}")
    entry = account.find(path.rstrip("/"))
    if entry is None:
        raise conflict("path", "not_found")
    if not isinstance(entry, Folder):
        raise conflict("path", "not_folder")
    return entry.lower


def polled(arg: dict[str, Any]) -> float:
    """Seconds that a longpoll asks for."""
    seconds: int = arg.get("timeout", 30)
    if seconds not in _POLL_SECONDS:
        raise bad_input("files/list_folder/longpoll", f"timeout: {seconds} is not within 30 and 480")
    return seconds
