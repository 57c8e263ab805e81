"""Letters that wait for others: they cost little, tell nobody that they look, and none is forgotten."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from dev.mail.faults import Fault
from dev.mail.server import MailServer
from notification import ledger
from notification.bursts import Bursts
from notification.handler import LOOK, Post
from notification.tests.bursts import all_jobs, begin, end, jobs_in, letters, look, mails_of
from notification.tests.conftest import ADDRESS, FEW
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, MailRow, TaskRow
from pipeline.database import now, transaction
from pipeline.errors import Reject, Retry
from pipeline.mails import Mails
from pipeline.tasks import Tasks
from pipeline.work import Result


@pytest.fixture
def all_look(any_catalog: Engine, post: Post, blobs: DirectoryBlobs) -> "Looks":
    return Looks(any_catalog, post, blobs)


class Looks:
    def __init__(self, catalog: Engine, post: Post, blobs: DirectoryBlobs) -> None:
        self.catalog, self.post, self.blobs = catalog, post, blobs

    def __call__(self, *only: str) -> list[float | None]:
        """Of all letters that wait, the oldest first: after how many seconds each comes back."""
        waiting = only or letters(self.catalog, "queued")
        return [self._again(look(self.catalog, self.post, self.blobs, letter)) for letter in waiting]

    def _again(self, outcome: Result | Retry | Reject) -> float | None:
        return outcome.again if isinstance(outcome, Result) else None


def a_burst(catalog: Engine, count: int = FEW + 1, to: tuple[str, ...] = (ADDRESS,)) -> list[str]:
    """The tasks of the jobs that are still in work: the first of them."""
    *ended, last = begin(catalog, count, to=to)
    for task in ended:
        end(catalog, task)
    return [last]


def due(catalog: Engine) -> set[str]:
    return {message.task_id for message in Tasks(catalog).unpublished(0)}


def test_the_later_in_line_the_more_seldom_a_letter_looks(any_catalog: Engine, all_look: Looks) -> None:
    a_burst(any_catalog, 6)
    assert all_look() == [LOOK * place for place in range(1, 6)]


def test_none_waits_longer_than_it_may(any_catalog: Engine, all_look: Looks) -> None:
    all_look.post = replace(all_look.post, bursts=Bursts(any_catalog, jobs=FEW, wait=LOOK * 1.5))
    a_burst(any_catalog, 6)
    first, *others = all_look()
    assert first == LOOK
    assert all(again is not None and again <= LOOK * 1.5 for again in others)


def test_lines_to_other_addresses_count_for_themselves(any_catalog: Engine, all_look: Looks) -> None:
    a_burst(any_catalog, to=(ADDRESS, "bob@example.org"))
    assert sorted(again or 0 for again in all_look()) == [LOOK, LOOK, LOOK * 2, LOOK * 2, LOOK * 3, LOOK * 3]


def test_a_look_of_a_letter_that_waits_is_no_news_of_its_job(any_catalog: Engine, all_look: Looks) -> None:
    a_burst(any_catalog)

    def seen() -> list[object]:
        with transaction(any_catalog) as session:
            return list(session.scalars(select(JobRow.changed_at).order_by(JobRow.id)))

    before = seen()
    all_look()
    assert seen() == before


def test_those_that_one_digest_has_no_room_for_are_called_when_it_has_gone(
    any_catalog: Engine, server: MailServer, all_look: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_LETTERS", 2)
    (last,) = a_burst(any_catalog, 6)
    all_look()
    end(any_catalog, last)
    _put_off(any_catalog)
    all_look(letters(any_catalog)[0])
    while called := due(any_catalog) & set(letters(any_catalog, "queued")):
        all_look(*called)
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)
    assert [len(jobs_in(mail)) for mail in server.mails] == [2, 2, 2]


def _put_off(catalog: Engine) -> None:
    with transaction(catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.state == "queued").values(due_at=now() + timedelta(hours=1)))


def test_when_the_first_in_line_is_not_wanted_the_next_is_called(any_catalog: Engine, all_look: Looks) -> None:
    a_burst(any_catalog)
    all_look()
    _put_off(any_catalog)
    Mails(any_catalog).choose("a" * 32, "failures")
    first, second, _ = letters(any_catalog)
    all_look(first)
    assert due(any_catalog) == {second}


def test_a_worker_that_ended_before_it_called_the_others_leaves_that_to_the_next(
    any_catalog: Engine, all_look: Looks
) -> None:
    (last,) = a_burst(any_catalog)
    all_look()
    end(any_catalog, last)
    first, *others = letters(any_catalog)
    all_look(first)
    with transaction(any_catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.id == first).values(state="queued", due_at=now()))
    _put_off(any_catalog)
    all_look(first)
    assert due(any_catalog) == set(others)


def test_addresses_that_differ_in_capitals_only_are_one(
    any_catalog: Engine, server: MailServer, all_look: Looks
) -> None:
    for number, task in enumerate(begin(any_catalog, FEW + 1)):
        if number:
            _rename(any_catalog, task)
        end(any_catalog, task)
    all_look(letters(any_catalog)[0])
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)
    assert len(server.mails) == 1


def _rename(catalog: Engine, task_id: str) -> None:
    with transaction(catalog) as session:
        job = session.get_one(JobRow, session.get_one(TaskRow, task_id).job_id)
        job.options = {**job.options, "notify": [ADDRESS.upper()]}


def test_deferrals_of_a_digest_are_those_of_all_its_letters(
    any_catalog: Engine, server: MailServer, all_look: Looks
) -> None:
    (last,) = a_burst(any_catalog)
    end(any_catalog, last)
    server.faults = [Fault.parse("RCPT 450 4.2.1 later")]
    all_look(letters(any_catalog)[0])
    with transaction(any_catalog) as session:
        assert set(session.scalars(select(MailRow.deferrals))) == {1}
