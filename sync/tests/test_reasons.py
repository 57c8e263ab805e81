"""What the owner of a connected account reads of recordings that do not come, and of results that do not come back."""

from pipeline.catalog import TaskRow
from pipeline.database import transaction
from pipeline.task_rows import new_task
from pipeline.work import NextTask, Result, Task
from sync.tests.watched import Watched

FULL, FORBIDDEN = "There is no room left.", "Spool may not write there."


def _with_jobs(watched: Watched, *names: str) -> list[str]:
    for name in names:
        watched.dropbox.put(f"/Talks/{name}", b"\0" + name.encode())
    watched.watch()
    return [job.id for name in names for job in watched.jobs() if job.title == name]


def _returning(watched: Watched, job_id: str, part: int = 0) -> Task:
    with transaction(watched.catalog) as session:
        session.add(new_task(job_id, NextTask("return", part)))
    return watched.claim("return", part, job_id)


def _reason(watched: Watched) -> str | None:
    """After the account was looked at again."""
    watched.watch()
    return watched.connection.reason


def test_what_is_tried_again_is_told_until_it_works(watched: Watched) -> None:
    (job,) = _with_jobs(watched, "a.mp4")
    watched.tasks.retry(_returning(watched, job), FULL, 0)
    assert _reason(watched) == _reason(watched) == f"a.mp4: {FULL}"
    watched.tasks.finish(watched.claim("return", 0, job), Result())
    assert _reason(watched) is None


def test_a_recording_that_does_not_come_is_told_of(watched: Watched) -> None:
    (job,) = _with_jobs(watched, "a.mp4")
    watched.tasks.retry(watched.claim("fetch", job_id=job), "Dropbox does not answer.")
    assert _reason(watched) == "a.mp4: Dropbox does not answer."


def test_the_same_is_told_once(watched: Watched) -> None:
    for job in _with_jobs(watched, "a.mp4", "b.mp4"):
        watched.tasks.retry(_returning(watched, job), FULL, 3600)
    assert _reason(watched) == f"a.mp4 and 1 more: {FULL}"


def test_what_was_given_up_is_told_until_results_come_back(watched: Watched) -> None:
    first, second = _with_jobs(watched, "a.mp4", "b.mp4")
    watched.tasks.finish(_returning(watched, second), Result())
    watched.tasks.reject(_returning(watched, first), FORBIDDEN)
    assert _reason(watched) == _reason(watched) == f"a.mp4: {FORBIDDEN}"
    watched.tasks.finish(_returning(watched, second, 1), Result())
    assert _reason(watched) is None


def test_of_other_connections_nothing_is_told(watched: Watched) -> None:
    (job,) = _with_jobs(watched, "a.mp4")
    watched.tasks.reject(_returning(watched, job), FORBIDDEN)
    watched.connect("/Other")
    assert _reason(watched) is None
    with transaction(watched.catalog) as session:
        assert session.query(TaskRow).filter_by(reason=FORBIDDEN).count() == 1
