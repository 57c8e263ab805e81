from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.cursors import BadCursor
from pipeline.jobs import Job, Jobs
from pipeline.removals import Removals
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, a_job, an_artifact, stored_blobs, write
from pipeline.work import Result

STRANGER = "b" * 32


def test_a_stranger_finds_nothing(catalog: Engine) -> None:
    jobs = Jobs(catalog)
    job, _ = a_job(catalog)
    fid = job.artifacts[0].id
    assert jobs.get(STRANGER, job.id) is None
    assert jobs.cancel(STRANGER, job.id) is None
    assert not jobs.delete(STRANGER, job.id)
    assert jobs.artifact(STRANGER, fid) is None
    assert jobs.named_artifact(STRANGER, job.id, "talk.mp4") is None
    assert jobs.list(STRANGER) == ([], None)
    assert jobs.get(OWNER, job.id) == job


def test_pages_hold_every_job_once_newest_first(catalog: Engine) -> None:
    jobs = Jobs(catalog)
    made = [a_job(catalog)[0].id for _ in range(7)]
    first, cursor = jobs.list(OWNER, limit=3)
    second, cursor2 = jobs.list(OWNER, cursor, limit=3)
    third, end = jobs.list(OWNER, cursor2, limit=3)
    assert [job.id for job in [*first, *second, *third]] == made[::-1]
    assert end is None


@pytest.mark.parametrize("cursor", ["x", "AAAA", "éé", "MjAyNi0wMS0wMSBhYg==", "!" * 500])
def test_a_cursor_that_was_not_given_out_is_refused(catalog: Engine, cursor: str) -> None:
    with pytest.raises(BadCursor):
        Jobs(catalog).list(OWNER, cursor)


def test_a_cancelled_job_ends_its_tasks_and_stays_cancelled(catalog: Engine) -> None:
    jobs, tasks = Jobs(catalog), Tasks(catalog)
    job, message = a_job(catalog)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    cancelled = jobs.cancel(OWNER, job.id)
    assert cancelled is not None
    assert (cancelled.state, cancelled.stages[0].state) == ("cancelled", "cancelled")
    assert not tasks.renew(task, 10)
    assert tasks.finish(task, Result()) == []
    assert jobs.get(OWNER, job.id) == cancelled


def test_cancelling_what_has_ended_changes_nothing(catalog: Engine) -> None:
    jobs, tasks = Jobs(catalog), Tasks(catalog)
    job, message = a_job(catalog)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    tasks.reject(task, "No sound.")
    cancelled = jobs.cancel(OWNER, job.id)
    assert cancelled is not None
    assert cancelled.state == "failed"


def test_deleting_removes_the_blobs_nobody_needs(catalog: Engine, tmp_path: Path) -> None:
    jobs, tasks, store = Jobs(catalog), Tasks(catalog), DirectoryBlobs(tmp_path / "blobs")
    for blob in ("one", "shared"):
        write(store, blob, b"12345")
    job, message = a_job(catalog, blob="one")
    other, _ = a_job(catalog, blob="shared")
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    tasks.finish(task, Result([an_artifact("again.mp3", "audio", blob="shared")]))
    assert jobs.delete(OWNER, job.id)
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == {"shared"}
    assert jobs.get(OWNER, job.id) is None
    assert tasks.claim(message.task_id, "worker") is None
    assert jobs.delete(OWNER, other.id)
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == set()


def test_the_track_between_tasks_is_nobodys_to_see(catalog: Engine) -> None:
    jobs, tasks = Jobs(catalog), Tasks(catalog)
    job, message = a_job(catalog)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    tasks.finish(task, Result([an_artifact("track.mka", "track")]))
    seen = jobs.get(OWNER, job.id)
    assert seen is not None
    assert [artifact.name for artifact in seen.artifacts] == ["talk.mp4"]
    assert jobs.named_artifact(OWNER, job.id, "track.mka") is None


def test_artifacts_are_found_by_id_and_by_name(catalog: Engine) -> None:
    jobs = Jobs(catalog)
    job, _ = a_job(catalog, title="Größe 😀.mp4")
    (original,) = job.artifacts
    assert jobs.artifact(OWNER, original.id) == original
    assert jobs.named_artifact(OWNER, job.id, "Größe 😀.mp4") == original
    assert jobs.linked_artifact(original.id) == replace(original)


def test_changes_are_found_from_a_time_on_so_many_at_once_and_without_those_known(catalog: Engine) -> None:
    jobs = Jobs(catalog)
    first, second, third = (a_job(catalog)[0] for _ in range(3))
    a_job(catalog, owner=STRANGER)

    def found(since: datetime, limit: int, *known: Job) -> list[str]:
        return [job.id for job in jobs.changed(OWNER, since, limit, [(job.changed_at, job.id) for job in known])]

    assert found(first.changed_at, 2) == [first.id, second.id]
    assert found(second.changed_at, 9) == [second.id, third.id]
    assert found(first.changed_at, 2, first, third) == [second.id]
    jobs.cancel(OWNER, first.id)
    assert found(first.changed_at, 9, first, second, third) == [first.id], "it has changed again"


def test_percent_is_whole_only_when_done(catalog: Engine) -> None:
    job, _ = a_job(catalog)
    assert (job.percent, job.stage, job.state) == (0, "extract", "queued")
