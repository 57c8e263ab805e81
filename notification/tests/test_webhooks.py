"""Webhooks against a receiver that checks them with the `standardwebhooks` library."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update
from standardwebhooks.webhooks import WebhookVerificationError

from dev.waiting import eventually
from notification.tests.calling import LINKS, OWNER, Office, handler, sender
from notification.tests.receiver import Receiver, is_silent, says
from notification.webhooks import NO_KEYS, UNSIGNED
from pipeline import webhook_secrets
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, DeliveryRow, TaskRow
from pipeline.database import connect, now, transaction
from pipeline.dispatch import Dispatcher
from pipeline.errors import Interrupted, Retry
from pipeline.jobs import Jobs
from pipeline.queues.memory import MemoryQueue
from pipeline.settings import Settings
from pipeline.tasks import Tasks
from pipeline.vault import vault
from pipeline.work import Result, Task
from pipeline.worker import Worker


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "mysql":
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        url = new_database()
    engine = connect(url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


# ---- what is said


def test_a_program_hears_that_a_job_is_done(office: Office, receiver: Receiver) -> None:
    webhook, secret = office.webhook(receiver.url())
    job = office.ended()
    assert office.attempt() == Result()
    (received,) = receiver.received
    assert (received.method, received.path) == ("POST", "/hook?a=b")
    assert received.headers["content-type"] == "application/json"
    message = received.verified(secret)
    assert message["type"] == "job.done"
    assert abs(datetime.now(UTC) - datetime.fromisoformat(message["timestamp"])) < timedelta(minutes=1)
    told = {name: message["data"][name] for name in ("id", "kind", "title", "state", "reason", "tags")}
    assert told == {
        "id": job,
        "kind": "recording",
        "title": "Über talk.mp4",
        "state": "done",
        "reason": None,
        "tags": ["a", "b"],
    }
    found = office.delivery(webhook)
    assert (found.id, found.job_id, found.event) == (received.id, job, "job.done")
    assert (found.state, found.attempts, found.status, found.reason) == ("sent", 1, 204, None)
    assert found.sent_at


def test_files_come_with_links_that_open_them(office: Office, receiver: Receiver) -> None:
    _, secret = office.webhook(receiver.url())
    office.ended()
    office.attempt()
    data = receiver.received[0].verified(secret)["data"]
    names = ["talk.mp3", "talk.mp4", "talk.srt", "talk.txt"]
    assert sorted(made["name"] for made in data["artifacts"]) == names, "and nothing that users never see"
    (sound,) = [made for made in data["artifacts"] if made["name"] == "talk.mp3"]
    assert {name: sound[name] for name in ("kind", "type", "bytes", "sha256")} == {
        "kind": "audio",
        "type": "audio/mpeg",
        "bytes": 1_234_567,
        "sha256": "0" * 64,
    }
    base, _, token = sound["url"].rpartition("/")
    grant = LINKS.open(token)
    assert (base, grant.id) == ("https://spool.example.org/v1/links", sound["fid"])
    assert abs(grant.expires_at - datetime.fromisoformat(data["links_expire_at"])) < timedelta(minutes=1)


def test_a_program_hears_why_a_job_failed(office: Office, receiver: Receiver) -> None:
    _, secret = office.webhook(receiver.url(), "job.failed")
    office.ended("The recording has no sound.")
    office.attempt()
    message = receiver.received[0].verified(secret)
    assert (message["type"], message["data"]["state"]) == ("job.failed", "failed")
    assert message["data"]["reason"] == "The recording has no sound."


# ---- signatures


def test_what_was_changed_on_the_way_is_found_out(office: Office, receiver: Receiver) -> None:
    _, secret = office.webhook(receiver.url())
    _, others = office.webhook(receiver.url(), "export.ready")
    office.ended()
    office.attempt()
    (received,) = receiver.received
    assert received.verified(secret)
    forged = [
        received._replace(body=received.body.replace(b"job.done", b"job.dine")),
        received._replace(headers={**received.headers, "webhook-id": "msg_other"}),
        received._replace(headers={**received.headers, "webhook-timestamp": str(int(now().timestamp()) - 100)}),
    ]
    for changed in forged:
        with pytest.raises(WebhookVerificationError):
            changed.verified(secret)
    with pytest.raises(WebhookVerificationError):
        received.verified(others)


def test_a_secret_is_as_the_specification_has_it(office: Office, receiver: Receiver) -> None:
    secrets = [office.webhook(receiver.url())[1] for _ in range(2)]
    assert len(set(secrets)) == 2
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_a_secret_that_was_replaced_signs_too_for_a_day(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, old = office.webhook(receiver.url())
    new = office.webhooks.rotate(OWNER, webhook)
    assert new is not None
    assert new != old
    assert office.webhooks.secret(OWNER, webhook) == new
    office.ended()
    office.attempt()
    monkeypatch.setattr(webhook_secrets, "now", lambda: now() + timedelta(days=1, seconds=1))
    office.ended()
    office.attempt()
    both, one = receiver.received
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    assert both.verified(old) == both.verified(new)
    assert one.verified(new)
    with pytest.raises(WebhookVerificationError):
        one.verified(old)


def test_no_more_than_a_few_secrets_sign(office: Office, receiver: Receiver) -> None:
    webhook, first = office.webhook(receiver.url())
    secrets = [first, *(office.webhooks.rotate(OWNER, webhook) for _ in range(webhook_secrets.MOST))]
    office.ended()
    office.attempt()
    (received,) = receiver.received
    assert len(received.headers["webhook-signature"].split(" ")) == webhook_secrets.MOST
    for secret in secrets[1:]:
        assert secret
        assert received.verified(secret)
    with pytest.raises(WebhookVerificationError):
        received.verified(first)


def test_where_nothing_can_sign_it_says_so_and_is_tried_again(office: Office, receiver: Receiver) -> None:
    webhook, secret = office.webhook(receiver.url())
    office.ended()
    office.vault = None
    assert str(office.attempt()) == NO_KEYS
    office.vault = vault(Settings(secret_keys="A" * 43 + "="))
    assert str(office.attempt()) == UNSIGNED
    assert receiver.received == []
    assert office.delivery(webhook).reason == UNSIGNED
    office.vault = Office.vault
    office.attempt()
    assert receiver.received[0].verified(secret)


# ---- workers


def test_what_is_recorded_as_delivered_does_not_go_out_again(office: Office, receiver: Receiver) -> None:
    office.webhook(receiver.url())
    office.ended()
    task = office.claimed()
    assert office.run(task) == office.run(task) == Result()
    assert len(receiver.received) == 1


def _work(database: str, task: Task, folder: Path) -> None:
    """A worker's process."""
    handler(connect(database), sender())(task, DirectoryBlobs(folder), folder, lambda *_: None)


def test_after_a_worker_was_killed_the_same_message_goes_out_again(
    office: Office, receiver: Receiver, tmp_path: Path
) -> None:
    webhook, secret = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [is_silent, says(200)]
    url = office.catalog.url.render_as_string(hide_password=False)
    worker = get_context("spawn").Process(target=_work, args=(url, office.claimed(), tmp_path))
    worker.start()
    eventually(lambda: len(receiver.received) == 1, 60)
    worker.kill()
    worker.join()
    worker.close()
    with transaction(office.catalog) as session:
        session.execute(update(TaskRow).where(TaskRow.kind == "webhook").values(lease_until=now()))
    office.tasks.lapse()
    assert office.attempt() == Result()
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert first.verified(secret)
    assert office.delivery(webhook).state == "sent"


def test_of_two_attempts_at_once_both_say_the_same(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    task = office.claimed()
    with ThreadPoolExecutor(2) as workers:
        assert list(workers.map(lambda _: office.run(task), range(2))) == [Result(), Result()]
    assert len({(received.id, received.body) for received in receiver.received}) == 1
    assert office.delivery(webhook).state == "sent"


def test_a_late_failure_does_not_undo_a_delivery(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    task, reached, go_on = office.claimed(), Event(), Event()

    def fails_late(visit: Any) -> None:
        reached.set()
        go_on.wait(60)
        says(500)(visit)

    receiver.answers = [fails_late, says(200)]
    with ThreadPoolExecutor(1) as workers:
        slow = workers.submit(office.run, task)
        assert reached.wait(60)
        assert office.run(task) == Result()
        go_on.set()
        with pytest.raises(Retry):
            slow.result(60)
    assert office.delivery(webhook).state == "sent"


def test_two_workers_tell_of_each_job_once(office: Office, receiver: Receiver, tmp_path: Path) -> None:
    _, secret = office.webhook(receiver.url())
    jobs = {office.ended() for _ in range(12)}
    stop, dispatcher = Event(), Dispatcher(Tasks(office.catalog), MemoryQueue())
    handlers, blobs = {"webhook": handler(office.catalog, sender())}, DirectoryBlobs(tmp_path / "blobs")
    workers = [Worker(handlers, dispatcher.tasks, dispatcher, blobs, lane=number) for number in range(2)]
    threads = [Thread(target=worker.run, args=(stop,)) for worker in workers]
    dispatcher.send(dispatcher.tasks.unpublished(0))
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: office.states() == {"done": 12}, 60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sorted(received.verified(secret)["data"]["id"] for received in receiver.received) == sorted(jobs)


def test_an_interrupted_attempt_sends_nothing(office: Office, receiver: Receiver) -> None:
    office.webhook(receiver.url())
    office.ended()

    def stop(_percent: float, _speed: float | None = None) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        handler(office.catalog, office.sender)(office.claimed(), DirectoryBlobs(office.folder), office.folder, stop)
    assert receiver.received == []


def test_of_a_deleted_job_nobody_is_told(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    job = office.ended()
    task = office.claimed()
    Jobs(office.catalog).delete(OWNER, job)
    with pytest.raises(Interrupted):
        office.run(task)
    assert receiver.received == []
    assert office.deliveries(webhook) == []


def test_a_deleted_webhook_is_not_called(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    assert office.webhooks.delete(OWNER, webhook)
    assert office.attempt() == Result()
    assert receiver.received == []


# ---- again


def test_a_delivery_is_sent_again_under_its_id(office: Office, receiver: Receiver) -> None:
    webhook, secret = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(404), says(410), says(200)]
    office.attempt()
    office.attempt()
    assert office.delivery(webhook).state == "failed"
    office.webhooks.change(OWNER, webhook, state="active")
    again = office.webhooks.resend(OWNER, webhook, office.delivery(webhook).id)
    assert again
    assert (again[0].state, len(again[1])) == ("new", 1)
    assert office.attempt() == Result()
    assert len({(received.id, received.body) for received in receiver.received}) == 1
    assert receiver.received[-1].verified(secret)
    found = office.delivery(webhook)
    assert (found.state, found.attempts, found.reason) == ("sent", 3, None)


def test_a_delivery_that_was_forgotten_meanwhile_is_not_sent(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    office.attempt()
    office.webhooks.resend(OWNER, webhook, office.delivery(webhook).id)
    with transaction(office.catalog) as session:
        session.execute(delete(DeliveryRow))
    assert office.attempt() == Result()
    assert len(receiver.received) == 1
