from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dev.waiting import eventually
from pipeline.jobs import Jobs
from pipeline.tasks import FIRST_DELAY, LONGEST_DELAY, MAX_LAPSES, Tasks, backoff
from pipeline.tests.makers import ADDRESS, OWNER, a_job, an_artifact, claimed
from pipeline.work import NextTask, Result, Task

HALVES = Result([an_artifact("track.mka", "track")], [NextTask("encode"), NextTask("cut")])


def extracted(tasks: Tasks) -> tuple[str, list[Task]]:
    job, message = a_job(tasks.engine)
    return job.id, [claimed(tasks, following) for following in tasks.finish(claimed(tasks, message), HALVES)]


def state(tasks: Tasks, job_id: str) -> str:
    job = Jobs(tasks.engine).get(OWNER, job_id)
    assert job is not None
    return job.state


def test_a_task_is_claimed_once(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: tasks.claim(message.task_id, f"worker {n}"), range(8)))
    assert [claim.attempt for claim in claims if claim] == [1]


def test_a_task_that_never_was_is_not_claimed(catalog: Engine) -> None:
    assert Tasks(catalog).claim("0" * 32, "worker") is None


def test_a_claimed_task_carries_what_its_job_has(catalog: Engine) -> None:
    job, message = a_job(catalog, title="lecture.mov")
    task = claimed(Tasks(catalog), message)
    assert (task.job_id, task.title, task.options.notify, task.job_state) == (
        job.id,
        "lecture.mov",
        (ADDRESS,),
        "running",
    )
    assert task.only("original").name == "lecture.mov"


def test_the_last_of_two_parts_ends_the_job(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job_id, (encode, cut) = extracted(tasks)
    assert tasks.finish(encode, Result([an_artifact("talk.mp3", "audio")])) == []
    assert state(tasks, job_id) == "running"
    (deliver,) = tasks.finish(cut, Result([an_artifact("talk.txt", "transcript")]))
    assert (deliver.kind, state(tasks, job_id)) == ("deliver", "done")


def test_two_parts_that_end_at_once_make_one_delivery(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    for _ in range(5):
        _, parts = extracted(tasks)
        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(lambda part: tasks.finish(part, Result()), parts))
        assert [message.kind for messages in made for message in messages] == ["deliver"]


def test_a_result_counts_once(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job, message = a_job(catalog)
    task = claimed(tasks, message)
    assert len(tasks.finish(task, HALVES)) == 2
    assert tasks.finish(task, HALVES) == []
    assert len(Jobs(catalog).get(OWNER, job.id).artifacts) == 1  # type: ignore[union-attr]


def test_an_attempt_that_was_replaced_changes_nothing(catalog: Engine) -> None:
    tasks = Tasks(catalog, lease=0)
    _, message = a_job(catalog)
    late = claimed(tasks, message)
    (again,) = eventually(tasks.lapse)
    new = claimed(tasks, again)
    assert not tasks.renew(late, 50)
    assert (
        tasks.finish(late, HALVES)
        == tasks.reject(late, "no")
        == tasks.retry(late, "later")
        == tasks.hand_back(late)
        == []
    )
    assert new.attempt == late.attempt + 1
    assert len(Tasks(catalog).finish(new, HALVES)) == 2


def test_a_task_whose_workers_die_is_given_up_with_a_reason(catalog: Engine) -> None:
    tasks = Tasks(catalog, lease=0)
    job, message = a_job(catalog)
    for _ in range(MAX_LAPSES):
        claimed(tasks, message)
        (message,) = eventually(tasks.lapse)
    claimed(tasks, message)
    (deliver,) = eventually(tasks.lapse)
    ended = Jobs(catalog).get(OWNER, job.id)
    assert ended is not None
    assert (deliver.kind, ended.state) == ("deliver", "failed")
    assert ended.reason
    assert "stopped without a word" in ended.reason


def test_a_rejected_task_fails_its_job_with_the_reason(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job, message = a_job(catalog)
    (deliver,) = tasks.reject(claimed(tasks, message), "There is no sound in it.")
    ended = Jobs(catalog).get(OWNER, job.id)
    assert ended is not None
    assert (deliver.kind, ended.state, ended.reason) == ("deliver", "failed", "There is no sound in it.")
    assert ended.finished_at


def test_a_failed_transcript_still_leaves_the_audio(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job_id, (encode, cut) = extracted(tasks)
    assert tasks.reject(cut, "The speech service refused it.") == []
    assert state(tasks, job_id) == "running"
    assert len(tasks.finish(encode, Result([an_artifact("talk.mp3", "audio")]))) == 1
    assert state(tasks, job_id) == "failed"


def test_a_delivery_that_fails_leaves_the_job_as_it_ended(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job, message = a_job(catalog)
    (deliver,) = tasks.reject(claimed(tasks, message), "No sound.")
    assert tasks.reject(claimed(tasks, deliver), "No such mailbox.") == []
    ended = Jobs(catalog).get(OWNER, job.id)
    assert ended is not None
    assert ended.reason == "No sound."


def test_a_retried_task_waits_for_its_time(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    tasks.retry(claimed(tasks, message), "away", delay=3600)
    assert tasks.unpublished(0) == []


def test_a_retried_task_comes_due(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    tasks.retry(claimed(tasks, message), "away", delay=0)
    assert [again.task_id for again in tasks.unpublished(0)] == [message.task_id]
    assert claimed(tasks, message).attempt == 2


def test_a_confirmation_that_comes_late_does_not_hide_a_retry(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    tasks.retry(claimed(tasks, message), "away", delay=0)
    tasks.published([message])
    assert [again.task_id for again in tasks.unpublished(0)] == [message.task_id]


def test_results_get_names_that_are_free(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job, message = a_job(catalog, title="talk.mp3")
    tasks.finish(claimed(tasks, message), Result([an_artifact("talk.mp3", "audio", blob="made")]))
    found = Jobs(catalog).get(OWNER, job.id)
    assert found is not None
    assert [(artifact.name, artifact.kind) for artifact in found.artifacts] == [
        ("talk (1).mp3", "audio"),
        ("talk.mp3", "original"),
    ]


def test_patience_ends(catalog: Engine) -> None:
    job, message = a_job(catalog)
    tasks = Tasks(catalog, patience=0)
    tasks.retry(claimed(tasks, message), "The store was away.", delay=0)
    tasks.retry(claimed(tasks, message), "The store was away.", delay=0)
    ended = Jobs(catalog).get(OWNER, job.id)
    assert ended is not None
    assert (ended.state, ended.reason) == ("failed", "The store was away.")


def test_a_task_handed_back_is_free_at_once(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    assert [again.task_id for again in tasks.hand_back(claimed(tasks, message))] == [message.task_id]
    assert claimed(tasks, message).attempt == 2


def test_what_was_published_is_not_sent_again_until_it_is_stale(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    assert tasks.unpublished(0) == [message]
    tasks.published([message])
    assert tasks.unpublished(0) == tasks.stale("extract", 60) == []
    assert tasks.stale("extract", 0) == [message]


def test_a_result_may_only_ask_for_what_follows(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    task = claimed(tasks, message)
    with pytest.raises(ValueError, match="deliver does not follow extract"):
        tasks.finish(task, Result(next=[NextTask("deliver")]))
    assert len(tasks.finish(task, HALVES)) == 2


def test_renewing_keeps_the_percent(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    job, message = a_job(catalog)
    assert tasks.renew(claimed(tasks, message), 40.7)
    running = Jobs(catalog).get(OWNER, job.id)
    assert running is not None
    assert (running.stages[0].percent, running.stage) == (40, "extract")


def test_a_lease_that_holds_does_not_lapse(catalog: Engine) -> None:
    tasks = Tasks(catalog)
    _, message = a_job(catalog)
    claimed(tasks, message)
    assert tasks.lapse() == []
    assert replace(tasks, lease=1).lapse() == []


def test_backoff_grows_to_its_limit() -> None:
    assert FIRST_DELAY / 2 <= backoff(1) <= FIRST_DELAY
    assert all(backoff(n) <= LONGEST_DELAY for n in range(1, 2000))
    assert backoff(50) >= LONGEST_DELAY / 2
