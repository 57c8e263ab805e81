"""What goes on as long as an account is connected: `watch` finds out what is new in its folders, `listen` waits for news."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from pipeline.blobs import BlobStore
from pipeline.connection_rows import Connection, Folder
from pipeline.connections import Connections
from pipeline.database import now
from pipeline.errors import Reject, Retry
from pipeline.messages import Message
from pipeline.work import Progress, Result, Task
from sync.dropbox.account import Account, Broken, CursorReset, Missing, Poll
from sync.dropbox.accounts import Accounts
from sync.watching.remote_files import RemoteFiles, Superseded

AT_ONCE = 1.0
"""Seconds."""
MOST_PAGES = 10
"""That one run takes in, so that it does not hold up other connections; the next one goes on from there at once."""
MOST_BATCHES = 20
"""Of files that are due, in one run; the next one goes on from there at once, too."""
NEWS = 10.0
"""Seconds between news and the next time that they are waited for: what is known by then is not told again."""
TROUBLE = 60.0
"""Seconds until news are waited for again, where that did not work."""
POLL = 30
"""Seconds that Dropbox may wait for news, the least that it lets itself be asked for."""
MISSED = 60.0
"""Seconds until it is looked again whether a folder has come to be."""
LOST = "Dropbox has lost its place in a folder several times."


@dataclass(frozen=True)
class Watch:
    """`sweep` and `patience` are seconds, see `Settings`. `free_bytes`: room that stays free in the blob store.

    `listens`: no webhook tells of news here.
    """

    files: RemoteFiles
    accounts: Accounts
    sweep: float
    patience: float
    free_bytes: int
    listens: bool

    @property
    def connections(self) -> Connections:
        return self.accounts.connections


def watch(task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, using: Watch) -> Result:
    """Takes in all that is new, and makes jobs of it. Comes back for the next file that is due, or for the next sweep.

    Raises Retry, with the reason noted for the owner; once that has gone on for too long, the connection is broken.
    """
    connection = using.connections.load(task.job_id)
    if connection is None or connection.state != "active":
        return Result(again=using.sweep)
    try:
        with _noted(using, connection, task):
            return Visit(using, connection, progress, _room(blobs, using.free_bytes)).result()
    except Superseded:
        return Result(again=AT_ONCE)
    except Broken as broken:
        return Result(sent=using.connections.broken(connection.id, broken.reason))


@contextmanager
def _noted(using: Watch, connection: Connection, task: Task) -> Iterator[None]:
    """Tells the owner what fails. Raises Broken shortly before the worker would give the task up, of which nobody would hear."""
    try:
        yield
    except Retry as failed:
        if task.failing_since and task.failing_since <= now() - timedelta(seconds=0.99 * using.patience):
            raise Broken(failed.reason) from failed
        using.connections.troubled(connection.id, failed.reason)
        raise


def _room(blobs: BlobStore, reserve: int) -> int | None:
    free = blobs.free()
    return None if free is None else max(0, free - reserve)


@dataclass
class Visit:
    """One run of `watch`. `free`: bytes that can still be stored, None if that is unknown."""

    using: Watch
    connection: Connection
    progress: Progress
    free: int | None
    pages: int = 0
    is_cut: bool = False
    """There was more than one run takes in."""
    is_missing: bool = False
    """A folder is not there, so that nobody waits for news of it."""
    sent: list[Message] = field(default_factory=list)

    def result(self) -> Result:
        """Raises Retry, Broken, Superseded."""
        account = self.using.accounts.open(self.connection, lambda: self.progress(0))
        trouble = [told for folder in self.connection.folders if (told := self._look(account, folder))]
        if self.is_cut or not self._take_due():
            return Result(again=0, sent=self.sent)
        self.sent += self.using.files.checked(self.connection.id, trouble, listens=self.using.listens)
        return Result(again=self._pause(), sent=self.sent)

    def _look(self, account: Account, folder: Folder) -> str | None:
        """Takes in what is new there, and returns why that cannot be known."""
        try:
            self._list(account, folder)
        except Missing:
            self.is_missing = True
            return f"The folder {folder.path} is not in Dropbox; make it there, or watch another one."
        except Reject as refused:
            return f"The folder {folder.path or '/'} cannot be looked through: {refused.reason}"
        return None

    def _list(self, account: Account, folder: Folder) -> None:
        more, first = True, folder.round
        while more and not self.is_cut:
            self.progress(0)
            try:
                page = account.list_more(folder.cursor) if folder.cursor else account.list_folder(folder.path)
            except CursorReset:
                if folder.round > first:
                    raise Retry(LOST) from None
                folder = self.using.files.list_again(folder)
                continue
            self.sent += self.using.files.take_in(self.connection, folder, page, self.free)
            folder = replace(folder, cursor=page.cursor)
            more, self.pages = page.more, self.pages + 1
            self.is_cut = more and self.pages >= MOST_PAGES

    def _take_due(self) -> bool:
        """Whether no file is left that is due."""
        moment = now()
        for _ in range(MOST_BATCHES):
            taken = self.using.files.take_due(self.connection, moment, self.free)
            if taken is None:
                return True
            self.progress(0)
            self.sent += taken
        return False

    def _pause(self) -> float:
        """Seconds until there is something to do, if nobody has news before."""
        due = self.using.files.next_due(self.connection.id)
        left = self.using.sweep if due is None else (due - now()).total_seconds()
        longest = min(self.using.sweep, MISSED) if self.is_missing else self.using.sweep
        return min(longest, max(AT_ONCE, left))


def listen(task: Task, _blobs: BlobStore, _folder: Path, progress: Progress, *, using: Watch) -> Result:
    """Waits for news of one folder, the one with the number of the task's part, and has `watch` look what they are. Comes back."""
    connection = using.connections.load(task.job_id)
    if not using.listens or connection is None or connection.state != "active":
        return Result()  # `watch` begins it again
    folder = next((found for found in connection.folders if found.number == task.part), None)
    if folder is None or folder.cursor is None or not folder.listed:
        return Result()
    try:
        return _heard(using, connection, using.accounts.open(connection, lambda: progress(0)), folder.cursor)
    except Retry as failed:
        return Result(again=max(TROUBLE, failed.delay or 0))
    except Broken as broken:
        return Result(sent=using.connections.broken(connection.id, broken.reason))


def _heard(using: Watch, connection: Connection, account: Account, cursor: str) -> Result:
    try:
        poll = account.poll(cursor, POLL)
    except CursorReset:
        poll = Poll(changed=True, backoff=0)
    sent = using.files.wake(connection.id) if poll.changed else ()
    return Result(again=max(NEWS if poll.changed else 0, poll.backoff), sent=sent)
