from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from dev.waiting import eventually
from pipeline import database, removals
from pipeline.blobs import BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, RemovalRow
from pipeline.database import transaction
from pipeline.errors import Unavailable
from pipeline.jobs import Jobs
from pipeline.removals import Removals, doom
from pipeline.tasks import Tasks
from pipeline.tests.makers import (
    OWNER,
    a_job,
    a_recording,
    an_artifact,
    an_upload,
    named_blobs,
    stored_blobs,
    work_through,
    write,
)
from pipeline.work import Result
from tests.processes import python


def note(catalog: Engine, *blobs: str) -> None:
    with transaction(catalog) as session:
        doom(session, blobs)


def noted(catalog: Engine) -> int:
    with transaction(catalog) as session:
        return session.scalar(select(func.count()).select_from(RemovalRow)) or 0


def at_once(*acts: Callable[[], object]) -> None:
    """All of them, as close together as threads come."""
    start = Barrier(len(acts))

    def act(own: Callable[[], object]) -> None:
        start.wait(10)
        own()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(act, acts))


def test_what_nothing_names_goes_and_the_rest_stays(catalog: Engine, store: DirectoryBlobs) -> None:
    for blob in ("unnamed", "growing", "grown", "of-a-job"):
        write(store, blob, b"12345")
    a_job(catalog, blob="of-a-job")
    an_upload(catalog, "growing")
    an_upload(catalog, "grown", job_id="0" * 32)
    note(catalog, "unnamed", "growing", "grown", "of-a-job", "unnamed")
    note(catalog, "unnamed")
    assert Removals(catalog, store).carry_out() == 2
    assert stored_blobs(store) == {"growing", "of-a-job"}
    assert noted(catalog) == 0


def test_more_than_a_batch_goes_also_past_what_stays(catalog: Engine, store: DirectoryBlobs) -> None:
    kept = [f"a-{number:03}" for number in range(removals.BATCH)]
    for blob in kept:
        an_upload(catalog, blob)
    note(catalog, *kept, *(f"b-{number}" for number in range(removals.BATCH + 1)))
    assert Removals(catalog, store).carry_out() == removals.BATCH + 1
    assert noted(catalog) == 0


def test_a_result_that_is_committed_twice_keeps_its_blobs(catalog: Engine, store: DirectoryBlobs) -> None:
    """As after a commit whose answer was lost."""
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    write(store, "made", b"12345")
    result = Result([an_artifact("talk.mp3", "audio", blob="made")])
    tasks.finish(task, result)
    assert tasks.finish(task, result) == []
    assert Removals(catalog, store).carry_out() == 0
    assert stored_blobs(store) == {"made"}


def test_what_cannot_go_now_goes_later(catalog: Engine, store: DirectoryBlobs, tmp_path: Path) -> None:
    write(store, "unnamed", b"12345")
    note(catalog, "unnamed")
    away = (tmp_path / "blobs").rename(tmp_path / "away")
    with pytest.raises(Unavailable):
        Removals(catalog, store).carry_out()
    Removals(catalog, store).try_now()
    assert noted(catalog) == 1
    away.rename(tmp_path / "blobs")
    assert Removals(catalog, store).carry_out() == 1
    assert stored_blobs(store) == set()


def test_of_two_jobs_deleted_at_once_nothing_stays(catalog: Engine, store: DirectoryBlobs) -> None:
    for _ in range(10):
        first = work_through(catalog, store, a_recording(catalog, store))
        second = a_recording(catalog, store)
        assert second.reused
        jobs = Jobs(catalog)
        at_once(lambda: jobs.delete(OWNER, first.id), lambda: jobs.delete(OWNER, second.id))  # noqa: B023
        Removals(catalog, store).carry_out()
        assert stored_blobs(store) == set()


def test_several_may_remove_at_once_while_jobs_are_deleted(catalog: Engine, store: DirectoryBlobs) -> None:
    made = [work_through(catalog, store, a_recording(catalog, store, bytes([number // 2]))) for number in range(12)]
    kept, removing = made[::4], Removals(catalog, store).carry_out
    jobs = Jobs(catalog)

    def delete() -> None:
        for job in made:
            if job not in kept:
                jobs.delete(OWNER, job.id)

    at_once(delete, removing, removing, removing)
    removing()
    assert stored_blobs(store) == named_blobs(catalog) != set()
    assert {job.id for job in jobs.list(OWNER)[0]} == {job.id for job in kept}


def test_the_loop_outlives_a_store_that_is_away(
    catalog: Engine, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "SECONDS", 0.01)
    (tmp_path / "blobs").rename(tmp_path / "away")
    note(catalog, "unnamed")
    stop = Event()
    loop = Thread(target=Removals(catalog, store).run, args=(stop,))
    loop.start()
    try:
        (tmp_path / "blobs").mkdir()
        eventually(lambda: noted(catalog) == 0)
    finally:
        stop.set()
        loop.join(10)
    assert not loop.is_alive()


@pytest.mark.servers
def test_every_worker_removes_what_the_gateway_could_not(tmp_path: Path, rabbitmq_url: str) -> None:
    catalog = database.connect(f"sqlite:///{tmp_path}/catalog.db")
    Base.metadata.create_all(catalog)
    store = DirectoryBlobs(tmp_path / "blobs")
    write(store, "unnamed", b"12345")
    note(catalog, "unnamed")
    environment: dict[str, Any] = {
        "SPOOL_DATABASE_URL": str(catalog.url),
        "SPOOL_BLOB_URL": (tmp_path / "blobs").as_uri(),
        "SPOOL_QUEUE_URL": rabbitmq_url,
    }
    with python("converter", "-m", "converter", environment=environment, folder=tmp_path) as worker:
        eventually(lambda: not stored_blobs(store), timeout=60)
        assert worker.stop() == 0
    catalog.dispose()
