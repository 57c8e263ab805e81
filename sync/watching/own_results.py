"""Which files of a connected account are our own results, and which of them somebody has edited."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pipeline.catalog import RemoteFileRow, ReturnedFileRow
from sync.dropbox.account import RemoteFile
from sync.edits.edited import KINDS


@dataclass(frozen=True)
class OwnResults:
    """Those among the files of one page."""

    contents: frozenset[str]
    """Content hashes that are ours, also of jobs that are deleted by now, and those of edits that were seen before."""
    by_id: dict[str, ReturnedFileRow]
    by_path: dict[str, ReturnedFileRow]

    def edited(self, file: RemoteFile) -> ReturnedFileRow | None:
        """The transcript's file that somebody has changed, if that is one."""
        found = self.by_id.get(file.id) or self.by_path.get(file.path)
        return found if found and file.content_hash not in self.contents and is_text(found.name) else None

    def holds(self, file: RemoteFile) -> bool:
        return file.content_hash in self.contents or file.id in self.by_id


def is_text(name: str) -> bool:
    """Whether what is edited in it becomes a transcript."""
    return PurePosixPath(name).suffix.lower() in KINDS


def own_results(session: Session, connection_id: str, files: Sequence[RemoteFile]) -> OwnResults:
    """Of a file that was returned several times, the last counts."""
    hashes, ids = {file.content_hash for file in files}, {file.id for file in files}
    texts = {file.path for file in files if is_text(file.path)}
    returned = select(ReturnedFileRow).where(
        ReturnedFileRow.connection_id == connection_id,
        or_(
            ReturnedFileRow.content_hash.in_(hashes),
            ReturnedFileRow.remote_id.in_(ids),
            ReturnedFileRow.path.in_(texts),
        ),
    )
    rows = session.scalars(returned.order_by(ReturnedFileRow.at, ReturnedFileRow.id)).all()
    seen = RemoteFileRow.connection_id == connection_id, RemoteFileRow.state == "result"
    known = session.scalars(select(RemoteFileRow.content_hash).where(*seen, RemoteFileRow.content_hash.in_(hashes)))
    return OwnResults(
        frozenset({*known, *(row.content_hash for row in rows)}),
        {row.remote_id: row for row in rows if row.remote_id},
        {row.path: row for row in rows},
    )
