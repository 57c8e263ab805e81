"""What sync does once a job is done whose recording was found in Dropbox: `return` puts the results there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import structlog
from dropbox.content_hash import DropboxContentHasher

from pipeline.blobs import CHUNK, BlobStore
from pipeline.connection_rows import Connection
from pipeline.errors import Retry
from pipeline.network import Beat
from pipeline.work import Artifact, Progress, Result, Task
from sync.dropbox.account import Account, RemoteFile, Taken
from sync.dropbox.accounts import Accounts
from sync.dropbox.returned_files import Outcome, ReturnedFiles

log = structlog.get_logger()

LONGEST_STEM = 200
"""Characters of a recording's name that its results bear; Dropbox stops at 255 with all that comes after."""
NAMES = 50
"""How many names are tried where others have them already."""

HURRIED = "Files in this Dropbox change just now; the results are returned in a moment."


def put_back(
    task: Task, blobs: BlobStore, _folder: Path, progress: Progress, *, accounts: Accounts, ledger: ReturnedFiles
) -> Result:
    """Puts the job's sound files and transcripts where its connection wants them, each once. Raises Retry, Reject."""
    connection = accounts.connections.load(task.connection_id or "")
    if connection is None or connection.state == "leaving" or connection.results == "none":
        return Result()
    beat = partial(progress, 0)
    return accounts.use(
        connection, beat, lambda account: _put_back(task, Returning(connection, account, blobs, ledger, beat))
    )


def _put_back(task: Task, returning: "Returning") -> Result:
    source = returning.source(task.job_id)
    if source is None:
        log.info("no results are returned: the recording has gone, or has another content by now")
        return Result()
    for made in results(task):
        returning.put(task.job_id, made, PurePosixPath(source.path))
    return Result()


def results(task: Task) -> Sequence[Artifact]:
    """What people open: sound files, and transcripts but the one for programs."""
    transcripts = [made for made in task.artifacts if made.kind == "transcript" and not made.name.endswith(".json")]
    return [*(made for made in task.artifacts if made.kind == "audio"), *transcripts]


@dataclass(frozen=True)
class Returning:
    """Into one account, of which `connection` says how."""

    connection: Connection
    account: Account
    blobs: BlobStore
    ledger: ReturnedFiles
    beat: Beat

    def source(self, job_id: str) -> RemoteFile | None:
        """The recording, under the name that it has now."""
        found = self.ledger.source(self.connection.id, job_id)
        return self.account.find(found) if found else None

    def put(self, job_id: str, made: Artifact, source: PurePosixPath) -> None:
        content_hash = _content_hash(self.blobs, made, self.beat)
        outcome = Outcome(self.connection.id, job_id, made.name, content_hash, made.facts.get("version"))
        last = self.ledger.last(outcome)
        if last and last.content_hash == content_hash:
            self.ledger.keep(outcome)  # it may be another version with the same words
        elif not last or last.version is None or last.version != outcome.version:
            self._bring(outcome, made, source, last.remote_id if last else None)

    def _bring(self, outcome: Outcome, made: Artifact, source: PurePosixPath, earlier: str | None) -> None:
        """Raises Retry where somebody else was faster."""
        try:
            there = self.account.find(earlier) if earlier else None
            self._renew(outcome, made, there) if there else self._place(outcome, made, source)
        except Taken as error:
            raise Retry(HURRIED) from error

    def _renew(self, outcome: Outcome, made: Artifact, there: RemoteFile) -> None:
        """In the place of what it was before, wherever that is now. What somebody has edited meanwhile stays: it is news for `watch`."""
        if self.ledger.knows(outcome, there):
            self._upload(outcome, made, Place(there.path, there))
        else:
            log.info("a result was edited, and is left as it is", name=outcome.name)

    def _place(self, outcome: Outcome, made: Artifact, source: PurePosixPath) -> None:
        """Under the first name that it may have."""
        for path in self._paths(source, PurePosixPath(made.name).suffix):
            if place := self._free(outcome, path):
                self._upload(outcome, made, place)
                return
            if self.connection.conflict == "skip":
                break
        log.info("a result is not returned: its name is taken", name=outcome.name)

    def _paths(self, source: PurePosixPath, suffix: str) -> Iterator[str]:
        to_folder = self.connection.results == "folder"
        folder = PurePosixPath(self.connection.results_folder or "/") if to_folder else source.parent
        name = source.stem[:LONGEST_STEM]
        yield str(folder / f"{name}{suffix}")
        for number in range(1, NAMES):
            yield str(folder / f"{name} ({number}){suffix}")

    def _free(self, outcome: Outcome, path: str) -> "Place | None":
        """None if what is there has to stay."""
        try:
            there = self.account.find(path)
        except Taken:
            return None
        return Place(path, there) if there is None or self._may_go(outcome, there) else None

    def _may_go(self, outcome: Outcome, there: RemoteFile) -> bool:
        """Whether a result may take the place of this file, which is never so for a recording."""
        if self.ledger.is_recording(outcome.connection_id, there):
            return False
        is_ours = there.content_hash == outcome.content_hash or self.ledger.is_outdated(outcome.connection_id, there)
        return is_ours or self.connection.conflict == "overwrite"

    def _upload(self, outcome: Outcome, made: Artifact, place: "Place") -> None:
        """Quick if an attempt that did not live to note it has put it there. Raises Taken."""
        self.ledger.begin(outcome, place.path)
        there = place.there
        if there is None or there.content_hash != outcome.content_hash:
            with self.blobs.open(made.blob) as content:
                over = there.rev if there else None
                there = self.account.upload(place.path, content, made.bytes, outcome.content_hash, over)
        self.ledger.complete(outcome, there)


@dataclass(frozen=True)
class Place:
    path: str
    there: RemoteFile | None
    """What it takes the place of."""


def _content_hash(blobs: BlobStore, made: Artifact, beat: Beat) -> str:
    hasher = DropboxContentHasher()
    with blobs.open(made.blob) as content:
        while piece := content.read(CHUNK):
            beat()
            hasher.update(piece)
    return str(hasher.hexdigest())
