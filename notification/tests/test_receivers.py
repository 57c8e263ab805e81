"""Receivers in trouble, and those that must not be called."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme

from notification.tests.calling import OWNER, Office, sender
from notification.tests.receiver import (
    Receiver,
    answers_without_end,
    begins_to_answer,
    hangs_up,
    is_silent,
    receiving,
    says,
)
from notification.webhooks import DELAYS, DISABLED, GONE, JITTER, LONGEST_PAUSE, NO_KEYS, REDIRECT
from pipeline.errors import Reject, Retry
from pipeline.guard import Guard
from pipeline.network import FORBIDDEN, UNPROVEN, look_up, tls_context
from pipeline.work import Result


def test_what_was_not_taken_is_sent_again_as_it_was(office: Office, receiver: Receiver) -> None:
    webhook, secret = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(500), says(404), hangs_up, says(200)]
    for tried in range(1, 4):
        assert isinstance(office.attempt(), Retry)
        found = office.delivery(webhook)
        assert (found.state, found.attempts, found.sent_at) == ("new", tried, None)
    assert found.status is None
    assert "failed" in (found.reason or "")
    assert office.attempt() == Result()
    assert len({received.id for received in receiver.received}) == 1
    assert len({received.body for received in receiver.received}) == 1
    assert all(received.verified(secret) for received in receiver.received)
    found = office.delivery(webhook)
    assert (found.state, found.attempts, found.status, found.reason) == ("sent", 4, 200, None)


def test_it_is_tried_over_a_day_and_then_given_up(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(500)]
    outcomes = [office.attempt() for _ in range(len(DELAYS) + 1)]
    delays = [outcome.delay for outcome in outcomes if isinstance(outcome, Retry)]
    for delay, usual in zip(delays, DELAYS, strict=True):
        assert delay == pytest.approx(usual, rel=JITTER)
    assert all(former <= latter for former, latter in pairwise(DELAYS))
    assert sum(DELAYS) * (1 - JITTER) > 86400
    assert isinstance(outcomes[-1], Reject)
    found = office.delivery(webhook)
    assert (found.state, found.attempts, found.status) == ("failed", len(DELAYS) + 1, 500)
    assert "500" in (found.reason or "")
    assert office.states() == {"failed": 1}


def test_delays_are_by_how_often_the_receiver_was_asked(office: Office, receiver: Receiver) -> None:
    """Not by what failed here meanwhile."""
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    office.vault = None
    for _ in range(len(DELAYS) + 1):
        assert str(office.attempt()) == NO_KEYS
    assert (office.delivery(webhook).attempts, office.delivery(webhook).state) == (0, "new")
    office.vault = Office.vault
    receiver.answers = [says(500)]
    delays = [outcome.delay for outcome in (office.attempt(), office.attempt()) if isinstance(outcome, Retry)]
    assert delays == [pytest.approx(usual, rel=JITTER) for usual in DELAYS[:2]]


def test_what_is_resent_is_tried_as_often_as_what_is_new(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(500)]
    for again in range(2):
        if again:
            office.webhooks.resend(OWNER, webhook, office.delivery(webhook).id)
        outcomes = [office.attempt() for _ in range(len(DELAYS) + 1)]
        assert [type(outcome) for outcome in outcomes] == [Retry] * len(DELAYS) + [Reject]
    assert office.delivery(webhook).attempts == 2 * (len(DELAYS) + 1)


def test_a_webhook_that_a_job_named_and_was_disabled_has_it_on_record(office: Office, receiver: Receiver) -> None:
    office.webhooks.name(OWNER, receiver.url())
    (named,) = office.webhooks.list(OWNER)
    office.webhooks.change(OWNER, named.id, state="disabled")
    office.ended(webhook=receiver.url())
    assert str(office.attempt()) == DISABLED
    assert (office.delivery(named.id).state, office.delivery(named.id).reason) == ("failed", DISABLED)
    assert receiver.received == []


def test_two_delays_are_not_the_same(office: Office, receiver: Receiver) -> None:
    office.webhook(receiver.url())
    receiver.answers = [says(500)]
    delays = []
    for _ in range(5):
        office.ended()
        outcome = office.attempt()
        assert isinstance(outcome, Retry)
        office.tasks.reject(office.claimed(), "")
        delays.append(outcome.delay)
    assert len(set(delays)) > 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "least", "most"), [("600", 600, 600), ("1", 4, 6), ("9" * 12, LONGEST_PAUSE, LONGEST_PAUSE), ("x", 4, 6)]
)
def test_a_receiver_says_when_to_come_again(
    office: Office, receiver: Receiver, status: int, asked: str, least: float, most: float
) -> None:
    office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(status, Retry_After=asked)]
    outcome = office.attempt()
    assert isinstance(outcome, Retry)
    assert outcome.delay is not None
    assert least <= outcome.delay <= most


def test_a_receiver_that_has_gone_is_called_no_more(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    office.ended()
    receiver.answers = [says(410)]
    assert str(office.attempt()) == GONE
    found = office.webhooks.get(OWNER, webhook)
    assert found
    assert (found.state, found.reason) == ("disabled", GONE)
    assert str(office.attempt()) == DISABLED, "what was on its way by then"
    assert len(receiver.received) == 1
    assert [(made.state, made.reason) for made in office.deliveries(webhook)] == [
        ("failed", DISABLED),
        ("failed", GONE),
    ]
    office.ended()
    assert office.states() == {"failed": 2}, "no further job tells it"


def test_a_redirect_is_not_followed(office: Office, receiver: Receiver) -> None:
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [says(307, Location=receiver.url())]
    assert str(office.attempt()) == REDIRECT
    assert len(receiver.received) == 1
    assert (office.delivery(webhook).status, office.delivery(webhook).reason) == (307, REDIRECT)


def test_of_an_answer_only_the_beginning_is_read(office: Office, receiver: Receiver) -> None:
    office.sender = sender(seconds=120)
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [answers_without_end(200)]
    with ThreadPoolExecutor(1) as workers:
        assert workers.submit(office.attempt).result(60) == Result()
    assert office.delivery(webhook).state == "sent"


def test_an_answer_counts_though_its_end_does_not_come(office: Office, receiver: Receiver) -> None:
    office.sender = sender(seconds=2)
    webhook, _ = office.webhook(receiver.url())
    office.ended()
    receiver.answers = [begins_to_answer(200)]
    assert office.attempt() == Result()
    assert office.delivery(webhook).state == "sent"


def test_a_receiver_that_says_nothing_is_left(office: Office, receiver: Receiver) -> None:
    office.sender = sender(seconds=1)
    office.webhook(receiver.url())
    office.ended()
    receiver.answers = [is_silent]
    assert "does not answer in time" in str(office.attempt())


def test_a_receiver_that_says_a_little_all_the_time_is_left(office: Office, receiver: Receiver) -> None:
    def dribbles(visit: Any) -> None:
        visit.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not visit.server.closing.wait(0.1):
            visit.wfile.write(b"X: y\r\n")

    office.sender = sender(seconds=1)
    office.webhook(receiver.url())
    office.ended()
    receiver.answers = [dribbles]
    assert "does not answer in time" in str(office.attempt())


def test_where_nobody_listens_it_is_tried_again(office: Office) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        webhook, _ = office.webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/")
        office.ended()
        assert isinstance(office.attempt(), Retry)
    assert "connection" in (office.delivery(webhook).reason or "")


def test_a_name_that_is_not_found_is_tried_again(office: Office) -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    office.sender = sender(resolver=resolver)
    office.webhook("https://nowhere.example/")
    office.ended()
    outcome = office.attempt()
    assert isinstance(outcome, Retry)
    assert "cannot be found" in outcome.reason


# ---- where it may lead


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "inside.example", "[::1]", "2130706433", "169.254.169.254"])
def test_no_webhook_leads_into_a_private_network(office: Office, receiver: Receiver, host: str) -> None:
    def resolver(name: str, port: int) -> list[str]:
        return ["10.0.0.1", "127.0.0.1"] if name == "inside.example" else look_up(name, port)

    office.sender = sender(guard=Guard(), resolver=resolver)
    webhook, _ = office.webhook(receiver.url(host))
    office.ended()
    outcome = office.attempt()
    assert isinstance(outcome, Reject), "another attempt would not help"
    assert outcome.reason == FORBIDDEN
    assert receiver.received == []
    assert (office.delivery(webhook).state, office.delivery(webhook).reason) == ("failed", FORBIDDEN)


def test_proxies_of_the_environment_are_not_asked(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    office.webhook(receiver.url())
    office.ended()
    assert office.attempt() == Result()


def test_cookies_are_not_kept(office: Office, receiver: Receiver) -> None:
    office.webhook(receiver.url())
    receiver.answers = [says(200, Set_Cookie="a=b")]
    for _ in range(2):
        office.ended()
        office.attempt()
    assert len(receiver.received) == 2
    assert not any("cookie" in received.headers for received in receiver.received)


@pytest.fixture
def secure(tmp_path: Path, office: Office) -> Iterator[Receiver]:
    """A receiver that can prove that it is hooks.example."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    office.sender = sender(tls=tls_context(str(tmp_path / "authority.pem")), resolver=lambda host, port: ["127.0.0.1"])
    with receiving(context) as receiver:
        yield receiver


def test_webhooks_go_over_tls(office: Office, secure: Receiver) -> None:
    _, secret = office.webhook(secure.url("hooks.example"))
    office.ended()
    assert office.attempt() == Result()
    assert secure.received[0].verified(secret)


def test_a_receiver_that_cannot_prove_who_it_is_hears_nothing(office: Office, secure: Receiver) -> None:
    office.webhook(secure.url("other.example"))
    office.ended()
    outcome = office.attempt()
    assert isinstance(outcome, Retry), "its owner may set it right"
    assert outcome.reason == UNPROVEN
    assert secure.received == []
