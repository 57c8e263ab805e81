"""Results that their owner has edited, as the catalog knows them."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import ColumnElement, Engine, select, update

from pipeline.catalog import RemoteFileRow
from pipeline.database import transaction
from pipeline.work import Task
from sync.dropbox.account import RemoteFile


@dataclass(frozen=True)
class Edit:
    """A transcript's file `name` of a job, as it was edited. `size`: bytes; `file`: the row's id."""

    connection: str
    job: str
    name: str
    file: str
    rev: str
    size: int
    content_hash: str

    @classmethod
    def of(cls, task: Task) -> Self:
        told: dict[str, Any] = {
            name: task.args[name] for name in ("job", "name", "file", "rev", "size", "content_hash")
        }
        return cls(task.job_id, **told)


@dataclass(frozen=True)
class Revisions:
    """Every method raises `Unavailable` when the catalog is away."""

    engine: Engine

    def file(self, edit: Edit) -> RemoteFile | None:
        """The file that was edited; None if it was edited again since, or is not known any more."""
        with transaction(self.engine) as session:
            row = session.scalar(select(RemoteFileRow).where(*_row(edit)))
            if row is None:
                return None
            return RemoteFile(row.remote_id, row.path, row.rev, row.size, row.content_hash, row.modified_at, True)

    def note(self, edit: Edit, reason: str | None) -> None:
        """Why the edit is not taken in, for the owner to read until it is, or the file is edited again."""
        with transaction(self.engine) as session:
            session.execute(update(RemoteFileRow).where(*_row(edit)).values(reason=reason))


def _row(edit: Edit) -> tuple[ColumnElement[bool], ...]:
    return RemoteFileRow.id == edit.file, RemoteFileRow.content_hash == edit.content_hash
