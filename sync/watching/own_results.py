"""Which files of a connected account are our own results, and which of them somebody has edited."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from pipeline.catalog import RemoteFileRow, ReturnedFileRow
from sync.dropbox.account import RemoteFile
from sync.edits.edited import KINDS


@dataclass(frozen=True)
class OwnResults:
    """Those among the files of one page."""

    contents: frozenset[str]
    """Content hashes of what was put into any account, and of edits that were seen in this one."""
    by_id: dict[str, ReturnedFileRow]
    by_path: dict[str, ReturnedFileRow]
    newest: dict[tuple[str | None, str], ReturnedFileRow]
    """By job and name: what each of these results was to be at last."""
    revs: frozenset[str]
    """That are our own uploads, or edits that were taken in."""

    def edited(self, file: RemoteFile, before: RemoteFileRow | None) -> ReturnedFileRow | None:
        """What somebody has changed, if the file is a transcript's, and is not as it was `before`.

        What it said once, and says again by a revision that is not ours, was restored. A list that is older than our last
        upload tells of a revision that is ours.
        """
        found = self.by_id.get(file.id) or self.by_path.get(file.path)
        if found is None or found.job_id is None or not is_text(found.name):
            return None
        newest = self.newest[found.job_id, found.name]
        is_ours = file.content_hash == newest.content_hash or file.rev in self.revs
        return None if is_ours or _is_same(file, before) else newest

    def holds(self, file: RemoteFile) -> bool:
        return file.content_hash in self.contents or file.id in self.by_id


def _is_same(file: RemoteFile, before: RemoteFileRow | None) -> bool:
    """A file that was moved has another revision of the same content."""
    if before is None or before.state != "result" or before.content_hash != file.content_hash:
        return False
    return before.rev == file.rev or before.path != file.path


def is_text(name: str) -> bool:
    """Whether what is edited in it becomes a transcript."""
    return PurePosixPath(name).suffix.lower() in KINDS


def own_results(session: Session, connection_id: str, files: Sequence[RemoteFile]) -> OwnResults:
    """Results are known by their content in whichever account they are found, and in their own wherever they are."""
    hashes = {file.content_hash for file in files}
    here = ReturnedFileRow.connection_id == connection_id
    ids = _rows(session, here, ReturnedFileRow.remote_id.in_({file.id for file in files}))
    paths = _rows(session, here, ReturnedFileRow.path.in_({file.path for file in files if is_text(file.path)}))
    of_jobs = _rows(session, ReturnedFileRow.job_id.in_({row.job_id for row in (*ids, *paths) if row.job_id}))
    returned = select(ReturnedFileRow.content_hash).where(ReturnedFileRow.content_hash.in_(hashes))
    seen = RemoteFileRow.connection_id == connection_id, RemoteFileRow.state == "result"
    known = select(RemoteFileRow.content_hash).where(*seen, RemoteFileRow.content_hash.in_(hashes))
    return OwnResults(
        frozenset({*session.scalars(returned), *session.scalars(known)}),
        {row.remote_id: row for row in ids if row.remote_id},
        {row.path: row for row in paths},
        {(row.job_id, row.name): row for row in of_jobs},
        frozenset(row.rev for row in (*ids, *of_jobs) if row.rev),
    )


def _rows(session: Session, *which: ColumnElement[bool]) -> Sequence[ReturnedFileRow]:
    """The newest last."""
    return session.scalars(select(ReturnedFileRow).where(*which).order_by(ReturnedFileRow.at, ReturnedFileRow.id)).all()
