"""One mail that tells of many jobs: none is left out, and none told of twice, whoever dies when."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from dev.mail.faults import Fault
from dev.mail.server import MailServer, text_of
from dev.waiting import eventually
from notification.bursts import Bursts
from notification.handler import LOOK, Post
from notification.tests.bursts import all_jobs, begin, end, jobs_by_mail, jobs_in, letters, look, mails_of
from notification.tests.conftest import ADDRESS, FEW, OWNER, a_post
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, MailRow, TaskRow
from pipeline.database import connect, now, transaction
from pipeline.errors import Reject, Retry
from pipeline.jobs import Jobs
from pipeline.mails import Mails
from pipeline.tasks import Tasks
from pipeline.work import Result

pytestmark = pytest.mark.slow

Look = Callable[[str], Result | Retry | Reject]


@pytest.fixture
def attempt(any_catalog: Engine, post: Post, blobs: DirectoryBlobs) -> Look:
    return lambda task_id: look(any_catalog, post, blobs, task_id)


def a_burst(catalog: Engine, count: int = FEW + 1) -> list[str]:
    """The letters about jobs that were started at once and have all ended."""
    for number, task in enumerate(begin(catalog, count)):
        end(catalog, task, "No sound." if number == 1 else None)
    return letters(catalog)


def waits(outcome: Result | Retry | Reject) -> bool:
    return isinstance(outcome, Result) and outcome.again is not None and outcome.again >= LOOK


def test_jobs_that_were_started_one_by_one_have_a_mail_each(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    for letter in a_burst(any_catalog, FEW):
        attempt(letter)
    assert [len(jobs_in(mail)) for mail in server.mails] == [1] * FEW


def test_many_that_were_started_at_once_have_one_when_the_last_has_ended(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    *first, last = begin(any_catalog, FEW + 1)
    for task in first:
        end(any_catalog, task)
    assert all(waits(attempt(letter)) for letter in letters(any_catalog))
    end(any_catalog, last, "No sound.")
    assert attempt(letters(any_catalog)[-1]) == Result()
    assert [attempt(letter) for letter in letters(any_catalog, "queued")] == [Result()] * FEW
    (mail,) = server.mails
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)
    assert mail["Subject"] == f"1 not finished, {FEW} ready: talk {FEW} and {FEW} more"
    assert jobs_by_mail(any_catalog, "sent") == all_jobs(any_catalog)
    assert letters(any_catalog, "done") == letters(any_catalog)


def test_letters_that_nobody_has_looked_at_yet_go_with_the_first(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    burst = a_burst(any_catalog)
    assert attempt(burst[0]) == Result()
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)


def test_the_wait_has_an_end(any_catalog: Engine, server: MailServer, attempt: Look) -> None:
    first, second, _ = begin(any_catalog, FEW + 1)[:3]
    end(any_catalog, first)
    end(any_catalog, second)
    assert all(waits(attempt(letter)) for letter in letters(any_catalog))
    with transaction(any_catalog) as session:
        session.execute(update(MailRow).values(created_at=now() - timedelta(hours=2)))
    assert attempt(letters(any_catalog)[0]) == Result()
    assert sum(mails_of(server).values()) == 2
    assert len(server.mails) == 1


def test_others_are_told_by_mails_of_their_own(any_catalog: Engine, server: MailServer, attempt: Look) -> None:
    """Other addresses, other users, and what is not about a recording."""
    for task in begin(any_catalog, FEW + 1, to=[ADDRESS, "bob@example.org"]):
        end(any_catalog, task)
    for task in begin(any_catalog, 1, owner="b" * 32):
        end(any_catalog, task)
    for letter in letters(any_catalog):
        attempt(letter)
    assert sorted((mail["To"], len(jobs_in(mail))) for mail in server.mails) == [
        (ADDRESS, 1),
        (ADDRESS, FEW + 1),
        ("bob@example.org", FEW + 1),
    ]


def test_who_wants_digests_has_one_when_nothing_is_in_work(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    Mails(any_catalog).choose(OWNER, "digest")
    first, second = begin(any_catalog, 2)
    with transaction(any_catalog) as session:
        session.execute(
            update(JobRow).where(JobRow.id == _job(any_catalog, first)).values(created_at=now() - timedelta(1))
        )
    end(any_catalog, first)
    assert waits(attempt(letters(any_catalog)[0]))
    end(any_catalog, second)
    assert attempt(letters(any_catalog)[1]) == Result()
    (mail,) = server.mails
    assert len(jobs_in(mail)) == 2


def _job(catalog: Engine, task_id: str) -> str:
    with transaction(catalog) as session:
        return session.get_one(TaskRow, task_id).job_id


def test_who_wants_failures_only_has_a_digest_of_those(any_catalog: Engine, server: MailServer, attempt: Look) -> None:
    Mails(any_catalog).choose(OWNER, "failures")
    for number, task in enumerate(begin(any_catalog, FEW + 2)):
        end(any_catalog, task, "No sound." if number else None)
    for letter in letters(any_catalog):
        if letter in letters(any_catalog, "queued"):
            attempt(letter)
    (mail,) = server.mails
    assert mail["Subject"].startswith(f"{FEW + 1} not finished: ")
    assert "ready" not in text_of(mail)
    assert len(jobs_by_mail(any_catalog, "unwanted")) == 1


@pytest.mark.parametrize("fault", ["MAIL 451 later", "RCPT 450 later", "DATA 451 later", "END 451 later", "DATA cut"])
def test_a_digest_that_was_not_taken_goes_out_later(
    any_catalog: Engine, server: MailServer, attempt: Look, fault: str
) -> None:
    burst = a_burst(any_catalog)
    server.faults = [Fault.parse(fault)]
    assert isinstance(attempt(burst[2]), Retry)
    assert all(waits(attempt(letter)) for letter in burst if letter != burst[2])
    assert attempt(burst[2]) == Result()
    assert [attempt(letter) for letter in letters(any_catalog, "queued")] == [Result()] * FEW
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)


def test_a_digest_that_is_refused_is_refused_for_all(any_catalog: Engine, server: MailServer, attempt: Look) -> None:
    server.faults = [Fault.parse("RCPT 550 5.1.1 nobody")]
    assert [type(attempt(letter)) for letter in a_burst(any_catalog)] == [Reject] * (FEW + 1)
    assert server.mails == []
    assert jobs_by_mail(any_catalog, "refused") == all_jobs(any_catalog)


def test_a_digest_whose_answer_is_lost_is_unclear_for_all_and_not_sent_again(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    server.faults = [Fault.parse("END cut")]
    assert [attempt(letter) for letter in a_burst(any_catalog)] == [Result()] * (FEW + 1)
    assert len(server.mails) == 1
    assert jobs_by_mail(any_catalog, "unclear") == all_jobs(any_catalog)


def test_when_it_has_gone_the_others_are_called_at_once(any_catalog: Engine, attempt: Look) -> None:
    burst, server_time = a_burst(any_catalog), now()
    task = Tasks(any_catalog)
    with transaction(any_catalog) as session:
        session.execute(
            update(TaskRow).where(TaskRow.id.in_(burst[1:])).values(due_at=server_time + timedelta(hours=1))
        )
    attempt(burst[0])
    assert {message.task_id for message in task.unpublished(0)} == set(burst[1:])


def test_a_digest_that_was_given_up_is_given_up_for_all(any_catalog: Engine, server: MailServer, attempt: Look) -> None:
    server.always = [Fault.parse("MAIL 451 later")]
    burst = a_burst(any_catalog)
    attempt(burst[0])
    task = Tasks(any_catalog, patience=0).claim(burst[0], "worker")
    assert task is not None
    Tasks(any_catalog, patience=0).retry(task, "The mail server cannot take the mail now.")
    outcomes = [attempt(letter) for letter in burst[1:]]
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Reject)] == [
        task_reason(any_catalog, burst[0])
    ] * FEW


def task_reason(catalog: Engine, task_id: str) -> str | None:
    with transaction(catalog) as session:
        return session.get_one(TaskRow, task_id).reason


@pytest.mark.parametrize("how", ["deleted", "run again"])
def test_a_digest_whose_own_job_goes_is_sent_by_another(
    any_catalog: Engine, server: MailServer, attempt: Look, how: str
) -> None:
    server.faults = [Fault.parse("END 451 later")]
    burst = a_burst(any_catalog)
    attempt(burst[1])
    job = _job(any_catalog, burst[1])
    Jobs(any_catalog).delete(OWNER, job) if how == "deleted" else Jobs(any_catalog).retry(OWNER, job)
    others = [letter for letter in burst if letter != burst[1]]
    with transaction(any_catalog) as session:  # the one that runs again keeps nobody waiting here
        session.execute(update(MailRow).values(created_at=now() - timedelta(hours=2)))
    for _ in range(2):
        for letter in letters(any_catalog, "queued"):
            if letter in others:
                attempt(letter)
    assert set(mails_of(server).values()) == {1}
    assert mails_of(server).keys() == all_jobs(any_catalog) - {job}


def test_a_job_that_is_deleted_while_its_digest_is_on_its_way_is_not_told_of(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    burst = a_burst(any_catalog)
    gone = _job(any_catalog, burst[2])
    server.faults = [Fault.parse("RCPT hang")]
    with ThreadPoolExecutor() as threads:
        first = threads.submit(attempt, burst[0])
        _wait_for_offer(any_catalog)
        Jobs(any_catalog).delete(OWNER, gone)
        server.going_on.set()
        assert isinstance(first.result(60), Retry)
    assert server.mails == []
    attempt(burst[0])
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)


def _wait_for_offer(catalog: Engine) -> None:
    """Until a digest has been gathered."""

    def gathered() -> bool:
        with transaction(catalog) as session:
            return session.scalar(select(MailRow.digest_id).where(MailRow.digest_id.is_not(None)).limit(1)) is not None

    eventually(gathered)


def test_of_two_workers_that_begin_a_digest_at_once_one_sends(
    any_catalog: Engine, server: MailServer, attempt: Look
) -> None:
    burst = a_burst(any_catalog, 8)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(attempt, burst))
    for _ in range(3):
        for letter in letters(any_catalog, "queued"):
            attempt(letter)
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)
    assert letters(any_catalog, "done") == letters(any_catalog)


def _work(database: str, blobs: Path, url: str, task_id: str) -> None:
    """A worker's process."""
    catalog = connect(database)
    post = replace(a_post(catalog, url), bursts=Bursts(catalog, jobs=FEW))
    look(catalog, post, DirectoryBlobs(blobs), task_id)


@pytest.mark.parametrize(
    ("step", "state", "mails"),
    [("CONNECT", "sent", 1), ("RCPT", "sent", 1), ("DATA", "unclear", 0), ("END", "unclear", 1)],
)
def test_a_worker_that_is_killed_leaves_no_job_out_and_tells_of_none_twice(
    any_catalog: Engine, server: MailServer, attempt: Look, tmp_path: Path, step: str, state: str, mails: int
) -> None:
    burst = a_burst(any_catalog)
    server.faults = [Fault.parse(f"{step} hang")]
    url = any_catalog.url.render_as_string(hide_password=False)
    worker = get_context("spawn").Process(target=_work, args=(url, tmp_path / "blobs", server.url, burst[0]))
    worker.start()
    _wait_for_fault(server)
    worker.kill()
    worker.join()
    worker.close()
    server.going_on.set()
    tasks = Tasks(any_catalog)
    with transaction(any_catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.state == "running").values(lease_until=now()))
    tasks.lapse()
    for _ in range(2):
        for letter in letters(any_catalog, "queued"):
            attempt(letter)
    assert jobs_by_mail(any_catalog, state) == all_jobs(any_catalog)
    assert letters(any_catalog, "done") == letters(any_catalog)
    assert len(server.mails) == mails


def _wait_for_fault(server: MailServer) -> None:

    eventually(lambda: server.happened, 60)
