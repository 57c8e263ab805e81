"""A connected account that is watched, with the worker that watches it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import Engine, select

from dev.dropbox.account import Account
from dev.dropbox.stand_in import DropboxStandIn
from pipeline import task_rows
from pipeline.accounts import Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import FolderRow, JobRow, RemoteFileRow, TaskRow
from pipeline.connection_rows import Connection
from pipeline.connections import Connections
from pipeline.database import transaction
from pipeline.errors import Reject, Retry
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER, write
from pipeline.vault import Vault
from pipeline.wishes import Wishes
from pipeline.work import Artifact, Handler, NextTask, Progress, Result, Task
from sync.dropbox.account import App
from sync.dropbox.accounts import Accounts
from sync.watching.remote_files import RemoteFiles
from sync.watching.taking import Rules
from sync.watching.watch import Watch, listen, watch

SWEEP, PATIENCE = 900.0, 86400.0
TALK = b"\0a talk"


def quiet(_percent: float, _speed: float | None = None) -> None:
    pass


@dataclass
class Watched:
    """Ada's Dropbox, of which `/Talks` is watched. Files are taken at once unless `rules` say otherwise."""

    catalog: Engine
    stand_in: DropboxStandIn
    app: App
    folder: Path
    rules: Rules = field(default_factory=lambda: Rules(settle=0, sweep=SWEEP, largest=10**9))
    listens: bool = False
    free_bytes: int = 0

    def __post_init__(self) -> None:
        self.blobs = DirectoryBlobs(self.folder / "blobs")
        self.connections = Connections(self.catalog)
        self.accounts = Accounts(self.connections, self.app, Vault(MultiFernet([Fernet(Fernet.generate_key())])))
        self.tasks = Tasks(self.catalog, patience=PATIENCE)
        self.connect("/Talks")

    @property
    def dropbox(self) -> Account:
        return self.stand_in.account

    def connect(self, *folders: str, **wanted: Any) -> None:
        """Another connection, the one that is watched from now on."""
        for path in folders:
            self.dropbox.folder(path)
        wishes = Wishes.model_validate({"folders": folders, **wanted})
        begun, (message,) = self.connections.begin(OWNER, wishes, "a code", ADDRESS)
        self.tasks.claim(message.task_id, "worker")
        self.grant = self.stand_in.grants.give(self.dropbox.id)
        account = f"{self.dropbox.id}-{begun.id}"
        sealed = self.accounts.seal(refresh_token=self.grant.refresh_token)
        self.connections.connected(begun.id, sealed, account, "Ada", ADDRESS)
        self.id = begun.id
        self.stand_in.reset_counters()

    @property
    def connection(self) -> Connection:
        found = self.connections.load(self.id)
        assert found
        return found

    @property
    def using(self) -> Watch:
        files = RemoteFiles(self.catalog, self.rules)
        return Watch(files, self.accounts, SWEEP, PATIENCE, self.free_bytes, self.listens)

    def limited(self, **limits: int) -> None:
        self.rules = replace(self.rules, limits=Limits(**limits))

    def watch(self, progress: Progress = quiet) -> Result:
        """One run, as a worker does it. Raises what the handler does, once the worker has noted it."""
        return self.work(lambda *given: watch(*given, using=self.using), "watch", progress=progress)

    def watch_all(self) -> None:
        while self.watch().again == 0:
            pass

    def listen(self, part: int = 0) -> Result:
        return self.work(lambda *given: listen(*given, using=self.using), "listen", part)

    def work(self, handler: Handler, kind: str, part: int = 0, progress: Progress = quiet) -> Result:
        task = self.claim(kind, part)
        try:
            with TemporaryDirectory(dir=self.folder) as folder:
                result = handler(task, self.blobs, Path(folder), progress)
        except Retry as failed:
            self.tasks.retry(task, failed.reason, failed.delay)
            raise
        except Reject as refused:
            self.tasks.reject(task, refused.reason)
            raise
        self.tasks.finish(task, result)
        return result

    def claim(self, kind: str, part: int = 0, job_id: str | None = None) -> Task:
        wanted = TaskRow.job_id == (job_id or self.id), TaskRow.kind == kind, TaskRow.part == part
        with transaction(self.catalog) as session:
            row = session.scalars(select(TaskRow).where(*wanted)).one()
        task = self.tasks.claim(row.id, "worker")
        assert task
        return task

    def files(self) -> dict[str, RemoteFileRow]:
        """By their paths."""
        with transaction(self.catalog) as session:
            rows = session.scalars(select(RemoteFileRow).where(RemoteFileRow.connection_id == self.id)).all()
        return {row.path: row for row in rows}

    def states(self) -> dict[str, str]:
        return {path: row.state for path, row in self.files().items()}

    def jobs(self) -> Sequence[JobRow]:
        """Oldest first, without those that were cancelled."""
        found = select(JobRow).where(JobRow.connection_id == self.id, JobRow.state != "cancelled")
        with transaction(self.catalog) as session:
            return session.scalars(found.order_by(JobRow.created_at, JobRow.id)).all()

    def titles(self) -> list[str]:
        return sorted(job.title for job in self.jobs())

    def open_tasks(self, kind: str) -> Sequence[TaskRow]:
        with transaction(self.catalog) as session:
            found = select(TaskRow).where(TaskRow.kind == kind, TaskRow.state == "queued")
            return session.scalars(found.order_by(TaskRow.created_at)).all()

    def folders(self) -> Sequence[FolderRow]:
        with transaction(self.catalog) as session:
            mine = select(FolderRow).where(FolderRow.connection_id == self.id)
            return session.scalars(mine.order_by(FolderRow.number)).all()

    def fetch(self, job_id: str) -> None:
        """As if the job's recording had been fetched."""
        task = self.claim("fetch", job_id=job_id)
        (content,) = (held for held in self.dropbox.revisions.values() if held.rev == task.args["rev"])
        data = b"".join(content.content.blocks())
        blob = task.blob_id("original")
        made = Artifact(task.args["name"], "original", "video/mp4", len(data), write(self.blobs, blob, data), blob)
        self.tasks.finish(task, Result([made], [NextTask("extract")]))


@pytest.fixture
def watched(
    catalog: Engine, dropbox_stand_in: DropboxStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    """Its tasks begin as often as they are woken."""
    monkeypatch.setattr(task_rows, "APART", 0.0)
    with closing(App(dropbox_stand_in.app.key, silence=10)) as app:
        yield Watched(catalog, dropbox_stand_in, app, tmp_path)
