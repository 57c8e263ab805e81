"""Tasks that are never done: each time they end, they are queued again."""

from datetime import datetime, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import Engine

from pipeline import task_rows
from pipeline.catalog import JobRow, TaskRow
from pipeline.database import now, transaction
from pipeline.jobs import Jobs
from pipeline.tasks import Tasks
from pipeline.tests.connecting import a_while_later
from pipeline.tests.makers import OWNER, a_job, claimed
from pipeline.work import Result


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def row_of(tasks: Tasks, task_id: str) -> TaskRow:
    with transaction(tasks.engine) as session:
        return session.get_one(TaskRow, task_id)


def test_it_waits_for_its_time_with_nothing_held_against_it(tasks: Tasks) -> None:
    _, message = a_job(tasks.engine)
    tasks.retry(claimed(tasks, message), "not yet", 0)
    assert tasks.finish(claimed(tasks, message), Result(again=3600)) == []
    assert tasks.unpublished(0) == []
    row = row_of(tasks, message.task_id)
    assert (row.state, row.failures, row.reason) == ("queued", 0, None)
    assert now() + timedelta(seconds=3000) < row.due_at < now() + timedelta(seconds=3601)


def test_it_comes_back_at_once_if_it_says_so(tasks: Tasks) -> None:
    _, message = a_job(tasks.engine)
    (sent,) = tasks.finish(claimed(tasks, message), Result(again=0))
    assert claimed(tasks, sent).attempt == 2


def test_it_comes_back_at_once_if_somebody_woke_it_meanwhile(tasks: Tasks) -> None:
    _, message = a_job(tasks.engine)
    task = claimed(tasks, message)
    a_while_later(tasks.engine)
    with transaction(tasks.engine) as session:
        session.get_one(TaskRow, task.id).due_at = now()
    (sent,) = tasks.finish(task, Result(again=3600))
    assert sent.task_id == task.id


def test_woken_again_and_again_it_keeps_its_distance(tasks: Tasks) -> None:
    _, message = a_job(tasks.engine)
    task = claimed(tasks, message)
    started = row_of(tasks, task.id).started_at
    assert started
    with transaction(tasks.engine) as session:
        session.get_one(TaskRow, task.id).due_at = now() + timedelta(microseconds=1)
    with patch.object(task_rows, "APART", 600.0):
        assert tasks.finish(task, Result(again=3600)) == []
    row = row_of(tasks, task.id)
    assert (row.started_at, row.due_at) == (started, started + timedelta(seconds=600))


def test_it_does_not_come_back_once_it_was_called_off(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    task = claimed(tasks, message)
    Jobs(tasks.engine).cancel(OWNER, job.id)
    assert tasks.finish(task, Result(again=0)) == []
    assert row_of(tasks, task.id).state == "cancelled"


def test_that_it_comes_back_is_no_news(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    task = claimed(tasks, message)

    def changed_at() -> datetime:
        with transaction(tasks.engine) as session:
            return session.get_one(JobRow, job.id).changed_at

    before = changed_at()
    tasks.finish(task, Result(again=3600))
    assert changed_at() == before


def test_messages_of_other_jobs_are_sent_with_its_own(tasks: Tasks) -> None:
    (_, message), (_, other) = a_job(tasks.engine), a_job(tasks.engine)
    assert tasks.finish(claimed(tasks, message), Result(again=3600, sent=[other])) == [other]
    assert other in tasks.finish(claimed(tasks, other), Result(sent=[other]))
