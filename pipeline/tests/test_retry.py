import pytest
from sqlalchemy import Engine, select

from pipeline.accounts import Limits
from pipeline.catalog import TaskRow
from pipeline.database import transaction
from pipeline.jobs import Job, Jobs, Settled
from pipeline.messages import Message
from pipeline.retention import remove_originals
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, a_job, an_artifact, claimed, end_days_ago
from pipeline.work import NextTask, Result, Task

HALVES = Result([an_artifact("track.mka", "track")], [NextTask("encode"), NextTask("cut")])
MP3 = Result([an_artifact("talk.mp3", "audio")])
TEXT = Result([an_artifact("talk.txt", "transcript")])


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def halves(tasks: Tasks) -> tuple[str, Task, Task]:
    """A job of which encode and cut are being worked on."""
    job, message = a_job(tasks.engine)
    encode, cut = tasks.finish(claimed(tasks, message), HALVES)
    return job.id, claimed(tasks, encode), claimed(tasks, cut)


def again(tasks: Tasks, job_id: str) -> tuple[Job, list[Message]]:
    found = Jobs(tasks.engine).retry(OWNER, job_id)
    assert found is not None
    job, messages = found
    return job, list(messages)


def states(job: Job) -> dict[str, str]:
    return {stage.name: stage.state for stage in job.stages}


def get(tasks: Tasks, job_id: str) -> Job:
    job = Jobs(tasks.engine).get(OWNER, job_id)
    assert job is not None
    return job


def letters(tasks: Tasks, job_id: str) -> list[tuple[int, str]]:
    with transaction(tasks.engine) as session:
        found = select(TaskRow.part, TaskRow.state).where(TaskRow.job_id == job_id, TaskRow.kind == "deliver")
        return [(part, state) for part, state in session.execute(found.order_by(TaskRow.part))]


def test_only_what_failed_runs_again_and_the_rest_is_kept(tasks: Tasks) -> None:
    job_id, encode, cut = halves(tasks)
    tasks.finish(encode, MP3)
    tasks.reject(cut, "The speech service refused it.")
    assert get(tasks, job_id).state == "failed"
    job, messages = again(tasks, job_id)
    assert [(message.kind, message.task_id) for message in messages] == [("cut", cut.id)]
    assert (job.state, job.reason, job.finished_at) == ("queued", None, None)
    assert states(job) == {
        "extract": "done",
        "encode": "done",
        "cut": "queued",
        "transcribe": "queued",
        "merge": "queued",
        "deliver": "cancelled",
    }
    assert [found.name for found in job.artifacts] == ["talk.mp3", "talk.mp4"]
    task = claimed(tasks, messages[0])
    assert task.attempt == 2, "no attempt writes the blobs of another"
    tasks.finish(task, TEXT)
    done = get(tasks, job_id)
    assert (done.state, [found.name for found in done.artifacts]) == ("done", ["talk.mp3", "talk.mp4", "talk.txt"])


def test_both_halves_run_again_if_both_failed(tasks: Tasks) -> None:
    job_id, encode, cut = halves(tasks)
    tasks.reject(encode, "No.")
    tasks.reject(cut, "No.")
    assert sorted(message.kind for message in again(tasks, job_id)[1]) == ["cut", "encode"]


def test_what_fails_again_can_be_tried_once_more(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    for attempt in (1, 2, 3):
        task = claimed(tasks, message)
        assert task.attempt == attempt
        tasks.reject(task, f"No sound, {attempt}.")
        assert get(tasks, job.id).reason == f"No sound, {attempt}."
        _, (message,) = again(tasks, job.id)


def test_what_was_held_against_the_task_is_forgotten(tasks: Tasks) -> None:
    hasty = Tasks(tasks.engine, patience=0)
    job, message = a_job(tasks.engine)
    for _ in range(2):
        hasty.retry(claimed(hasty, message), "The store was away.", delay=0)
    assert get(tasks, job.id).state == "failed"
    _, (message,) = again(tasks, job.id)
    hasty.retry(claimed(hasty, message), "The store was away.", delay=0)
    assert get(tasks, job.id).state == "running", "patience begins anew"


def test_the_end_is_told_anew_under_the_next_number(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    (letter,) = tasks.reject(claimed(tasks, message), "No sound.")
    tasks.finish(claimed(tasks, letter), Result())
    _, (message,) = again(tasks, job.id)
    (letter,) = tasks.reject(claimed(tasks, message), "Still no sound.")
    assert letters(tasks, job.id) == [(0, "done"), (1, "queued")]
    assert claimed(tasks, letter).args == {
        "address": "ada@example.org",
        "event": "job.failed",
        "state": "failed",
        "reason": "Still no sound.",
    }


def test_a_mail_that_was_still_to_tell_of_the_failure_is_called_off(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    (letter,) = tasks.reject(claimed(tasks, message), "No sound.")
    _, (message,) = again(tasks, job.id)
    assert tasks.claim(letter.task_id, "worker") is None
    tasks.finish(claimed(tasks, message), Result())
    assert letters(tasks, job.id) == [(0, "cancelled"), (1, "queued")]
    assert get(tasks, job.id).state == "done"


def test_a_cancelled_job_goes_on_where_it_was(tasks: Tasks) -> None:
    job_id, encode, cut = halves(tasks)
    tasks.finish(encode, MP3)
    Jobs(tasks.engine).cancel(OWNER, job_id)
    job, messages = again(tasks, job_id)
    assert [message.kind for message in messages] == ["cut"]
    assert job.state == "queued"
    assert tasks.finish(cut, TEXT) == [], "the attempt that was cancelled does not count any more"
    tasks.finish(claimed(tasks, messages[0]), TEXT)
    assert get(tasks, job_id).state == "done"


def test_a_change_can_be_seen(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    tasks.reject(claimed(tasks, message), "No sound.")
    failed = get(tasks, job.id)
    retried, _ = again(tasks, job.id)
    assert get(tasks, job.id).changed_at == retried.changed_at > failed.changed_at


def test_what_is_done_or_under_way_is_not_run_again(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    for _ in ("queued", "running", "done"):
        with pytest.raises(Settled):
            Jobs(tasks.engine).retry(OWNER, job.id)
        if task := tasks.claim(message.task_id, "worker"):
            continue
        task = Task(message.task_id, job.id, "extract", 0, 1, "", {}, job.options, "running", None, ())
        tasks.finish(task, Result())
    assert get(tasks, job.id).state == "done"
    assert [number for number, _ in letters(tasks, job.id)] == [0]


def test_without_its_recording_a_job_cannot_run_again(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    tasks.reject(claimed(tasks, message), "No sound.")
    end_days_ago(tasks.engine, 2)
    remove_originals(tasks.engine, Limits(keep_original_days=1))
    with pytest.raises(Settled, match="upload it again"):
        Jobs(tasks.engine).retry(OWNER, job.id)
    assert get(tasks, job.id).state == "failed"


def test_what_was_heard_of_a_recording_that_is_gone_is_not_joined(tasks: Tasks) -> None:
    job_id, encode, cut = halves(tasks)
    tasks.finish(encode, MP3)
    tasks.finish(cut, Result(next=[NextTask("merge")]))
    Jobs(tasks.engine).cancel(OWNER, job_id)
    end_days_ago(tasks.engine, 2)
    remove_originals(tasks.engine, Limits(keep_original_days=1))
    with pytest.raises(Settled, match="upload it again"):
        Jobs(tasks.engine).retry(OWNER, job_id)
    assert get(tasks, job_id).state == "cancelled"


def test_nobody_runs_the_jobs_of_others(tasks: Tasks) -> None:
    job, message = a_job(tasks.engine)
    tasks.reject(claimed(tasks, message), "No sound.")
    assert Jobs(tasks.engine).retry("b" * 32, job.id) is None
    assert get(tasks, job.id).state == "failed"
