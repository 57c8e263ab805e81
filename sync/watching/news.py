"""What a list says of files, entry by entry, in whoever's transaction it is. Dropbox tells no upper from lower case in paths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from uuid import uuid4

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from pipeline.catalog import FolderRow, JobRow, RemoteFileRow, ReturnedFileRow, TaskRow
from pipeline.task_rows import messages, new_task
from pipeline.work import NextTask
from sync.dropbox.account import Gone, RemoteFile
from sync.watching.candidates import refusal
from sync.watching.own_results import OwnResults, own_results
from sync.watching.taking import Taking

_AT_ONCE = 50
"""Paths that one statement asks for."""


@dataclass(frozen=True)
class News:
    taking: Taking
    folder: FolderRow

    def take_in(self, entries: Iterable[RemoteFile | Gone]) -> None:
        """In their order: who moves a file is told of as gone from one place, and then there at another."""
        for are_gone, run in groupby(entries, lambda entry: isinstance(entry, Gone)):
            if are_gone:
                self._forget_paths([entry.path.lower() for entry in run])
            else:
                self._name([entry for entry in run if isinstance(entry, RemoteFile)])

    def forget_unnamed(self) -> None:
        """What a list from the beginning has not named by its end is gone."""
        forget(self._session, RemoteFileRow.folder_id == self.folder.id, RemoteFileRow.round < self.folder.round)

    @property
    def _session(self) -> Session:
        return self.taking.session

    @property
    def _mine(self) -> ColumnElement[bool]:
        return RemoteFileRow.connection_id == self.taking.connection.id

    def _forget_paths(self, lower: Sequence[str]) -> None:
        """Files of these paths, and all that was in folders of these paths."""
        rest = iter(lower)
        while paths := list(islice(rest, _AT_ONCE)):
            below = [RemoteFileRow.path_lower.startswith(f"{path}/", autoescape=True) for path in paths]
            forget(self._session, self._mine, or_(RemoteFileRow.path_lower.in_(paths), *below))

    def _name(self, files: Sequence[RemoteFile]) -> None:
        """Where another file was, it is not any more."""
        ids = {file.id for file in files}
        places = RemoteFileRow.path_lower.in_({file.path.lower() for file in files})
        forget(self._session, self._mine, places, RemoteFileRow.remote_id.not_in(ids))
        own = own_results(self._session, self.taking.connection.id, files)
        found = select(RemoteFileRow).where(self._mine, RemoteFileRow.remote_id.in_(ids))
        rows = {row.remote_id: row for row in self._session.scalars(found.execution_options(populate_existing=True))}
        for file in files:
            rows[file.id] = self._keep(file, rows.get(file.id), own)
        self._session.flush()

    def _keep(self, file: RemoteFile, row: RemoteFileRow | None, own: OwnResults) -> RemoteFileRow:
        is_new = row is None or row.content_hash != file.content_hash
        row = row or self._new(file)
        for name in ("path", "rev", "size", "content_hash", "modified_at"):
            setattr(row, name, getattr(file, name))
        row.path_lower, row.folder_id, row.round = file.path.lower(), self.folder.id, self.folder.round
        if row.state in ("taken", "gone") and not is_new:
            row.state = "taken"
        elif edited := own.edited(file):
            _is_ours(row)
            self._revise(row, edited)
        elif own.holds(file):
            _is_ours(row)
        elif is_new or row.state != "result":
            self.taking.begin(row, refusal(file, self.taking.rules.largest))
        return row

    def _new(self, file: RemoteFile) -> RemoteFileRow:
        row = RemoteFileRow(
            id=uuid4().hex, connection_id=self.taking.connection.id, remote_id=file.id, state="settling"
        )
        self._session.add(row)
        return row

    def _revise(self, row: RemoteFileRow, returned: ReturnedFileRow) -> None:
        connection = self.taking.connection.id
        last = select(func.max(TaskRow.part)).where(TaskRow.job_id == connection, TaskRow.kind == "revise")
        part = self._session.scalar(last)
        edit = {"file": row.id, "rev": row.rev, "size": row.size, "content_hash": row.content_hash}
        edit |= {"job": returned.job_id, "name": returned.name, "version": returned.version}
        task = new_task(connection, NextTask("revise", 0 if part is None else part + 1, edit))
        self._session.add(task)
        self._session.flush()
        self.taking.sent += messages(self._session.get_one(JobRow, connection).trace, [task])


def _is_ours(row: RemoteFileRow) -> None:
    row.state, row.job_id, row.due_at, row.reason = "result", None, None, None


def forget(session: Session, *which: ColumnElement[bool]) -> None:
    """Files that became jobs stay known, because they may come back. So do our results, wherever they are."""
    session.flush()
    unfinished = RemoteFileRow.state.in_(("settling", "waiting", "ignored"))
    in_place = {"synchronize_session": False}
    session.execute(delete(RemoteFileRow).where(*which, unfinished), execution_options=in_place)
    taken = update(RemoteFileRow).where(*which, RemoteFileRow.state == "taken").values(state="gone")
    session.execute(taken, execution_options=in_place)
