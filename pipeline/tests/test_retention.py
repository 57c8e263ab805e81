from datetime import timedelta
from uuid import uuid4

import pytest
import structlog
from sqlalchemy import Engine

from pipeline import retention
from pipeline.accounts import Accounts, Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import RemovalRow
from pipeline.database import now, transaction
from pipeline.flow import TELLING
from pipeline.jobs import Jobs
from pipeline.options import Options
from pipeline.removals import Removals
from pipeline.retention import TELLING_DAYS, remove_jobs, remove_originals
from pipeline.task_rows import new_task
from pipeline.tasks import Tasks
from pipeline.tests.makers import (
    OWNER,
    a_job,
    a_recording,
    end_days_ago,
    named_blobs,
    stored_blobs,
    work_off,
    work_through,
)
from pipeline.work import NextTask

WORDS = [
    (None, None, 5, 5),
    (None, 10, 5, 10),
    (None, 3, 5, 3),
    (2, 10, 5, 2),
    (20, 10, 5, 20),
    (20, None, None, 20),
    (None, 10, None, 10),
]
"""What a job says, its owner and the installation, and what then holds; in days."""
MONTH = Limits(keep_original_days=30, keep_result_days=30)


def left(catalog: Engine, job_id: str) -> list[str] | None:
    job = Jobs(catalog).get(OWNER, job_id)
    return [found.name for found in job.artifacts] if job else None


def test_without_a_word_everything_is_kept(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store))
    end_days_ago(catalog, 10_000)
    assert (remove_jobs(catalog, Limits()), remove_originals(catalog, Limits())) == (0, 0)


def test_what_was_uploaded_goes_and_what_came_of_it_stays(catalog: Engine, store: DirectoryBlobs) -> None:
    job = work_through(catalog, store, a_recording(catalog, store, formats="txt"))
    end_days_ago(catalog, 29.9)
    assert remove_originals(catalog, MONTH) == 0
    end_days_ago(catalog, 30)
    before = now()
    assert remove_originals(catalog, MONTH) == 1
    assert remove_originals(catalog, MONTH) == 0
    Removals(catalog, store).carry_out()
    assert left(catalog, job.id) == ["talk.mp3", "talk.txt", "talk.waveform.json", "talk.waveform.png"]
    assert stored_blobs(store) == named_blobs(catalog)
    assert len(stored_blobs(store)) == 5  # with a version of the transcript
    seen = Jobs(catalog).get(OWNER, job.id)
    assert seen is not None
    assert seen.changed_at >= before
    assert seen.state == "done"


def test_a_whole_job_goes_and_that_is_known(catalog: Engine, store: DirectoryBlobs) -> None:
    job = work_through(catalog, store, a_recording(catalog, store))
    end_days_ago(catalog, 29.9)
    assert remove_jobs(catalog, MONTH) == 0
    end_days_ago(catalog, 30)
    before = now()
    assert remove_jobs(catalog, MONTH) == 1
    Removals(catalog, store).carry_out()
    assert left(catalog, job.id) is None
    assert stored_blobs(store) == set()
    assert [gone for gone, _ in Jobs(catalog).deleted(OWNER, before)] == [job.id]


def test_it_does_not_matter_how_a_job_ended(catalog: Engine, store: DirectoryBlobs) -> None:
    tasks = Tasks(catalog)
    a_recording(catalog, store, b"1")
    task = tasks.claim(tasks.unpublished(0)[0].task_id, "worker")
    assert task is not None
    tasks.reject(task, "No sound.")
    Jobs(catalog).cancel(OWNER, a_recording(catalog, store, b"2").id)
    work_through(catalog, store, a_recording(catalog, store, b"3"))
    assert {job.state for job in Jobs(catalog).list(OWNER)[0]} == {"failed", "cancelled", "done"}
    end_days_ago(catalog, 30)
    assert remove_originals(catalog, MONTH) == 3
    assert remove_jobs(catalog, MONTH) == 3


def test_what_is_in_work_stays_however_old_it_is(catalog: Engine) -> None:
    job, _ = a_job(catalog)
    end_days_ago(catalog, 10_000)
    assert (remove_jobs(catalog, MONTH), remove_originals(catalog, MONTH)) == (0, 0)
    assert left(catalog, job.id) == ["talk.mp4"]


@pytest.mark.parametrize("kind", TELLING)
def test_a_job_stays_until_those_who_are_told_of_it_have_been(
    catalog: Engine, store: DirectoryBlobs, kind: str
) -> None:
    job = work_through(catalog, store, a_recording(catalog, store))
    end_days_ago(catalog, 31)
    with transaction(catalog) as session:
        session.add(new_task(job.id, NextTask(kind, 7)))
    assert remove_jobs(catalog, MONTH) == 0
    work_off(catalog, store, kind)
    assert remove_jobs(catalog, MONTH) == 1


def test_a_job_does_not_stay_for_ever_for_those_who_are_told_of_it(catalog: Engine, store: DirectoryBlobs) -> None:
    """Its results may wait for a connection that is paused."""
    job = work_through(catalog, store, a_recording(catalog, store))
    end_days_ago(catalog, 31)
    with transaction(catalog) as session:
        task = new_task(job.id, NextTask("return", 7))
        task.created_at = now() - timedelta(days=TELLING_DAYS, minutes=1)
        session.add(task)
    assert remove_jobs(catalog, MONTH) == 1


@pytest.mark.parametrize("name", ["keep_original_days", "keep_result_days"])
def test_the_nearest_word_counts(catalog: Engine, store: DirectoryBlobs, name: str) -> None:
    remove = {"keep_original_days": remove_originals, "keep_result_days": remove_jobs}[name]
    Accounts(catalog).change("b" * 32, **{name: 1})
    for job, owner, installation, term in WORDS:
        Accounts(catalog).change(OWNER, **{name: owner})
        work_through(
            catalog, store, a_recording(catalog, store, uuid4().bytes, options=Options.model_validate({name: job}))
        )
        end_days_ago(catalog, term - 0.1)
        assert remove(catalog, Limits(**{name: installation})) == 0
        end_days_ago(catalog, term)
        assert remove(catalog, Limits(**{name: installation})) == 1


def test_terms_are_told_apart_between_jobs_and_owners(catalog: Engine, store: DirectoryBlobs) -> None:
    jobs = [a_recording(catalog, store, bytes([days]), keep_result_days=days) for days in (1, 2, 3, 4)]
    strangers = a_recording(catalog, store, owner="b" * 32)
    for job in [*jobs, strangers]:
        Jobs(catalog).cancel(OWNER if job in jobs else "b" * 32, job.id)
    end_days_ago(catalog, 2.5)
    assert remove_jobs(catalog, Limits()) == 2
    assert [left(catalog, job.id) is None for job in jobs] == [True, True, False, False]
    assert Jobs(catalog).get("b" * 32, strangers.id) is not None


def test_bytes_stay_while_another_job_has_them(catalog: Engine, store: DirectoryBlobs) -> None:
    first = work_through(catalog, store, a_recording(catalog, store))
    second = a_recording(catalog, store, title="again.mp4")
    stored = stored_blobs(store) - {"-"}
    end_days_ago(catalog, 30, first)
    remove_originals(catalog, MONTH)
    remove_jobs(catalog, MONTH)
    Removals(catalog, store).carry_out()
    assert left(catalog, first.id) is None
    assert left(catalog, second.id) is not None
    assert stored_blobs(store) == named_blobs(catalog) < stored
    end_days_ago(catalog, 30, second)
    remove_jobs(catalog, MONTH)
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == set()


def test_many_go_step_by_step_each_with_a_line_in_the_log(
    catalog: Engine, store: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    jobs = [a_recording(catalog, store, bytes([number])) for number in range(7)]
    for job in jobs:
        Jobs(catalog).cancel(OWNER, job.id)
    end_days_ago(catalog, 31)
    with structlog.testing.capture_logs() as lines:
        assert remove_originals(catalog, MONTH) == 7
        assert remove_jobs(catalog, MONTH) == 7
    for what in ("original", "job"):
        assert {line["job"] for line in lines if line["what"] == what} == {job.id for job in jobs}
    assert all("30 days" in line["why"] for line in lines)
    with transaction(catalog) as session:
        assert session.query(RemovalRow).count() == 7
