"""A hundred jobs that end at once, two workers, and a mail server with five faults."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from dev.mail.faults import Fault
from dev.mail.server import MailServer
from dev.waiting import eventually
from notification import handler
from notification.bursts import Bursts
from notification.handler import Post
from notification.mailer import SmtpMailer
from notification.tests.bursts import all_jobs, begin, end, jobs_by_mail, letters, mails_of, workers
from notification.tests.conftest import OWNER, a_post
from pipeline import tasks
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.mails import Mails

pytestmark = pytest.mark.slow

JOBS = 100
PASSING = ["CONNECT cut", "MAIL 451 4.3.0 later", "RCPT 450 4.2.0 greylisted", "DATA cut", "END 452 4.3.1 full"]


@pytest.fixture
def post(any_catalog: Engine, server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """In haste: what is tried again is tried soon."""
    monkeypatch.setattr(tasks, "LONGEST_DELAY", 0.2)
    monkeypatch.setattr(handler, "LONGEST_DELAY", 0.2)
    monkeypatch.setattr(handler, "LOOK", 0.5)
    made = a_post(any_catalog, server.url)
    yield made
    assert isinstance(made.mailer, SmtpMailer)
    made.mailer.pool.close()


def run(catalog: Engine, post: Post, blobs: DirectoryBlobs, *, together: bool) -> None:
    """All jobs end while the workers work, and all letters come to their end."""
    bursts = Bursts(catalog) if together else Bursts(catalog, jobs=JOBS)
    begun = begin(catalog, JOBS)
    with workers(catalog, replace(post, bursts=bursts), blobs):
        with ThreadPoolExecutor(4) as threads:
            list(
                threads.map(
                    lambda number: end(catalog, begun[number], "No sound." if number < 3 else None), range(JOBS)
                )
            )
        eventually(lambda: len(letters(catalog, "done", "failed")) == JOBS, 200)


@pytest.mark.parametrize(("together", "mails"), [(False, JOBS), (True, 1)])
def test_every_job_is_told_of_once_through_five_faults(
    any_catalog: Engine, server: MailServer, post: Post, blobs: DirectoryBlobs, together: bool, mails: int
) -> None:
    server.faults = [Fault.parse(fault) for fault in PASSING]
    run(any_catalog, post, blobs, together=together)
    assert len(server.happened) == len(PASSING)
    assert mails_of(server) == dict.fromkeys(all_jobs(any_catalog), 1)
    assert len(server.mails) == mails
    assert jobs_by_mail(any_catalog, "sent") == all_jobs(any_catalog)


@pytest.mark.parametrize("together", [False, True])
def test_what_may_have_been_lost_is_not_sent_again_and_its_owner_sees_it(
    any_catalog: Engine, server: MailServer, post: Post, blobs: DirectoryBlobs, together: bool
) -> None:
    server.faults = [Fault.parse(fault) for fault in [*PASSING[:3], "END cut", "END what"]]
    run(any_catalog, post, blobs, together=together)
    assert set(mails_of(server).values()) == {1}
    unclear = jobs_by_mail(any_catalog, "unclear")
    assert len(unclear) == (JOBS if together else 2)
    assert mails_of(server).keys() | unclear == all_jobs(any_catalog)
    for job in unclear:
        (mail,) = Mails(any_catalog).of_job(OWNER, job) or ()
        assert mail.state == "unclear"


def test_kept_connections_are_few(any_catalog: Engine, server: MailServer, post: Post, blobs: DirectoryBlobs) -> None:
    run(any_catalog, post, blobs, together=False)
    assert len(server.mails) == JOBS
    assert len(server.conversations) <= 2
