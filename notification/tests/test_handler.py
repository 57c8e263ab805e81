"""One mail per job and address, whatever the mail server does."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, delete

from dev.mail.faults import Fault
from dev.mail.server import MailServer
from notification.handler import LONGEST_DELAY, deliver
from notification.tests.conftest import ADDRESS, JOB, OWNER, TASK, a_post
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow
from pipeline.database import connect, transaction
from pipeline.errors import Interrupted, Reject, Retry, Unavailable
from pipeline.mails import Mails
from pipeline.work import Result

Attempt = Callable[..., Result]
States = Callable[[], list[str]]


ENCODED = ["ada@=?utf-8?q?example.org?=", "bob@=?utf-8?q?example.org,bob=40y.org?=", "a@x.org>SIZE=1", "Ada <a@b.org>"]
"""What reads as another address than it is."""


@pytest.fixture
def url(server: MailServer) -> str:
    return server.url


def faults(*said: str) -> list[Fault]:
    return [Fault.parse(fault) for fault in said]


def outcome(attempt: Attempt, url: str) -> Result | Exception:
    try:
        return attempt(url)
    except (Retry, Reject, Interrupted) as error:
        return error


def test_a_second_attempt_sends_no_second_mail(attempt: Attempt, url: str, server: MailServer, states: States) -> None:
    assert attempt(url) == attempt(url) == Result()
    (mail,) = server.mails
    assert mail["To"] == ADDRESS
    assert states() == ["sent"]


@pytest.mark.parametrize(
    "address", ["a@b.org, c@d.org", "a@b.org\nBcc: c@d.org", "nobody", "a@", "", "<a@b.org", *ENCODED]
)
def test_what_is_not_one_address_is_rejected(attempt: Attempt, url: str, server: MailServer, address: str) -> None:
    with pytest.raises(Reject, match="not an address"):
        attempt(url, args={"address": address})
    assert server.mails == []


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
def test_a_mail_that_is_not_taken_now_is_sent_once_later(
    attempt: Attempt, url: str, server: MailServer, states: States, step: str
) -> None:
    server.faults = faults(f"{step} 450 4.2.1 later, please")
    with pytest.raises(Retry):
        attempt(url)
    assert states() == ["new"]
    attempt(url)
    attempt(url)
    assert len(server.mails) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
def test_a_mail_that_is_refused_is_not_offered_again(
    attempt: Attempt, url: str, server: MailServer, states: States, step: str
) -> None:
    server.faults = faults(f"{step} 550 5.1.1 no such thing")
    with pytest.raises(Reject, match="refused"):
        attempt(url)
    assert states() == ["refused"]
    with pytest.raises(Reject, match="refused"):
        attempt(url)
    assert server.mails == []


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_connection_lost_before_the_message_is_tried_again(
    attempt: Attempt, url: str, server: MailServer, states: States, step: str
) -> None:
    server.faults = faults(f"{step} cut")
    with pytest.raises(Retry):
        attempt(url)
    assert states() == ["new"]
    attempt(url)
    assert len(server.mails) == 1


def test_a_connection_lost_after_the_message_is_not_tried_again_and_counted(
    attempt: Attempt, url: str, server: MailServer, states: States
) -> None:
    counted = REGISTRY.get_sample_value("spool_mails_total", {"outcome": "unclear"}) or 0
    server.faults = faults("END cut")
    assert attempt(url) == Result()
    assert states() == ["unclear"]
    assert attempt(url) == Result()
    assert len(server.offered) == 1
    assert REGISTRY.get_sample_value("spool_mails_total", {"outcome": "unclear"}) == counted + 1


def test_a_server_that_is_away_is_tried_again(attempt: Attempt, states: States) -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        port = bound_but_not_listening.getsockname()[1]
        with pytest.raises(Retry):
            attempt(f"smtp://127.0.0.1:{port}")
    assert states() == ["new"]


def _work(database: str, blobs: Path, url: str) -> None:
    """A worker's process."""
    post = a_post(connect(database), url)
    deliver(TASK, DirectoryBlobs(blobs), blobs, lambda *_: None, post=post)


def test_a_worker_killed_before_the_answer_leaves_it_unclear(
    attempt: Attempt, url: str, server: MailServer, states: States, tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    server.faults = faults("END hang")
    database = f"sqlite:///{tmp_path}/catalog.db"
    worker = get_context("spawn").Process(target=_work, args=(database, tmp_path / "blobs", url))
    worker.start()
    assert server.arrived.wait(60)
    worker.kill()
    worker.join()
    worker.close()
    assert states() == ["sending"]
    server.going_on.set()
    assert attempt(url) == Result()
    assert states() == ["unclear"]
    assert len(server.offered) == 1


def test_of_two_workers_at_once_one_sends(attempt: Attempt, url: str, server: MailServer, states: States) -> None:
    server.at_rcpt = 2
    with ThreadPoolExecutor() as workers:
        outcomes = list(workers.map(lambda _: outcome(attempt, url), range(2)))
    assert sorted(type(ended).__name__ for ended in outcomes) == ["Result", "Retry"]
    assert len(server.mails) == 1
    assert states() == ["sent"]


def test_the_answer_counts_also_where_another_worker_did_not_wait_for_it(
    attempt: Attempt, url: str, server: MailServer, states: States
) -> None:
    server.faults = faults("END hang")
    with ThreadPoolExecutor() as workers:
        first = workers.submit(attempt, url)
        assert server.arrived.wait(60)
        assert attempt(url) == Result()
        assert states() == ["unclear"]
        server.going_on.set()
        assert first.result(60) == Result()
    assert states() == ["sent"]
    assert len(server.mails) == 1


def test_an_interrupted_attempt_sends_nothing(
    catalog: Engine, blobs: DirectoryBlobs, url: str, server: MailServer, states: States, tmp_path: Path
) -> None:
    def stop(_percent: float, _speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        deliver(TASK, blobs, tmp_path, stop, post=a_post(catalog, url))
    assert server.mails == []
    assert states() == ["new"]


def test_a_job_deleted_meanwhile_gets_no_mail(attempt: Attempt, catalog: Engine, url: str, server: MailServer) -> None:
    with transaction(catalog) as session:
        session.execute(delete(JobRow).where(JobRow.id == JOB))
    with pytest.raises(Interrupted):
        attempt(url)
    assert server.mails == []


def test_every_attempt_has_the_same_message_id(attempt: Attempt, url: str, server: MailServer) -> None:
    server.always = faults("END 451 4.3.0 later")
    for _ in range(2):
        with pytest.raises(Retry):
            attempt(url)
    first, second = (mail["Message-ID"] for mail in server.offered)
    assert first == second
    assert TASK.id in first
    assert first.endswith("@example.org>")


def test_an_address_that_the_server_does_not_take_is_asked_for_more_and_more_seldom(
    attempt: Attempt, url: str, server: MailServer
) -> None:
    server.domains = {"example.org": "450 4.1.2 example.org: Domain not found"}
    delays = []
    for _ in range(10):
        with pytest.raises(Retry, match="address") as later:
            attempt(url, failures=20)  # of anything: the server may have been away
        delays.append(later.value.delay)
    assert delays == [*(60 * 2**number for number in range(8)), LONGEST_DELAY, LONGEST_DELAY]


def test_a_mail_goes_out_without_a_transcript_that_could_not_be_read_before(
    attempt: Attempt, url: str, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_store: DirectoryBlobs, _blob: str) -> None:
        raise Unavailable("the blob store does not answer")

    monkeypatch.setattr(DirectoryBlobs, "open", away)
    with pytest.raises(Unavailable):
        attempt(url)
    attempt(url, failures=1)
    assert len(server.mails) == 1


def test_a_domain_that_is_refused_is_asked_for_once(attempt: Attempt, url: str, server: MailServer) -> None:
    server.domains = {"example.org": "550 5.1.2 no such domain"}
    for _ in range(2):
        with pytest.raises(Reject, match="refused"):
            attempt(url)
    assert len(server.conversations) == 1


@pytest.mark.parametrize(
    ("choice", "event", "count"),
    [
        ("all", "job.done", 1),
        ("failures", "job.done", 0),
        ("failures", "job.failed", 1),
        ("failures", "connection.broken", 1),
        ("none", "job.failed", 0),
        ("digest", "job.done", 1),
    ],
)
def test_mails_go_out_as_the_user_has_chosen(
    attempt: Attempt, catalog: Engine, url: str, server: MailServer, states: States, choice: Any, event: str, count: int
) -> None:
    Mails(catalog).choose(OWNER, choice)
    attempt(url, args={"address": ADDRESS, "event": event, "state": "done", "reason": None})
    assert len(server.mails) == count
    assert states() == ["sent" if count else "unwanted"]


def test_an_address_that_has_unsubscribed_gets_none_of_this_user(
    attempt: Attempt, catalog: Engine, url: str, server: MailServer, states: States
) -> None:
    Mails(catalog).unsubscribe(OWNER, ADDRESS.upper())
    assert attempt(url) == Result()
    assert (server.mails, states()) == ([], ["unwanted"])


def test_an_address_that_has_unsubscribed_gets_those_of_others(
    attempt: Attempt, catalog: Engine, url: str, server: MailServer
) -> None:
    Mails(catalog).unsubscribe("b" * 32, ADDRESS)
    attempt(url)
    assert len(server.mails) == 1
