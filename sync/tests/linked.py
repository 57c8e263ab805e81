"""An account that is connected to a catalog, and the tasks that are done with it."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import Engine, select

from dev.dropbox.entries import File
from dev.dropbox.stand_in import DropboxStandIn
from pipeline import database
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, FolderRow, RemoteFileRow, ReturnedFileRow, TaskRow
from pipeline.connection_rows import Connection
from pipeline.connections import Connections
from pipeline.database import transaction
from pipeline.jobs import Jobs, NewJob
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER
from pipeline.vault import Vault
from pipeline.wishes import Wishes
from pipeline.work import Artifact, NextTask, Progress, Result, Task
from sync.by_address.fetch import Limits
from sync.dropbox.account import App
from sync.dropbox.accounts import Accounts
from sync.dropbox.fetching import fetch_found
from sync.dropbox.returned_files import ReturnedFiles
from sync.dropbox.returning import put_back


def quiet(_percent: float, _speed: float | None = None) -> None:
    pass


def an_app(stand_in: DropboxStandIn, silence: float = 10) -> AbstractContextManager[App]:
    return closing(App(stand_in.app.key, silence=silence))


@dataclass
class Linked:
    catalog: Engine
    stand_in: DropboxStandIn
    app: App
    blobs: DirectoryBlobs
    folder: Path

    def __post_init__(self) -> None:
        self.connections = Connections(self.catalog)
        self.accounts = Accounts(self.connections, self.app, Vault(MultiFernet([Fernet(Fernet.generate_key())])))
        self.ledger = ReturnedFiles(self.catalog)
        self.limits = Limits(size=10**9, seconds=60, silence=10)
        self.connect()

    def connect(self, *folders: str, **wanted: Any) -> Connection:
        """Another account of the same user, the one that is used from now on."""
        wishes = Wishes.model_validate({"folders": folders or ("/Talks",), **wanted})
        begun, (message,) = self.connections.begin(OWNER, wishes, "a code", ADDRESS)
        self.claim(message.task_id)
        self.grant = self.stand_in.grants.give(self.stand_in.account.id)
        account = f"{self.stand_in.account.id}-{begun.id}"
        sealed = self.accounts.seal(refresh_token=self.grant.refresh_token)
        self.connections.connected(begun.id, sealed, account, "Ada", ADDRESS)
        self.id = begun.id
        return self.connection

    @property
    def connection(self) -> Connection:
        found = self.connections.load(self.id)
        assert found
        return found

    def claim(self, task_id: str) -> Task:
        task = Tasks(self.catalog).claim(task_id, "worker")
        assert task
        return task

    def found(self, file: File, **row: Any) -> Task:
        """The task that fetches a file which was found in the account."""
        number, name = uuid4().hex, file.path.rpartition("/")[2]
        args: dict[str, Any] = {"connection": self.id, "file": number, "rev": file.rev, "size": file.content.size}
        args |= {"content_hash": file.content.content_hash, "name": name, "limit": 10**10}
        new = NewJob(OWNER, name, first=NextTask("fetch", args=args), connection_id=self.id)
        job, (message,) = Jobs(self.catalog).create(new)
        with transaction(self.catalog) as session:
            folder = session.scalars(select(FolderRow.id).where(FolderRow.connection_id == self.id)).first()
            known = {"path": file.path, "path_lower": file.lower, "rev": file.rev, "size": file.content.size}
            known |= {"content_hash": file.content.content_hash, "modified_at": datetime.now(UTC), "state": "taken"}
            known |= {"id": number, "connection_id": self.id, "folder_id": folder, "remote_id": file.id}
            session.add(RemoteFileRow(**known, job_id=job.id, **row))
        return self.claim(message.task_id)

    def fetch(self, task: Task, progress: Progress = quiet) -> Result:
        limits, accounts = self.limits, self.accounts
        return fetch_found(task, self.blobs, self.folder, progress, accounts=accounts, limits=limits)

    def original(self, task: Task, progress: Progress = quiet) -> tuple[Artifact, bytes]:
        """What was fetched."""
        result = self.fetch(task, progress)
        (made,) = result.artifacts
        assert [following.kind for following in result.next] == ["extract"]
        with self.blobs.open(made.blob) as kept:
            return made, kept.read()

    def made(self, task: Task, **contents: bytes) -> Task:
        """The task that returns these results of the job that `task` belongs to, by their extensions."""
        made = [self._artifact(task, extension, content) for extension, content in contents.items()]
        return replace(task, kind="return", artifacts=made)

    def _artifact(self, task: Task, extension: str, content: bytes, version: int = 1) -> Artifact:
        blob = f"{uuid4().hex}-{extension}"
        with self.blobs.create(blob) as target:
            target.write(content)
        text = extension not in ("mp3", "m4a")
        facts = {"version": version} if text else {}
        name = f"{Path(task.title).stem}.{extension}"
        return Artifact(name, "transcript" if text else "audio", "x/y", len(content), "", blob, facts=facts)

    def corrected(self, task: Task, version: int, **contents: bytes) -> Task:
        """The task that returns what was written anew after a correction, beside what was there."""
        new = [self._artifact(task, extension, content, version) for extension, content in contents.items()]
        names = {made.name for made in new}
        return replace(task, artifacts=[*(made for made in task.artifacts if made.name not in names), *new])

    def put_back(self, task: Task, progress: Progress = quiet) -> Result:
        put = partial(put_back, accounts=self.accounts, ledger=self.ledger)
        return put(task, self.blobs, self.folder, progress)

    def returned(self) -> Sequence[ReturnedFileRow]:
        with transaction(self.catalog) as session:
            return session.scalars(select(ReturnedFileRow).order_by(ReturnedFileRow.path)).all()

    def states(self, job_id: str) -> dict[str, str]:
        with transaction(self.catalog) as session:
            rows = session.scalars(select(TaskRow).where(TaskRow.job_id == job_id)).all()
        return {row.kind: row.state for row in rows}


@pytest.fixture
def app(dropbox_stand_in: DropboxStandIn) -> Iterator[App]:
    with an_app(dropbox_stand_in) as own:
        yield own


@pytest.fixture
def linked(dropbox_stand_in: DropboxStandIn, app: App, tmp_path: Path) -> Iterator[Linked]:
    """Ada's Dropbox, connected, of which `/Talks` is watched."""
    engine = database.connect(f"sqlite:///{tmp_path}/catalog.db")
    Base.metadata.create_all(engine)
    yield Linked(engine, dropbox_stand_in, app, DirectoryBlobs(tmp_path / "blobs"), tmp_path)
    engine.dispose()
