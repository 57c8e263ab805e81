from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy import Engine, delete, func, select, update

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import ConnectionRow, DeliveryRow, TaskRow, WebhookRow
from pipeline.cursors import BadCursor
from pipeline.database import now, transaction
from pipeline.janitor import clean
from pipeline.jobs import Job, Jobs, NewJob, Settled
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, end_days_ago
from pipeline.vault import Unopened, Vault
from pipeline.webhook_secrets import signing
from pipeline.webhooks import (
    CALLED_OFF,
    DELIVERY_DAYS,
    MOST,
    MOST_NAMED,
    Delivery,
    TooMany,
    Webhooks,
    delivery_id,
    expire_named,
)
from pipeline.work import NextTask, Result

STRANGER = "b" * 32
URL = "https://example.org/hook"
VAULT = Vault(MultiFernet([Fernet(Fernet.generate_key())]))


@pytest.fixture
def webhooks(catalog: Engine) -> Webhooks:
    return Webhooks(catalog, VAULT)


def made(webhooks: Webhooks, url: str = URL, *events: str) -> str:
    return webhooks.create(OWNER, url, events)[0].id


def a_job(catalog: Engine, reason: str | None = None) -> str:
    """One that has ended, and of which webhooks are told."""
    tasks = Tasks(catalog)
    job, (message,) = Jobs(catalog).create(NewJob(OWNER, "talk", first=NextTask("fetch")))
    task = tasks.claim(message.task_id, "worker")
    assert task
    tasks.reject(task, reason) if reason else tasks.finish(task, Result())
    return job.id


def a_delivery(catalog: Engine, webhook: str, job: str, task_id: str, **given: object) -> str:
    row = DeliveryRow(
        id=delivery_id(task_id, {}), webhook_id=webhook, job_id=job, event="job.done", payload="{}", **given
    )
    with transaction(catalog) as session:
        session.add(row)
        return row.id


def calls(catalog: Engine, job: str) -> Sequence[TaskRow]:
    wanted = select(TaskRow).where(TaskRow.job_id == job, TaskRow.kind == "webhook").order_by(TaskRow.part)
    with transaction(catalog) as session:
        return session.scalars(wanted).all()


def deliveries(webhooks: Webhooks, webhook: str) -> Sequence[Delivery]:
    found = webhooks.deliveries(OWNER, webhook)
    assert found
    return found[0]


def test_webhooks_are_listed_oldest_first_to_their_owner_alone(webhooks: Webhooks) -> None:
    first, second = made(webhooks), made(webhooks, "https://example.org/other", "job.failed")
    assert [found.id for found in webhooks.list(OWNER)] == [first, second]
    found = webhooks.get(OWNER, second)
    assert found
    assert (found.url, found.events, found.state, found.by_job) == (
        "https://example.org/other",
        ["job.failed"],
        "active",
        False,
    )
    assert webhooks.list(STRANGER) == []


def test_a_stranger_finds_nothing(webhooks: Webhooks, catalog: Engine) -> None:
    webhook = made(webhooks)
    job = a_job(catalog)
    (task,) = calls(catalog, job)
    delivery = a_delivery(catalog, webhook, job, task.id, state="failed")
    Tasks(catalog).forget_messages()
    before = webhooks.secret(OWNER, webhook)
    assert webhooks.get(STRANGER, webhook) is None
    assert webhooks.change(STRANGER, webhook, state="disabled") is None
    assert webhooks.secret(STRANGER, webhook) is None
    assert webhooks.rotate(STRANGER, webhook) is None
    assert webhooks.deliveries(STRANGER, webhook) is None
    assert webhooks.resend(STRANGER, webhook, delivery) is None
    others, _ = webhooks.create(STRANGER, URL)
    assert webhooks.resend(STRANGER, others.id, delivery) is None
    assert not webhooks.delete(STRANGER, webhook)
    assert webhooks.secret(OWNER, webhook) == before
    found = webhooks.get(OWNER, webhook)
    assert found
    assert found.state == "active"


def test_secrets_are_kept_sealed(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, secret = webhooks.create(OWNER, URL)
    with transaction(catalog) as session:
        kept = session.scalars(select(WebhookRow.secrets)).one()
    assert secret.removeprefix("whsec_") not in kept
    assert signing(VAULT, kept) == [secret]
    with pytest.raises(Unopened):
        Webhooks(catalog, Vault(MultiFernet([Fernet(Fernet.generate_key())]))).secret(OWNER, webhook.id)


def test_a_user_has_so_many_and_no_more(webhooks: Webhooks) -> None:
    for _ in range(MOST):
        last = made(webhooks)
    with pytest.raises(TooMany):
        webhooks.create(OWNER, URL)
    webhooks.create(STRANGER, URL)
    webhooks.name(OWNER, URL)
    assert webhooks.delete(OWNER, last)
    made(webhooks)


def test_of_several_at_once_none_is_too_many(webhooks: Webhooks) -> None:
    for _ in range(MOST - 1):
        made(webhooks)
    together = Barrier(4, timeout=30)

    def come(_number: int) -> bool:
        together.wait()
        try:
            return bool(webhooks.create(OWNER, URL))
        except TooMany:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(come, range(4))) == 1


def test_an_address_that_jobs_name_has_one_webhook(webhooks: Webhooks, catalog: Engine) -> None:
    together = Barrier(4, timeout=30)

    def name(_number: int) -> None:
        together.wait()
        webhooks.name(OWNER, URL)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(name, range(4)))
    webhooks.name(STRANGER, URL)
    (found,) = webhooks.list(OWNER)
    assert (found.url, found.by_job) == (URL, True)
    assert webhooks.secret(OWNER, found.id)


def test_jobs_cannot_name_one_that_is_disabled(webhooks: Webhooks) -> None:
    webhooks.name(OWNER, URL)
    (found,) = webhooks.list(OWNER)
    webhooks.change(OWNER, found.id, state="disabled")
    with pytest.raises(Settled, match="disabled"):
        webhooks.name(OWNER, URL)
    webhooks.name(OWNER, f"{URL}/other")
    webhooks.change(OWNER, found.id, state="active")
    webhooks.name(OWNER, URL)


def named_days_ago(catalog: Engine, days: float) -> None:
    with transaction(catalog) as session:
        session.execute(update(WebhookRow).values(named_at=now() - timedelta(days=days)))


def addresses(webhooks: Webhooks, owner: str = OWNER) -> set[str]:
    return {found.url for found in webhooks.list(owner)}


def a_naming_job(catalog: Engine, url: str, owner: str = OWNER) -> Job:
    options = Options.model_validate({"webhook": url, "transcribe": False})
    return Jobs(catalog).create(NewJob(owner, "talk", first=NextTask("fetch"), options=options))[0]


def test_one_that_nothing_names_any_more_makes_room(webhooks: Webhooks, catalog: Engine, store: DirectoryBlobs) -> None:
    made(webhooks, f"{URL}/own")
    for name in ("unfinished", "lately", "told", "long-ago", "never"):
        webhooks.name(OWNER, f"{URL}/{name}")
    by_name = {found.url.rpartition("/")[2]: found.id for found in webhooks.list(OWNER)}
    jobs = {name: a_naming_job(catalog, f"{URL}/{name}") for name in ("unfinished", "lately", "told", "long-ago")}
    for job in (jobs["lately"], jobs["told"], jobs["long-ago"]):
        Jobs(catalog).cancel(OWNER, job.id)
    end_days_ago(catalog, DELIVERY_DAYS + 1, jobs["told"], jobs["long-ago"])
    end_days_ago(catalog, DELIVERY_DAYS - 1, jobs["lately"])
    a_delivery(catalog, by_name["told"], jobs["told"].id, "1" * 32)
    named_days_ago(catalog, DELIVERY_DAYS - 1)
    assert clean(catalog, store, Settings()).notes == 0
    named_days_ago(catalog, DELIVERY_DAYS + 1)
    assert clean(catalog, store, Settings()).notes == 2
    assert addresses(webhooks) == {f"{URL}/{name}" for name in ("own", "unfinished", "lately", "told")}


def test_one_that_others_name_does_not_stay(webhooks: Webhooks, catalog: Engine) -> None:
    webhooks.name(OWNER, URL)
    webhooks.name(STRANGER, URL)
    a_naming_job(catalog, URL, STRANGER)
    named_days_ago(catalog, DELIVERY_DAYS + 1)
    assert expire_named(catalog, 10) == 1
    assert (addresses(webhooks), addresses(webhooks, STRANGER)) == (set(), {URL})


def test_one_that_a_connection_names_stays(webhooks: Webhooks, catalog: Engine) -> None:
    webhooks.name(OWNER, URL)
    job, _ = Jobs(catalog, "connection").create(NewJob(OWNER, "Dropbox", first=NextTask("connect")))
    with transaction(catalog) as session:
        options = Options.model_validate({"webhook": URL}).model_dump(mode="json")
        session.add(ConnectionRow(id=job.id, owner=OWNER, options=options))
    named_days_ago(catalog, DELIVERY_DAYS + 1)
    assert expire_named(catalog, 10) == 0
    with transaction(catalog) as session:
        session.execute(delete(ConnectionRow))
    assert expire_named(catalog, 10) == 1


def test_one_that_is_named_again_stays(webhooks: Webhooks, catalog: Engine) -> None:
    webhooks.name(OWNER, URL)
    named_days_ago(catalog, DELIVERY_DAYS + 1)
    webhooks.name(OWNER, URL)
    assert expire_named(catalog, 10) == 0


def test_jobs_name_so_many_and_no_more(webhooks: Webhooks, catalog: Engine) -> None:
    with transaction(catalog) as session:
        session.add_all(
            WebhookRow(id=f"{number:032}", owner=OWNER, url=f"{URL}/{number}", secrets="", events=[], by_job=True)
            for number in range(MOST_NAMED)
        )
    with pytest.raises(TooMany):
        webhooks.name(OWNER, URL)
    webhooks.name(OWNER, f"{URL}/0")
    made(webhooks)


def test_changes_are_of_what_is_named(webhooks: Webhooks) -> None:
    webhook = made(webhooks, URL, "job.done")
    changed = webhooks.change(OWNER, webhook, url="https://example.org/new")
    assert changed
    assert (changed.url, changed.events, changed.state) == ("https://example.org/new", ["job.done"], "active")
    changed = webhooks.change(OWNER, webhook, events=[])
    assert changed
    assert (changed.url, changed.events) == ("https://example.org/new", [])
    assert webhooks.get(OWNER, webhook) == changed


def test_one_that_is_enabled_again_has_no_reason_any_more(webhooks: Webhooks, catalog: Engine) -> None:
    webhook = made(webhooks)
    with transaction(catalog) as session:
        session.execute(update(WebhookRow).values(state="disabled", reason="It is gone."))
    changed = webhooks.change(OWNER, webhook, state="active")
    assert changed
    assert (changed.state, changed.reason) == ("active", None)


def test_one_that_jobs_name_keeps_its_address(webhooks: Webhooks) -> None:
    webhooks.name(OWNER, URL)
    (found,) = webhooks.list(OWNER)
    for asked in ({"url": "https://example.org/new"}, {"events": ["job.done"]}):
        with pytest.raises(Settled):
            webhooks.change(OWNER, found.id, **asked)
    disabled = webhooks.change(OWNER, found.id, state="disabled")
    assert disabled
    assert disabled.state == "disabled"


def test_deliveries_come_in_pages_newest_first(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, other = made(webhooks), made(webhooks)
    job = a_job(catalog)
    moment = now()
    expected = [
        a_delivery(catalog, webhook, job, f"{number:032}", created_at=moment + timedelta(seconds=number // 2))
        for number in range(5)
    ][::-1]
    a_delivery(catalog, other, job, "f" * 32)
    found: list[str] = []
    cursor = None
    for _ in range(3):
        page = webhooks.deliveries(OWNER, webhook, cursor, 2)
        assert page
        found += [delivery.id for delivery in page[0]]
        cursor = page[1]
    assert found == expected
    assert cursor is None
    with pytest.raises(BadCursor):
        webhooks.deliveries(OWNER, webhook, "nonsense")


def test_what_is_under_way_is_not_sent_again(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, job = made(webhooks), a_job(catalog)
    (task,) = calls(catalog, job)
    delivery = a_delivery(catalog, webhook, job, task.id)
    with pytest.raises(Settled):
        webhooks.resend(OWNER, webhook, delivery)
    assert [(found.state, found.reason) for found in deliveries(webhooks, webhook)] == [("new", None)]
    claimed = Tasks(catalog).claim(task.id, "worker")
    assert claimed
    Tasks(catalog).reject(claimed, "no")
    again = webhooks.resend(OWNER, webhook, delivery)
    assert again
    (message,) = again[1]
    first, second = calls(catalog, job)
    assert (message.task_id, message.kind, second.part, second.args) == (
        second.id,
        "webhook",
        1,
        {"delivery": delivery, "attempts": 0},
    )
    assert first.id != second.id
    with pytest.raises(Settled):
        webhooks.resend(OWNER, webhook, delivery)


def test_of_two_who_ask_at_once_one_sends_it_again(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, job = made(webhooks), a_job(catalog)
    (task,) = calls(catalog, job)
    delivery = a_delivery(catalog, webhook, job, task.id, state="failed")
    claimed = Tasks(catalog).claim(task.id, "worker")
    assert claimed
    Tasks(catalog).reject(claimed, "no")
    together = Barrier(2, timeout=30)

    def ask(_number: int) -> bool:
        together.wait()
        try:
            return webhooks.resend(OWNER, webhook, delivery) is not None
        except Settled:
            return False

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(ask, range(2))) == 1
    assert len(calls(catalog, job)) == 2


def test_through_a_disabled_webhook_nothing_is_sent_again(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, job = made(webhooks), a_job(catalog)
    delivery = a_delivery(catalog, webhook, job, "1" * 32, state="failed")
    webhooks.change(OWNER, webhook, state="disabled")
    with pytest.raises(Settled, match="disabled"):
        webhooks.resend(OWNER, webhook, delivery)


def test_what_nobody_delivers_any_more_has_failed(webhooks: Webhooks, catalog: Engine) -> None:
    """The job ran again before this was out."""
    webhook, job = made(webhooks), a_job(catalog, "broken")
    (task,) = calls(catalog, job)
    delivery = a_delivery(catalog, webhook, job, task.id)
    Jobs(catalog).retry(OWNER, job)
    (found,) = deliveries(webhooks, webhook)
    assert (found.state, found.reason) == ("failed", CALLED_OFF)
    again = webhooks.resend(OWNER, webhook, delivery)
    assert again
    assert again[0].state == "new"


def test_what_patience_was_over_for_has_failed_with_its_last_reason(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, job = made(webhooks), a_job(catalog)
    (task,) = calls(catalog, job)
    a_delivery(catalog, webhook, job, task.id, reason="It answered 500.", attempts=3)
    impatient = Tasks(catalog, patience=-1)
    for _ in range(2):
        claimed = impatient.claim(task.id, "worker")
        assert claimed
        impatient.retry(claimed, "It answered 500.", 0)
    (found,) = deliveries(webhooks, webhook)
    assert (found.state, found.reason) == ("failed", "It answered 500.")


def kept(catalog: Engine) -> int:
    with transaction(catalog) as session:
        return session.scalar(select(func.count()).select_from(DeliveryRow)) or 0


def test_deliveries_go_with_their_job_and_with_their_webhook(webhooks: Webhooks, catalog: Engine) -> None:
    webhook, other, job = made(webhooks), made(webhooks), a_job(catalog)
    a_delivery(catalog, webhook, job, "1" * 32)
    a_delivery(catalog, other, job, "2" * 32)
    webhooks.delete(OWNER, webhook)
    assert kept(catalog) == 1
    Jobs(catalog).delete(OWNER, job)
    assert kept(catalog) == 0


def test_old_deliveries_are_forgotten(webhooks: Webhooks, catalog: Engine, store: DirectoryBlobs) -> None:
    webhook, job = made(webhooks), a_job(catalog)
    a_delivery(catalog, webhook, job, "1" * 32, created_at=now() - timedelta(days=31))
    lately = a_delivery(catalog, webhook, job, "2" * 32, created_at=now() - timedelta(days=29))
    assert clean(catalog, store, Settings()).notes == 1
    assert [found.id for found in deliveries(webhooks, webhook)] == [lately]
