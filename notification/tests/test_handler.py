"""One mail per job and address, whatever the mail server does."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from notification.handler import deliver
from notification.ledger import Ledger
from notification.mailer import mailer
from notification.tests.conftest import ADDRESS, JOB, LETTERS, TASK
from notification.tests.postbox import Postbox
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow
from pipeline.database import connect, transaction
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.work import Result

Attempt = Callable[..., Result]
States = Callable[[], list[str]]


@pytest.fixture
def url(serve: Callable[..., int]) -> str:
    return f"smtp://127.0.0.1:{serve()}"


def outcome(attempt: Attempt, url: str) -> Result | Exception:
    try:
        return attempt(url)
    except (Retry, Reject, Interrupted) as error:
        return error


def test_a_second_attempt_sends_no_second_mail(attempt: Attempt, url: str, postbox: Postbox, states: States) -> None:
    assert attempt(url) == attempt(url) == Result()
    (mail,) = postbox.mails
    assert mail["To"] == ADDRESS
    assert states() == ["sent"]


@pytest.mark.parametrize("address", ["a@b.org, c@d.org", "a@b.org\nBcc: c@d.org", "nobody", "a@", "", "<a@b.org"])
def test_what_is_not_one_address_is_rejected(attempt: Attempt, url: str, postbox: Postbox, address: str) -> None:
    with pytest.raises(Reject, match="not an address"):
        attempt(url, args={"address": address})
    assert postbox.mails == []


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_mail_that_is_not_taken_now_is_sent_once_later(
    attempt: Attempt, url: str, postbox: Postbox, states: States, step: str
) -> None:
    postbox.answers = {step: "450 4.2.1 later, please"}
    with pytest.raises(Retry):
        attempt(url)
    assert states() == ["new"]
    postbox.answers = {}
    attempt(url)
    attempt(url)
    assert len(postbox.mails) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_mail_that_is_refused_is_not_offered_again(
    attempt: Attempt, url: str, postbox: Postbox, states: States, step: str
) -> None:
    postbox.answers = {step: "550 5.1.1 no such thing"}
    with pytest.raises(Reject, match="refused"):
        attempt(url)
    assert states() == ["refused"]
    offers = len(postbox.conversations)
    with pytest.raises(Reject, match="refused"):
        attempt(url)
    assert len(postbox.conversations) == offers


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_a_connection_lost_before_the_message_is_tried_again(
    attempt: Attempt, url: str, postbox: Postbox, states: States, step: str
) -> None:
    postbox.hang_up = step
    with pytest.raises(Retry):
        attempt(url)
    assert states() == ["new"]


def test_a_connection_lost_after_the_message_is_not_tried_again(
    attempt: Attempt, url: str, postbox: Postbox, states: States
) -> None:
    postbox.hang_up = "DATA"
    assert attempt(url) == Result()
    assert states() == ["unclear"]
    offers = len(postbox.conversations)
    assert attempt(url) == Result()
    assert len(postbox.conversations) == offers


def test_a_server_that_is_away_is_tried_again(attempt: Attempt, states: States) -> None:
    with socket.socket() as bound_but_not_listening:
        bound_but_not_listening.bind(("127.0.0.1", 0))
        port = bound_but_not_listening.getsockname()[1]
        with pytest.raises(Retry):
            attempt(f"smtp://127.0.0.1:{port}")
    assert states() == ["new"]


def _work(database: str, blobs: Path, url: str) -> None:
    """A worker's process."""
    ledger = Ledger(connect(database))
    store = DirectoryBlobs(blobs)
    deliver(TASK, store, blobs, lambda *_: None, ledger=ledger, mailer=mailer(url), letters=LETTERS)


def test_a_worker_killed_before_the_answer_leaves_it_unclear(
    attempt: Attempt, url: str, postbox: Postbox, states: States, tmp_path: Path, blobs: DirectoryBlobs
) -> None:
    postbox.answering.clear()
    database = f"sqlite:///{tmp_path}/catalog.db"
    worker = get_context("spawn").Process(target=_work, args=(database, tmp_path / "blobs", url))
    worker.start()
    assert postbox.data_arrived.wait(60)
    worker.kill()
    worker.join()
    worker.close()
    assert states() == ["sending"]
    postbox.answering.set()
    offers = len(postbox.conversations)
    assert attempt(url) == Result()
    assert states() == ["unclear"]
    assert len(postbox.conversations) == offers


def test_of_two_workers_at_once_one_sends(attempt: Attempt, url: str, postbox: Postbox, states: States) -> None:
    postbox.at_rcpt = 2
    with ThreadPoolExecutor() as workers:
        outcomes = list(workers.map(lambda _: outcome(attempt, url), range(2)))
    assert sorted(type(ended).__name__ for ended in outcomes) == ["Result", "Retry"]
    assert len(postbox.mails) == 1
    assert states() == ["sent"]


def test_the_answer_counts_also_where_another_worker_did_not_wait_for_it(
    attempt: Attempt, url: str, postbox: Postbox, states: States
) -> None:
    postbox.answering.clear()
    with ThreadPoolExecutor() as workers:
        first = workers.submit(attempt, url)
        assert postbox.data_arrived.wait(60)
        assert attempt(url) == Result()
        assert states() == ["unclear"]
        postbox.answering.set()
        assert first.result(60) == Result()
    assert states() == ["sent"]
    assert len(postbox.mails) == 1


def test_an_interrupted_attempt_sends_nothing(
    catalog: Engine, blobs: DirectoryBlobs, url: str, postbox: Postbox, states: States, tmp_path: Path
) -> None:
    def stop(_percent: float, _speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        deliver(TASK, blobs, tmp_path, stop, ledger=Ledger(catalog), mailer=mailer(url), letters=LETTERS)
    assert postbox.mails == []
    assert states() == ["new"]


def test_a_job_deleted_meanwhile_gets_no_mail(attempt: Attempt, catalog: Engine, url: str, postbox: Postbox) -> None:
    with transaction(catalog) as session:
        session.execute(delete(JobRow).where(JobRow.id == JOB))
    with pytest.raises(Interrupted):
        attempt(url)
    assert postbox.mails == []


def test_every_attempt_has_the_same_message_id(attempt: Attempt, url: str, postbox: Postbox) -> None:
    postbox.answers = {"DATA": "451 4.3.0 later"}
    for _ in range(2):
        with pytest.raises(Retry):
            attempt(url)
    first, second = (mail["Message-ID"] for mail in postbox.offered)
    assert first == second
    assert TASK.id in first
    assert first.endswith("@example.org>")
