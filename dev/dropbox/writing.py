"""What changes a tree: files written by the modes of Dropbox, deleted, moved, and folders made."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dev.dropbox.account import Account
from dev.dropbox.content import Content
from dev.dropbox.entries import Entry, File, Folder, within
from dev.dropbox.errors import Tagged, bad_input, conflict, tagged

if TYPE_CHECKING:
    from dev.dropbox.routes import Call

_IGNORED = {"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"}
"""Names that Dropbox never keeps."""


class Unwritable(Exception):
    """`error`: a WriteError of the API."""

    def __init__(self, error: Tagged) -> None:
        super().__init__(error[".tag"])
        self.error = error


def write(account: Account, commit: dict[str, Any], content: Content) -> File:
    """Writes what a CommitInfo asks for, or gives what is there if it is the same. Raises Unwritable."""
    content.content_hash  # noqa: B018  # computed before anybody waits for the lock
    with account.moved_on:
        there = account.find(commit["path"])
        path = there.path if there else commit["path"]
        _check_path(account, path)
        strict = commit.get("strict_conflict", False)
        if isinstance(there, File) and not strict and there.content.content_hash == content.content_hash:
            return there
        if not _allowed(there, commit.get("mode", "add"), strict):
            path = _elsewhere(account, there, path, commit)
        if account.space is not None and account.used + content.size > account.space:
            raise Unwritable(tagged("insufficient_space"))
        return account.put(path, content, client_modified=_moment(commit.get("client_modified")))


def _allowed(there: Entry | None, mode: str | Tagged, strict: bool) -> bool:
    name, rev = (mode, None) if isinstance(mode, str) else (mode[".tag"], mode.get("update"))
    if there is None:
        return name != "update" or not strict
    return isinstance(there, File) and (name == "overwrite" or (name == "update" and there.rev == rev))


def _elsewhere(account: Account, there: Entry | None, path: str, commit: dict[str, Any]) -> str:
    if not commit.get("autorename"):
        raise Unwritable(_conflict(there))
    mode = commit.get("mode", "add")
    copy = isinstance(mode, dict) and mode[".tag"] == "update"
    return _free(account, path, "conflicted copy" if copy else None)


def _free(account: Account, path: str, words: str | None = None) -> str:
    """A name that is not taken: with `words` in brackets, or else with a number."""
    plain = PurePosixPath(path)
    tried = 0
    while account.find(path):
        tried += 1
        number = f" {tried}" if tried > 1 else ""
        path = str(plain.with_name(f"{plain.stem} ({f'{words}{number}' if words else tried}){plain.suffix}"))
    return path


def _check_path(account: Account, path: str) -> None:
    if not path.startswith("/"):
        raise bad_input("files/upload", f"path: '{path}' did not match pattern '(/(.|[\\r\\n])*)|(ns:.*)|(id:.*)'")
    name = PurePosixPath(path).name
    if path.endswith("/") or len(name) > 255:
        raise Unwritable(tagged("malformed_path"))
    if name.lower() in _IGNORED:
        raise Unwritable(tagged("disallowed_name"))
    if any(isinstance(account.find(str(folder)), File) for folder in PurePosixPath(path).parents):
        raise Unwritable(tagged("conflict", "file_ancestor"))


def _conflict(there: Entry | None) -> Tagged:
    return tagged("conflict", "folder" if isinstance(there, Folder) else "file")


def _moment(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None


def delete(call: "Call") -> Any:
    with call.account.moved_on:
        there = call.account.find(call.argument["path"])
        if there is None:
            raise conflict("path_lookup", "not_found")
        rev = call.argument.get("parent_rev")
        if rev and not (isinstance(there, File) and there.rev == rev):
            raise conflict("path_write", **{"path_write": _conflict(there)})
        call.account.delete(there.path)
        return {"metadata": there.metadata()}


def move(call: "Call") -> Any:
    account, to = call.account, call.argument["to_path"]
    with account.moved_on:
        there = account.find(call.argument["from_path"])
        if there is None:
            raise conflict("from_lookup", "not_found")
        if to.lower() != there.lower and within(to.lower(), there.lower):
            raise conflict("duplicated_or_nested_paths")
        taken = account.find(to) if to.lower() != there.lower else None
        if taken and not call.argument.get("autorename"):
            raise conflict("to", to=_conflict(taken))
        return {"metadata": account.move(there.path, _free(account, to) if taken else to).metadata()}


def create_folder(call: "Call") -> Any:
    account, path = call.account, call.argument["path"]
    with account.moved_on:
        try:
            _check_path(account, path)
        except Unwritable as unwritable:
            raise conflict("path", path=unwritable.error) from None
        taken = account.find(path)
        if taken and not call.argument.get("autorename"):
            raise conflict("path", path=_conflict(taken))
        return {"metadata": account.folder(_free(account, path)).metadata()}
