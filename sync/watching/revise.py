"""`revise`: a result that its owner has edited in Dropbox becomes the next version of the transcript."""

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from dropbox.content_hash import DropboxContentHasher
from sqlalchemy import Engine

from pipeline import accounts as quotas
from pipeline import blobs as stores
from pipeline.blobs import BlobStore
from pipeline.catalog import ENDED
from pipeline.correction import LONGEST_BODY
from pipeline.errors import Reject, Retry
from pipeline.jobs import Jobs, Settled
from pipeline.messages import Message
from pipeline.network import Beat
from pipeline.transcript import MEDIA_TYPE, Layer, Segment, write_layer
from pipeline.transcripts import Stale, Transcripts, Version
from pipeline.work import Artifact, Progress, Result, Task
from sync.dropbox.account import Account, RemoteFile
from sync.dropbox.accounts import Accounts
from sync.dropbox.errors import SPOILED
from sync.dropbox.returned_files import Outcome, ReturnedFiles
from sync.edits.edited import edited
from sync.watching.revisions import Edit, Revisions

SOON = 5.0
"""Seconds until it is looked again whether a job can be corrected."""
LATER = 3600.0
"""Seconds until it is looked again whether there is room."""

BUSY = "The transcript of this recording is being written just now; what was edited is taken in after that."
NO_TRANSCRIPT = "The recording has no such transcript any more that could be corrected."
TOO_LARGE = f"The edited file is larger than {LONGEST_BODY // 2**20} MiB."
FULL = "You keep as much as you may; delete something, and what was edited is taken in by itself."


class NoRoom(Exception):
    """The owner may keep no more."""


@dataclass(frozen=True)
class Books:
    """What one catalog says of transcripts and of what was returned; `defaults` of quotas hold where an account says nothing."""

    engine: Engine
    defaults: quotas.Limits = field(default_factory=quotas.Limits)

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(self.engine)

    @cached_property
    def transcripts(self) -> Transcripts:
        return Transcripts(self.engine)

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.engine)

    @cached_property
    def returned(self) -> ReturnedFiles:
        return ReturnedFiles(self.engine)

    def check_room(self, owner: str, size: int) -> None:
        """Raises NoRoom unless the owner may keep so many bytes more."""
        try:
            quotas.Accounts(self.engine, self.defaults).more(owner, size)
        except quotas.QuotaExceeded as full:
            raise NoRoom from full


def revise(
    task: Task, blobs: BlobStore, folder: Path, progress: Progress, *, accounts: Accounts, books: Books
) -> Result:
    """Takes in the edit that `task.args` name, unless the file was edited again since. Raises Retry, and Reject for the owner to read."""
    edit, beat = Edit.of(task), partial(progress, 0)
    connection, file = accounts.connections.load(task.job_id), books.revisions.file(edit)
    if connection is None or file is None:
        return Result()
    try:
        basis = _basis(books, connection.owner, edit)
        if basis is None:
            return Result()
        revising = Revising(connection.owner, edit, file, basis, blobs, folder, books, beat)
        done = accounts.use(connection, beat, lambda account: Result(sent=revising.take_in(task, account)))
    except NoRoom:
        books.revisions.note(edit, FULL)
        return Result(again=LATER)
    except Reject as refused:
        books.revisions.note(edit, refused.reason)
        raise
    if done.again is None:
        books.revisions.note(edit, None)
    return done


@dataclass(frozen=True)
class Basis:
    """The version that is corrected, and the file as it was written from it."""

    version: Version
    written: Artifact


def _basis(books: Books, owner: str, edit: Edit) -> Basis | None:
    """None if the job is gone. Raises Retry while it is being worked on, Reject if it has nothing to be corrected."""
    job = books.jobs.get(owner, edit.job)
    if job is None:
        return None
    if job.state not in ENDED:
        raise Retry(BUSY, SOON)
    written = next((made for made in job.artifacts if made.kind == "transcript" and made.name == edit.name), None)
    versions = books.transcripts.versions(owner, edit.job)
    if written is None or not versions:
        raise Reject(NO_TRANSCRIPT)
    return Basis(versions[0], written)


@dataclass(frozen=True)
class Revising:
    """One edit, on its way into the transcript of `owner`."""

    owner: str
    edit: Edit
    file: RemoteFile
    basis: Basis
    blobs: BlobStore
    folder: Path
    books: Books
    beat: Beat

    def take_in(self, task: Task, account: Account) -> list[Message]:
        """Makes the next version, and notes that the file says what it does. An edit that changes no word makes none."""
        before = self.folder / "before"
        self.blobs.fetch(self.basis.version.layer.blob, before)
        with self.blobs.open(self.basis.written.blob) as kept:
            written = kept.read()
        segments = edited(self.edit.name, self._content(account), written, Layer(before))
        version, sent = self.basis.version, list[Message]()
        if segments is not None:
            version, sent = self._correct(task, Layer(before), segments)
        self.books.returned.complete(self._outcome(version), self.file)
        return sent

    def _content(self, account: Account) -> bytes:
        """Raises Reject if it is too large, Retry."""
        if self.edit.size > LONGEST_BODY:
            raise Reject(TOO_LARGE)
        pieces = account.pieces(self.edit.rev, 0, self.edit.size) if self.edit.size else ()
        content, hasher = b"".join(pieces), DropboxContentHasher()
        hasher.update(content)
        if hasher.hexdigest() != self.edit.content_hash:
            raise Retry(SPOILED)
        return content

    def _correct(self, task: Task, before: Layer, segments: list[Segment]) -> tuple[Version, list[Message]]:
        """Raises Retry if somebody else corrects it just now, NoRoom."""
        about, path = replace(before.about, model=None), self.folder / "after"
        write_layer(path, about, segments)
        self.books.check_room(self.owner, path.stat().st_size)
        blob = f"{self.edit.job}-layer-{task.id}-{task.attempt}"
        size, sha256 = stores.store(self.blobs, blob, path)
        layer = Artifact("", "layer", MEDIA_TYPE, size, sha256, blob)
        try:
            newest = self.basis.version.facts.version
            made = self.books.transcripts.correct(self.owner, self.edit.job, layer, about, newest)
        except (Stale, Settled) as busy:
            raise Retry(BUSY, SOON) from busy
        if made is None:
            raise Reject(NO_TRANSCRIPT)
        return made

    def _outcome(self, version: Version) -> Outcome:
        edit = self.edit
        return Outcome(edit.connection, edit.job, edit.name, edit.content_hash, version.facts.version)
