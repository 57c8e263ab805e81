"""The routes of the API: what each needs, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dev.dropbox import listing, uploads, writing
from dev.dropbox.account import Account
from dev.dropbox.entries import File
from dev.dropbox.errors import conflict

AUTHORIZE, TOKEN, LONGPOLL = "oauth2/authorize", "oauth2/token", "files/list_folder/longpoll"
"""Beside the API: answered without an access token."""

Argument = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A call that may be answered: `page`: entries that a listing tells at once if no limit is asked for."""

    account: Account
    argument: Argument
    body: bytes
    page: int


@dataclass(frozen=True)
class Route:
    scope: str | None
    answer: Callable[[Call], Any]
    style: str = "rpc"


def _list_folder(call: Call) -> Any:
    with call.account.moved_on:
        return listing.following(call.account, listing.begin(call.account, call.argument, call.page))


def _list_folder_continue(call: Call) -> Any:
    return listing.following(call.account, listing.read(call.argument["cursor"], "files/list_folder/continue"))


def _get_latest_cursor(call: Call) -> Any:
    with call.account.moved_on:
        return {"cursor": str(listing.latest(call.account, call.argument, call.page))}


def _get_metadata(call: Call) -> Any:
    entry = call.account.find(call.argument["path"])
    if entry is None:
        raise conflict("path", "not_found")
    return entry.metadata()


def _download(call: Call) -> File:
    entry = call.account.find(call.argument["path"])
    if entry is None:
        raise conflict("path", "not_found")
    if not isinstance(entry, File):
        raise conflict("path", "not_file")
    if not entry.downloadable:
        raise conflict("unsupported_file")
    return entry


ROUTES: Mapping[str, Route] = {
    "auth/token/revoke": Route(None, lambda _: None),
    "users/get_current_account": Route("account_info.read", lambda call: call.account.described()),
    "files/list_folder": Route("files.metadata.read", _list_folder),
    "files/list_folder/continue": Route("files.metadata.read", _list_folder_continue),
    "files/list_folder/get_latest_cursor": Route("files.metadata.read", _get_latest_cursor),
    "files/get_metadata": Route("files.metadata.read", _get_metadata),
    "files/download": Route("files.content.read", _download, "download"),
    "files/upload": Route("files.content.write", uploads.upload, "upload"),
    "files/upload_session/start": Route("files.content.write", uploads.start, "upload"),
    "files/upload_session/append_v2": Route("files.content.write", uploads.append, "upload"),
    "files/upload_session/finish": Route("files.content.write", uploads.finish, "upload"),
    "files/delete_v2": Route("files.content.write", writing.delete),
    "files/move_v2": Route("files.content.write", writing.move),
    "files/create_folder_v2": Route("files.content.write", writing.create_folder),
}
