"""Connected accounts for tests, with only what a test does not care about filled in."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, select, update

from pipeline.catalog import FolderRow, JobRow, RemoteFileRow, TaskRow
from pipeline.connection_rows import Connection, keep_open
from pipeline.connections import Connections
from pipeline.database import now, transaction
from pipeline.jobs import Jobs, NewJob
from pipeline.messages import Message
from pipeline.tasks import Tasks
from pipeline.tests.makers import ADDRESS, OWNER
from pipeline.wishes import Wishes
from pipeline.work import NextTask, Result, Task

STRANGER, ACCOUNT = "b" * 32, "dbid:ada"


def wishes(*folders: str, **wanted: Any) -> Wishes:
    return Wishes.model_validate({"folders": folders or ("/Recordings",), **wanted})


def a_connection(
    catalog: Engine, *folders: str, owner: str = OWNER, account: str = ACCOUNT, listening: bool = True
) -> Connection:
    """One that works, and whose owner's Dropbox is listened to."""
    connections = Connections(catalog)
    begun, (message,) = connections.begin(owner, wishes(*folders), "a code", ADDRESS)
    task = claim(catalog, message)
    connections.connected(begun.id, "token", account, "Ada", "ada@dropbox.example")
    Tasks(catalog).finish(task, Result())
    if listening:
        with transaction(catalog) as session:
            keep_open(session, begun.id, "listen")
    return loaded(catalog, begun.id)


def loaded(catalog: Engine, connection_id: str) -> Connection:
    found = Connections(catalog).load(connection_id)
    assert found
    return found


def claim(catalog: Engine, message: Message) -> Task:
    task = Tasks(catalog).claim(message.task_id, "worker")
    assert task
    return task


def a_while_later(catalog: Engine) -> None:
    """As if no task had begun in the last minute, nor been woken since it did."""
    with transaction(catalog) as session:
        began = update(TaskRow).where(TaskRow.started_at.is_not(None))
        session.execute(began.values(started_at=now() - timedelta(seconds=60)))
        session.execute(update(TaskRow).where(TaskRow.state == "running").values(due_at=TaskRow.started_at))


def states(catalog: Engine, job_id: str) -> dict[tuple[str, int], str]:
    with transaction(catalog) as session:
        rows = session.scalars(select(TaskRow).where(TaskRow.job_id == job_id)).all()
    return {(row.kind, row.part): row.state for row in rows}


def waiting(catalog: Engine, job_id: str, kind: str) -> Message:
    (found,) = [found for found in Tasks(catalog).unpublished(0) if (found.job_id, found.kind) == (job_id, kind)]
    return found


def kinds(sent: Sequence[Message]) -> list[str]:
    return sorted(message.kind for message in sent)


def a_found_job(catalog: Engine, connection_id: str, owner: str = OWNER) -> str:
    """A recording that was found there and is still to be fetched."""
    fetch = NextTask("fetch", args={"connection": connection_id})
    return Jobs(catalog).create(NewJob(owner, "talk.mp4", first=fetch, connection_id=connection_id))[0].id


def a_remote_file(catalog: Engine, folder: FolderRow | Any, path: str, state: str = "taken") -> str:
    row = RemoteFileRow(
        id=uuid4().hex,
        connection_id=folder.connection_id,
        folder_id=folder.id,
        remote_id=f"id:{uuid4().hex}",
        path=path,
        path_lower=path.lower(),
        rev="1",
        size=1,
        content_hash="0" * 64,
        modified_at=now(),
        state=state,
    )
    with transaction(catalog) as session:
        session.add(row)
    return row.id


def folder_rows(catalog: Engine, connection_id: str) -> dict[str, FolderRow]:
    with transaction(catalog) as session:
        rows = session.scalars(select(FolderRow).where(FolderRow.connection_id == connection_id)).all()
    return {row.path: row for row in rows}


def job_states(catalog: Engine, *job_ids: str) -> list[str]:
    with transaction(catalog) as session:
        rows = {job.id: job.state for job in session.scalars(select(JobRow).where(JobRow.id.in_(job_ids)))}
    return [rows[job_id] for job_id in job_ids if job_id in rows]
