"""What a list says of files, page by page, in whoever's transaction it is. Dropbox tells no upper from lower case in paths."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from pipeline.catalog import ENDED, FolderRow, JobRow, RemoteFileRow, ReturnedFileRow, TaskRow
from pipeline.remote_file_rows import forget
from pipeline.task_rows import messages, new_task
from pipeline.telling import next_number
from pipeline.work import NextTask
from sync.dropbox.account import Gone, RemoteFile
from sync.watching.candidates import refusal
from sync.watching.net import Net
from sync.watching.own_results import OwnResults, own_results
from sync.watching.taking import Taking

_AT_ONCE = 200
"""Files that one statement asks for."""


@dataclass(frozen=True)
class News:
    taking: Taking
    folder: FolderRow

    def take_in(self, entries: Sequence[RemoteFile | Gone]) -> None:
        net = Net.of(entries)
        self._forget(net)
        self._name(net.there)

    def forget_unnamed(self) -> None:
        """What a list from the beginning has not named by its end is gone."""
        forget(self._session, RemoteFileRow.folder_id == self.folder.id, RemoteFileRow.round < self.folder.round)

    @property
    def _session(self) -> Session:
        return self.taking.session

    @property
    def _mine(self) -> ColumnElement[bool]:
        return RemoteFileRow.connection_id == self.taking.connection.id

    def _forget(self, net: Net) -> None:
        """Where another file is now, or none, and in folders that are gone."""
        places = {*net.gone, *(file.path.lower() for file in net.there)}
        files = self._files_at(places)
        stay = RemoteFileRow.remote_id.not_in([file.id for file in net.there])
        lost = [
            *(RemoteFileRow.path_lower.in_(some) for some in _some_at_a_time(files)),
            *(RemoteFileRow.remote_id.in_(some) for some in _some_at_a_time(net.lost)),
            *(or_(*map(_is_below, some)) for some in _some_at_a_time(net.gone - files)),
        ]
        for which in lost:
            forget(self._session, self._mine, which, stay)

    def _files_at(self, places: Iterable[str]) -> set[str]:
        """Those of the places where a file was, so that it was no folder."""
        known = select(RemoteFileRow.path_lower).where(self._mine, RemoteFileRow.state != "gone")
        found = (known.where(RemoteFileRow.path_lower.in_(some)) for some in _some_at_a_time(places))
        return {path for statement in found for path in self._session.scalars(statement)}

    def _name(self, files: Sequence[RemoteFile]) -> None:
        own = own_results(self._session, self.taking.connection.id, files)
        found = select(RemoteFileRow).where(self._mine, RemoteFileRow.remote_id.in_([file.id for file in files]))
        rows = {row.remote_id: row for row in self._session.scalars(found.execution_options(populate_existing=True))}
        for file in files:
            self._keep(file, rows.get(file.id), own)
        self._session.flush()

    def _keep(self, file: RemoteFile, before: RemoteFileRow | None, own: OwnResults) -> None:
        is_new = before is None or before.content_hash != file.content_hash
        edited = own.edited(file, before)
        row = before or self._new(file)
        for name in ("path", "rev", "size", "content_hash", "modified_at"):
            setattr(row, name, getattr(file, name))
        row.path_lower, row.folder_id, row.round = file.path.lower(), self.folder.id, self.folder.round
        if row.state in ("taken", "gone") and not is_new:
            row.state = "taken"
        elif edited:
            _is_ours(row)
            self._revise(row, edited)
        elif own.holds(file):
            _is_ours(row)
        elif is_new or row.state != "result":
            self.taking.begin(row, refusal(file, self.taking.rules.largest))

    def _new(self, file: RemoteFile) -> RemoteFileRow:
        row = RemoteFileRow(
            id=uuid4().hex, connection_id=self.taking.connection.id, remote_id=file.id, state="settling"
        )
        self._session.add(row)
        return row

    def _revise(self, row: RemoteFileRow, returned: ReturnedFileRow) -> None:
        connection = self.taking.connection.id
        number = next_number(self._session, connection, "revise")
        ended = TaskRow.job_id == connection, TaskRow.kind == "revise", TaskRow.state.in_(ENDED)
        self._session.execute(delete(TaskRow).where(*ended))
        edit = {"file": row.id, "rev": row.rev, "size": row.size, "content_hash": row.content_hash}
        edit |= {"job": returned.job_id, "name": returned.name, "version": returned.version}
        task = new_task(connection, NextTask("revise", number, edit))
        self._session.add(task)
        self._session.flush()
        self.taking.sent += messages(self._session.get_one(JobRow, connection).trace, [task])


def _is_ours(row: RemoteFileRow) -> None:
    row.state, row.job_id, row.due_at, row.reason = "result", None, None, None


def _some_at_a_time(values: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _is_below(path: str) -> ColumnElement[bool]:
    """The character after the slash is 0; the index serves such a comparison, and no character stands for others."""
    return and_(RemoteFileRow.path_lower >= f"{path}/", RemoteFileRow.path_lower < f"{path}0")
