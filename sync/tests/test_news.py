"""News of what changed, which wake the watch."""

import pytest

from pipeline.catalog import ConnectionRow
from pipeline.database import transaction
from pipeline.errors import Retry
from sync.tests.watched import SWEEP, TALK, Watched
from sync.watching import watch as watching


def test_news_wake_the_watch(watched: Watched) -> None:
    watched.listens = True
    (heard,) = [message for message in watched.watch().sent if message.kind == "listen"]
    assert heard.job_id == watched.id
    watched.dropbox.put("/Talks/a.mp4", TALK)
    result = watched.listen()
    assert [message.kind for message in result.sent] == ["watch"]
    assert result.again == watching.NEWS
    assert watched.watch().again == SWEEP
    assert watched.titles() == ["a.mp4"]


def test_without_news_it_is_waited_on_as_dropbox_wants(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    watched.stand_in.longest_poll = 0.1
    assert (watched.listen().again, watched.listen().sent) == (0, ())
    watched.stand_in.backoff = 77
    assert watched.listen().again == 77


def test_a_watch_that_fails_is_not_hurried_by_news(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.stand_in.fail("500", route="files/list_folder/continue")
    with pytest.raises(Retry):
        watched.watch()
    assert list(watched.listen().sent) == []


def test_trouble_with_news_ends_nothing(watched: Watched) -> None:
    watched.listens = True
    watched.watch()
    for fault in ("500", "reset"):
        watched.stand_in.fail(fault, route="files/list_folder/longpoll")
        assert watched.listen().again in (watching.TROUBLE, watching.NEWS)
    assert watched.connection.state == "active"


def test_where_a_webhook_tells_of_news_nobody_waits_for_them(watched: Watched) -> None:
    assert [message.kind for message in watched.watch().sent] == []
    with transaction(watched.catalog) as session:
        assert session.get_one(ConnectionRow, watched.id).checked_at
