"""The catalog does not answer at the worst moment: what is certain about a mail stays certain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from dev.mail.faults import Fault
from dev.mail.server import MailServer
from notification import ledger
from notification.ledger import Ledger
from notification.letters import message_id
from notification.tests.conftest import ADDRESS, TASK
from pipeline.catalog import MailRow
from pipeline.database import transaction
from pipeline.errors import Reject, Retry, Unavailable
from pipeline.work import Result

Attempt = Callable[..., Result]
States = Callable[[], list[str]]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Loses the answer to what made the state of a mail that is on its way so, after or `before` it was kept, so many times."""

    def lose(state: str, times: int = 2, *, before: bool = False) -> None:
        left, seen = [times], set[str | None]()

        def lost(session: Session) -> bool:
            now = session.scalar(select(MailRow.state))
            seen.add(now)
            if left[0] and now == state and "sending" in seen:
                left[0] -= 1
                return True
            return False

        @contextmanager
        def unreliable(engine: Engine) -> Iterator[Session]:
            with transaction(engine) as session:
                yield session
                is_lost = lost(session)
                if is_lost and before:
                    raise Unavailable("the database does not answer")
            if is_lost:
                raise Unavailable("the database does not answer")

        monkeypatch.setattr(ledger, "transaction", unreliable)

    monkeypatch.setattr(ledger, "PAUSE", 0)
    return lose


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("state", ["sending", "sent"])
def test_a_mail_that_was_sent_is_known_to_be(
    attempt: Attempt, server: MailServer, states: States, losing: Any, state: str, before: bool
) -> None:
    losing(state, before=before)
    assert attempt(server.url) == Result()
    assert (states(), len(server.mails)) == (["sent"], 1)


@pytest.mark.parametrize("before", [False, True])
def test_a_mail_that_was_not_taken_goes_out_later(
    attempt: Attempt, server: MailServer, states: States, losing: Any, before: bool
) -> None:
    server.faults = [Fault.parse("END 451 4.3.0 later")]
    losing("new", before=before)
    with pytest.raises(Retry):
        attempt(server.url)
    assert states() == ["new"]
    assert attempt(server.url) == Result()
    assert (states(), len(server.mails)) == (["sent"], 1)


def test_a_mail_that_was_refused_is_known_to_be(
    attempt: Attempt, server: MailServer, states: States, losing: Any
) -> None:
    server.faults = [Fault.parse("END 554 5.6.0 no")]
    losing("refused")
    with pytest.raises(Reject, match="refused"):
        attempt(server.url)
    assert states() == ["refused"]


def test_patience_with_the_catalog_has_an_end(
    attempt: Attempt, server: MailServer, losing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0)
    losing("sending", 1000)
    with pytest.raises(Unavailable):
        attempt(server.url)
    assert server.offered == []


def test_what_an_attempt_asks_again_does_not_undo_what_another_has_done(catalog: Engine) -> None:
    """Its answer was lost, its lease ran out, and another has offered the mail meanwhile."""
    records = Ledger(catalog)
    first = records.begin(TASK, ADDRESS, message_id(TASK.id, ADDRESS, "example.org"))
    assert records.sending(first)
    records.not_sent(first)
    second = records.begin(TASK, ADDRESS, first.message_id)
    assert records.sending(second)
    first.state = "sending"  # as it believes, who has not heard of the step before
    records.not_sent(first)
    assert records.begin(TASK, ADDRESS, first.message_id).state == "sending"
