"""What Spool needs of Dropbox, asked of its stand-in by the real SDK."""

from collections.abc import Callable
from contextlib import closing
from io import BytesIO

import pytest
from dropbox.content_hash import content_hash
from structlog.testing import capture_logs

from dev.dropbox.errors import Refused, conflict, unauthorized
from dev.dropbox.faults import Fault, later, refused
from dev.dropbox.stand_in import DropboxStandIn
from pipeline.errors import Interrupted, Retry
from sync.dropbox import errors, patience
from sync.dropbox.account import Account, App, Broken, CursorReset, Gone, Missing, RemoteFile, Taken
from sync.tests.linked import an_app

NAMED = "/Talks/Été.mp4"
BYTES = bytes(range(256)) * 2000


def _quiet() -> None:
    pass


@pytest.fixture
def token(dropbox_stand_in: DropboxStandIn) -> str:
    return dropbox_stand_in.grants.give(dropbox_stand_in.account.id).refresh_token


@pytest.fixture
def account(app: App, token: str) -> Account:
    return app.account(token, _quiet)


def test_an_account_says_whose_it_is(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    who = account.who()
    assert (who.id, who.name, who.email) == (dropbox_stand_in.account.id, "Ada Lovelace", "ada@example.com")


def test_a_folder_is_listed_with_all_below_it(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    there = dropbox_stand_in.account.put(NAMED, BYTES)
    dropbox_stand_in.account.put("/Talks/deep/note.paper", b"x", downloadable=False)
    dropbox_stand_in.account.put("/Other/a.mp3", b"x")
    page = account.list_folder("/Talks")
    found = {entry.path: entry for entry in page.entries if isinstance(entry, RemoteFile)}
    assert set(found) == {NAMED, "/Talks/deep/note.paper"}
    file = found[NAMED]
    assert (file.id, file.rev, file.size) == (there.id, there.rev, len(BYTES))
    assert (file.content_hash, file.modified_at) == (content_hash(BYTES), there.server_modified)
    assert file.downloadable
    assert not found["/Talks/deep/note.paper"].downloadable


def test_a_list_goes_on_where_it_ended(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.account.put(NAMED, BYTES)
    page = account.list_folder("")
    dropbox_stand_in.account.delete("/Talks")
    later = account.list_more(page.cursor)
    assert not page.more
    assert later.entries == [Gone("/Talks")]


def test_a_cursor_that_is_over_says_so(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    cursor = account.list_folder("").cursor
    dropbox_stand_in.account.reset_cursors()
    with pytest.raises(CursorReset):
        account.list_more(cursor)
    with pytest.raises(CursorReset):
        account.poll(cursor, 30)


def test_what_is_not_there_is_told_apart(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.account.folder("/Talks")
    with pytest.raises(Missing):
        account.list_folder("/nowhere")
    with pytest.raises(Missing):
        list(account.pieces("123456789", 0, 10))
    assert account.find("/nowhere") is None
    with pytest.raises(Taken):
        account.find("/Talks")


def test_news_are_waited_for(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    cursor = account.list_folder("").cursor
    dropbox_stand_in.longest_poll, dropbox_stand_in.backoff = 0.1, 7
    assert not account.poll(cursor, 30).changed
    dropbox_stand_in.account.put(NAMED, BYTES)
    news = account.poll(cursor, 30)
    assert (news.changed, news.backoff) == (True, 7)


def test_waiting_for_news_ends_when_it_must(app: App, token: str, dropbox_stand_in: DropboxStandIn) -> None:
    cursor = app.account(token, _quiet).list_folder("").cursor

    def stop() -> None:
        if dropbox_stand_in.calls["files/list_folder/longpoll"]:
            raise Interrupted

    with pytest.raises(Interrupted):
        app.account(token, stop).poll(cursor, 480)


def test_a_file_is_found_by_its_path_and_by_its_id(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    there = dropbox_stand_in.account.put(NAMED, BYTES)
    for name in (NAMED, NAMED.lower(), there.id):
        found = account.find(name)
        assert found
        assert (found.path, found.rev) == (NAMED, there.rev)


def test_bytes_come_from_where_they_are_asked_for(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    there = dropbox_stand_in.account.put(NAMED, BYTES)
    assert b"".join(account.pieces(there.rev, 1000, 400_001)) == BYTES[1000:400_001]


def _put(account: Account, path: str, content: bytes, over: str | None = None) -> RemoteFile:
    return account.upload(path, BytesIO(content), len(content), content_hash(content), over)


def test_an_upload_takes_the_place_of_the_revision_that_it_names_alone(
    account: Account, dropbox_stand_in: DropboxStandIn
) -> None:
    first = _put(account, "/a.txt", b"one")
    with pytest.raises(Taken):
        _put(account, "/a.txt", b"two")
    second = _put(account, "/a.txt", b"two", first.rev)
    with pytest.raises(Taken):
        _put(account, "/a.txt", b"three", first.rev)
    assert second.id == first.id
    assert dropbox_stand_in.account.read("/a.txt") == b"two"
    assert dropbox_stand_in.account.files() == ["/a.txt"]


def test_the_same_once_more_is_no_conflict(account: Account) -> None:
    assert _put(account, "/a.txt", b"one") == _put(account, "/a.txt", b"one")


def test_an_upload_that_arrives_as_something_else_is_noticed(account: Account) -> None:
    with pytest.raises(Retry, match=errors.SPOILED):
        account.upload("/a.txt", BytesIO(b"one"), 3, content_hash(b"two"))


def test_a_revoked_account_does_not_open_any_more(account: Account) -> None:
    account.revoke()
    with pytest.raises(Broken) as broken:
        account.who()
    assert broken.value.reason == errors.REVOKED


LIST: Callable[[Account], object] = lambda account: account.list_folder("")  # noqa: E731


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", errors.TROUBLE),
        ("503", errors.TROUBLE),
        ("html", errors.TROUBLE),
        ("close", errors.AWAY),
        ("lost", errors.AWAY),
        ("cut", errors.AWAY),
        (refused(Refused(200, "<!doctype html>", {"Content-Type": "text/html"})), errors.UNCLEAR),
        (refused(Refused(200, {"entries": 7})), errors.UNCLEAR),
        (refused(Refused(200, "nonsense", {"Content-Type": "application/json"})), errors.UNCLEAR),
        (refused(Refused(401, "who are you?")), errors.UNCLEAR),
        (refused(Refused(403, {"error": {".tag": "no_permission"}})), errors.TROUBLE),
        (refused(Refused(403, "no")), errors.UNCLEAR),
        (refused(Refused(400, "no such thing")), errors.TROUBLE),
        (refused(Refused(418, "")), errors.TROUBLE),
        (refused(conflict("path", "something_new")), errors.TROUBLE),
    ],
)
def test_trouble_may_pass(account: Account, dropbox_stand_in: DropboxStandIn, fault: str | Fault, reason: str) -> None:
    dropbox_stand_in.fail(fault)
    with pytest.raises(Retry) as failed:
        LIST(account)
    assert (failed.value.reason, failed.value.delay) == (reason, None)
    assert dropbox_stand_in.api_calls == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("revoked", errors.REVOKED),
        ("suspended", errors.SUSPENDED),
        (refused(unauthorized("missing_scope", required_scope="files.metadata.read")), "files.metadata.read"),
        (refused(unauthorized("something_new")), errors.REVOKED),
    ],
)
def test_what_does_not_pass_says_what_to_do(
    account: Account, dropbox_stand_in: DropboxStandIn, fault: str | Fault, reason: str
) -> None:
    dropbox_stand_in.fail(fault)
    with pytest.raises(Broken) as broken:
        LIST(account)
    assert reason in broken.value.reason
    assert "connect" in broken.value.reason


def test_a_refresh_token_that_is_over_breaks_the_account(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.grants.disconnect(dropbox_stand_in.account.id)
    with pytest.raises(Broken):
        LIST(account)
    assert not dropbox_stand_in.api_calls


def test_an_app_key_that_dropbox_does_not_know_is_no_fault_of_the_account(
    dropbox_stand_in: DropboxStandIn, token: str
) -> None:
    with closing(App("another")) as app, pytest.raises(Retry):
        app.account(token, _quiet).list_more("a cursor")


def test_a_cursor_that_is_none_is_reset(account: Account) -> None:
    with pytest.raises(CursorReset):
        account.list_more("nonsense")


def test_an_access_token_that_ended_early_is_renewed_unseen(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    LIST(account)
    dropbox_stand_in.grants.end_access()
    LIST(account)
    LIST(account)
    assert dropbox_stand_in.calls["oauth2/token"] == 2
    assert dropbox_stand_in.api_calls == 4


def test_being_asked_to_wait_has_bounds_together(
    account: Account, dropbox_stand_in: DropboxStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 3)
    dropbox_stand_in.fail(*[later(1)] * 10)
    with pytest.raises(Retry, match=patience.BUSY) as busy, capture_logs() as logged:
        LIST(account)
    assert busy.value.delay == 1
    assert len(logged) == dropbox_stand_in.api_calls
    assert 1 < len(logged) <= 4


def test_who_need_not_wait_waits_a_little(
    account: Account, dropbox_stand_in: DropboxStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 2)
    dropbox_stand_in.fail(*[later(0)] * 1000)
    with pytest.raises(Retry, match=patience.BUSY):
        LIST(account)
    assert dropbox_stand_in.api_calls <= 3


def test_waiting_ends_when_it_must(app: App, token: str, dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.fail(later(50))

    def stop() -> None:
        if dropbox_stand_in.api_calls:
            raise Interrupted

    with pytest.raises(Interrupted):
        app.account(token, stop).list_folder("")
    assert dropbox_stand_in.api_calls == 1


def test_a_silent_dropbox_is_not_waited_for_for_ever(dropbox_stand_in: DropboxStandIn, token: str) -> None:
    dropbox_stand_in.fail("hang")
    with an_app(dropbox_stand_in, silence=0.5) as app, pytest.raises(Retry, match=errors.AWAY):
        app.account(token, _quiet).who()


def test_a_call_has_an_end_whatever_it_waits_for(account: Account, dropbox_stand_in: DropboxStandIn) -> None:
    dropbox_stand_in.fail("hang")
    with pytest.raises(Retry, match=patience.SILENT):
        patience.waited(account.who, _quiet, 0.2)


def test_no_account_is_known_by_a_cookie_of_another(
    account: Account, app: App, dropbox_stand_in: DropboxStandIn
) -> None:
    dropbox_stand_in.fail(refused(Refused(500, "", {"Set-Cookie": "who=ada; Path=/"})))
    with pytest.raises(Retry):
        account.who()
    assert not app._session.cookies
