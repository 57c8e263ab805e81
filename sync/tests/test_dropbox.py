from collections.abc import Iterator
from contextlib import closing

import pytest
from dropbox.content_hash import content_hash

from dev.dropbox.stand_in import DropboxStandIn
from pipeline.network import Beat
from sync.dropbox import Account, App, CursorReset, Gone, Missing, RemoteFile, Taken

NAMED = "/Talks/Été.mp4"
BYTES = bytes(range(256)) * 2000


def _quiet() -> None:
    pass


@pytest.fixture
def app(dropbox_stand_in: DropboxStandIn) -> Iterator[App]:
    with closing(App(dropbox_stand_in.app.key, silence=10)) as own:
        yield own


@pytest.fixture
def account(app: App, dropbox_stand_in: DropboxStandIn) -> Account:
    return _account(app, dropbox_stand_in)


def _account(app: App, stand_in: DropboxStandIn, beat: Beat = _quiet, scopes: tuple[str, ...] = ()) -> Account:
    return app.account(stand_in.grants.give(stand_in.account.id, scopes).refresh_token, beat)


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
