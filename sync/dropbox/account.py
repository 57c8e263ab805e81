"""Dropbox, spoken to by its own SDK: what of it Spool needs, in Spool's words and with Spool's patience.

https://www.dropbox.com/developers/documentation/http/documentation
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from http.cookiejar import DefaultCookiePolicy
from typing import BinaryIO, TypeVar

from dropbox import Dropbox, create_session
from dropbox.files import (
    CommitInfo,
    DeletedMetadata,
    FileMetadata,
    ListFolderResult,
    Metadata,
    WriteMode,
)
from dropbox.oauth import DropboxOAuth2Flow
from requests import Response

from pipeline.errors import Retry
from pipeline.network import Beat
from sync.dropbox.errors import CUT, SPOILED, UNCLEAR, Broken, CursorReset, Lost, Missing, Taken, translated
from sync.dropbox.patience import patiently, waited
from sync.dropbox.upload_session import CHUNK, UploadSession

__all__ = ["Account", "App", "Broken", "CursorReset", "Gone", "Missing", "Page", "Poll", "RemoteFile", "Taken", "Who"]

SILENCE = 30.0
"""Seconds that Dropbox may say nothing."""
LONGEST_CALL = 300.0
"""Seconds that a call, or one piece of a download, may take."""
PIECE = 128 * 1024
"""Bytes of a download that are handed on at once."""
PAGE = 500
"""Entries that are asked for at once, a quarter of what Dropbox allows: what comes of a page is one transaction."""
ACCOUNTS, CONNECTIONS = 1000, 16
"""How many accounts a process remembers access tokens of, and how many idle connections it keeps."""

T = TypeVar("T")


@dataclass(frozen=True)
class RemoteFile:
    """A revision of a file. `path` is as its owner wrote it, `size` in bytes, `modified_at` aware, UTC."""

    id: str
    path: str
    rev: str
    size: int
    content_hash: str
    modified_at: datetime
    """When Dropbox took this content in."""
    downloadable: bool
    """False for documents that live in Dropbox alone and have no bytes to be fetched."""


@dataclass(frozen=True)
class Gone:
    """A file, or a folder with all that was in it."""

    path: str


@dataclass(frozen=True)
class Page:
    """A part of a list, folders left out; with `more`, the next is there already."""

    entries: Sequence[RemoteFile | Gone]
    cursor: str
    more: bool


@dataclass(frozen=True)
class Poll:
    changed: bool
    backoff: float
    """Seconds after which Dropbox wants to be asked again, not before."""


@dataclass(frozen=True)
class Who:
    id: str
    name: str
    email: str


@dataclass(frozen=True)
class Grant:
    """What a user allowed. `refresh_token` opens the account until it is revoked; it is empty for access that ends by itself."""

    refresh_token: str
    scopes: frozenset[str]


class App:
    """Spool as it is registered with Dropbox. Its accounts share connections and remember access tokens, in all threads.

    `silence` is in seconds.
    """

    def __init__(self, key: str, secret: str | None = None, silence: float = SILENCE) -> None:
        self._key, self._secret, self._silence = key, secret, silence
        self._session = create_session(CONNECTIONS)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # accounts have nothing in common
        self._client = lru_cache(ACCOUNTS)(self._new_client)

    def _new_client(self, refresh_token: str) -> Dropbox:
        return Dropbox(
            oauth2_refresh_token=refresh_token,
            app_key=self._key,
            app_secret=self._secret,
            session=self._session,
            timeout=self._silence,
            max_retries_on_error=0,
            max_retries_on_rate_limit=0,
            user_agent="Spool",
        )

    def account(self, refresh_token: str, beat: Beat) -> "Account":
        """`beat` is called at least every second of waiting, and ends it by what it raises."""
        return Account(self._client(refresh_token), beat)

    def exchange(self, code: str, verifier: str, redirect_uri: str, beat: Beat) -> Grant:
        """The end of signing in (RFC 6749, section 4.1.3, with RFC 7636). A code is good once. Raises Broken, Retry."""
        kept: dict[str, str] = {}
        flow = DropboxOAuth2Flow(self._key, redirect_uri, kept, "state", use_pkce=True, timeout=self._silence)
        flow.start()  # its own state and verifier; those of the real beginning were made, and checked, by the gateway
        flow.code_verifier = verifier
        with closing(flow.requests_session):
            answer = {"state": kept["state"], "code": code}
            found = patiently(partial(translated, partial(flow.finish, answer)), beat, LONGEST_CALL)
        return Grant(found.refresh_token, frozenset((found.scope or "").split()))

    def close(self) -> None:
        self._session.close()


@dataclass(frozen=True)
class Account:
    """One connected Dropbox. Every wait beats, every call has a limit.

    Every method raises Retry where trying again may help, Broken where its owner has to connect it again, and Reject where it can
    never work.
    """

    _client: Dropbox
    _beat: Beat

    def who(self) -> Who:
        found = self._call(self._client.users_get_current_account)
        return Who(found.account_id, found.name.display_name, found.email)

    def list_folder(self, path: str) -> Page:
        """The beginning of a list of all that is in a folder and those below; the root is an empty path. Raises Missing."""
        return _page(self._call(lambda: self._client.files_list_folder(path, recursive=True, limit=PAGE)))

    def list_more(self, cursor: str) -> Page:
        """What comes next, or what has changed since. Raises CursorReset, Missing."""
        return _page(self._call(lambda: self._client.files_list_folder_continue(cursor)))

    def poll(self, cursor: str, seconds: int) -> Poll:
        """Waits until something has changed, but 30 to 480 `seconds`, and up to 90 more, at most. Raises CursorReset."""
        ask = partial(self._client.files_list_folder_longpoll, cursor, seconds)
        found = self._call(ask, LONGEST_CALL + seconds)
        return Poll(found.changes, float(found.backoff or 0))

    def find(self, path: str) -> RemoteFile | None:
        """The file at a path, or with an id. Raises Taken if something else is there."""
        try:
            found = self._call(lambda: self._client.files_get_metadata(path))
        except Missing:
            return None
        if not isinstance(found, FileMetadata):
            raise Taken(path)
        return _file(found)

    def pieces(self, rev: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` up to, without, `end` of a revision, by one call. Raises Missing."""
        response = self._open(rev, start, end)
        with closing(response):
            blocks = response.iter_content(PIECE)
            read = partial(translated, partial(next, blocks, b""), CUT)
            while piece := waited(read, self._beat, LONGEST_CALL):
                yield piece

    def _open(self, rev: str, start: int, end: int) -> Response:
        wanted = {"Range": f"bytes={start}-{end - 1}"}
        response: Response
        _, response = self._call(lambda: self._client.files_download(f"rev:{rev}", extra_headers=wanted))
        if start and response.status_code != 206:
            response.close()
            raise Retry(UNCLEAR)
        return response

    def upload(self, path: str, source: BinaryIO, size: int, content_hash: str, over: str | None = None) -> RemoteFile:
        """Writes `size` bytes of a seekable source to `path`, in as many calls as it needs, and checks what has arrived.

        `over` is the revision that this is to take the place of. Quiet if the same is there already. Raises Taken if another
        file, or revision, is there by now.
        """
        mode = WriteMode.update(over) if over else WriteMode.add
        commit = CommitInfo(path, mode, mute=True)
        if size > CHUNK:
            put = UploadSession(self._client, self._call, self._beat, source, size).put(commit)
        else:
            put = self._call(partial(self._client.files_upload, source.read(), path, mode, mute=True))
        file = _file(put)
        if file.content_hash != content_hash:
            raise Lost(SPOILED)
        return file

    def revoke(self) -> None:
        """Ends what its owner allowed, all tokens of it included."""
        self._call(self._client.auth_token_revoke)

    def _call(self, operation: Callable[[], T], limit: float = LONGEST_CALL) -> T:
        return patiently(partial(translated, operation), self._beat, limit)


def _page(found: ListFolderResult) -> Page:
    entries = [entry for one in found.entries if (entry := _entry(one))]
    return Page(entries, found.cursor, found.has_more)


def _entry(found: Metadata) -> RemoteFile | Gone | None:
    match found:
        case FileMetadata():
            return _file(found)
        case DeletedMetadata():
            return Gone(_path(found))
        case _:
            return None


def _file(found: FileMetadata) -> RemoteFile:
    return RemoteFile(
        id=found.id,
        path=_path(found),
        rev=found.rev,
        size=found.size,
        content_hash=found.content_hash or "",
        modified_at=found.server_modified.replace(tzinfo=UTC),
        downloadable=found.is_downloadable and not found.export_info and not found.symlink_info,
    )


def _path(found: Metadata) -> str:
    return found.path_display or found.path_lower or f"/{found.name}"
