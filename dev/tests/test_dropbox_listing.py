"""Folders and files of the stand-in of Dropbox, listed and read by the unmodified SDK."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import dropbox
import pytest
from dropbox.content_hash import content_hash
from dropbox.exceptions import ApiError, BadInputError, HttpError
from dropbox.files import FileMetadata
from stone.backends.python_rsrc.stone_validators import ValidationError

from dev.dropbox.account import Account
from dev.dropbox.content import Pattern
from dev.dropbox.routes import LONGPOLL
from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually


def told(listed: dropbox.files.ListFolderResult) -> list[tuple[str, str]]:
    return [(type(entry).__name__.removesuffix("Metadata"), entry.path_display) for entry in listed.entries]


def test_files_are_described_as_they_are(account: Account, client: dropbox.Dropbox) -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    account.folder("/Recordings")
    put = account.put("/recordings/Talk.MP4", b"talk", modified=noon)
    described = client.files_get_metadata("/RECORDINGS/talk.mp4")
    assert isinstance(described, FileMetadata)
    assert (described.path_display, described.path_lower) == ("/Recordings/Talk.MP4", "/recordings/talk.mp4")
    assert (described.id, described.rev, described.size) == (put.id, put.rev, 4)
    assert described.server_modified.replace(tzinfo=UTC) == noon
    assert described.content_hash == content_hash(b"talk")
    assert client.files_get_metadata(put.id) == described


def test_pages_tell_each_entry_once_and_then_what_changed_meanwhile(account: Account, client: dropbox.Dropbox) -> None:
    for number in range(5):
        account.put(f"/in/{number}.mp4", b"%d" % number)
    listed = client.files_list_folder("/in", limit=2)
    assert (told(listed), listed.has_more) == ([("File", "/in/0.mp4"), ("File", "/in/1.mp4")], True)
    account.delete("/in/0.mp4")
    account.put("/in/3.mp4", b"new")
    seen = []
    while listed.has_more:
        listed = client.files_list_folder_continue(listed.cursor)
        seen += told(listed)
    assert seen == [("File", "/in/2.mp4"), ("File", "/in/4.mp4"), ("Deleted", "/in/0.mp4"), ("File", "/in/3.mp4")]
    assert told(client.files_list_folder_continue(listed.cursor)) == []


def test_only_a_recursive_listing_looks_into_folders(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/in/deep/a.mp4", b"a")
    account.put("/inner/b.mp4", b"b")
    assert told(client.files_list_folder("/IN")) == [("Folder", "/in/deep")]
    assert told(client.files_list_folder("/in", recursive=True)) == [
        ("Folder", "/in"),
        ("Folder", "/in/deep"),
        ("File", "/in/deep/a.mp4"),
    ]
    assert told(client.files_list_folder("")) == [("Folder", "/in"), ("Folder", "/inner")]


def test_the_journal_tells_renames_and_folders_that_went(account: Account, client: dropbox.Dropbox) -> None:
    first = account.put("/in/a.mp4", b"a")
    account.put("/in/deep/b.mp4", b"b")
    cursor = client.files_list_folder_get_latest_cursor("/in", recursive=True).cursor
    account.move("/in/a.mp4", "/in/c.mp4")
    account.put("/in/deep/late.mp4", b"gone before anybody asked")
    account.delete("/in/deep")
    listed = client.files_list_folder_continue(cursor)
    assert told(listed) == [("Deleted", "/in/a.mp4"), ("File", "/in/c.mp4"), ("Deleted", "/in/deep")]
    assert listed.entries[1].id == first.id
    account.put("/in/deep/b.mp4", b"b")
    account.delete("/in")
    assert told(client.files_list_folder_continue(listed.cursor)) == [("Deleted", "/in")]


def test_a_folder_that_went_and_came_back_is_told_as_gone_first(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/in/deep/a.mp4", b"a")
    cursor = client.files_list_folder_get_latest_cursor("/in/deep", recursive=True).cursor
    account.delete("/in")
    account.put("/in/deep/b.mp4", b"b")
    assert told(client.files_list_folder_continue(cursor)) == [
        ("Deleted", "/in/deep"),
        ("Folder", "/in/deep"),
        ("File", "/in/deep/b.mp4"),
    ]


def test_cursors_can_be_reset(account: Account, client: dropbox.Dropbox) -> None:
    cursor = client.files_list_folder("").cursor
    account.reset_cursors()
    with pytest.raises(ApiError) as error:
        client.files_list_folder_continue(cursor)
    assert error.value.error.is_reset()
    with pytest.raises(ApiError) as error:
        client.files_list_folder_longpoll(cursor)
    assert error.value.error.is_reset()
    assert told(client.files_list_folder("")) == []


def test_another_accounts_cursor_is_refused(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    cursor = client.files_list_folder("").cursor
    other = dropbox_stand_in.new_account("Grace Hopper", "grace@example.com")
    token = dropbox_stand_in.grants.give(other.id).refresh_token
    with (
        dropbox.Dropbox(oauth2_refresh_token=token, app_key=dropbox_stand_in.app.key) as hers,
        pytest.raises(BadInputError),
    ):
        hers.files_list_folder_continue(cursor)


def test_folders_that_are_none_are_refused(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/a.mp4", b"a")
    with pytest.raises(ApiError) as error:
        client.files_list_folder("/nowhere")
    assert error.value.error.get_path().is_not_found()
    with pytest.raises(ApiError) as error:
        client.files_list_folder("/a.mp4")
    assert error.value.error.get_path().is_not_folder()
    with pytest.raises(BadInputError, match="root folder"):
        client.files_list_folder("/")


def test_a_longpoll_wakes_when_something_changes_in_its_folder(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    account.folder("/in")
    cursor = client.files_list_folder("/in", recursive=True).cursor
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(client.files_list_folder_longpoll, cursor, 480)
        eventually(lambda: dropbox_stand_in.calls[LONGPOLL])
        account.put("/elsewhere/b.mp4", b"b")
        assert not answer.done()
        account.put("/in/a.mp4", b"a")
        assert answer.result(30).changes


def test_a_longpoll_ends_without_a_change(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    dropbox_stand_in.longest_poll, dropbox_stand_in.backoff = 0.1, 7
    answer = client.files_list_folder_longpoll(client.files_list_folder("").cursor)
    assert (answer.changes, answer.backoff) == (False, 7)
    with pytest.raises(ValidationError):
        client.files_list_folder_longpoll("cursor", timeout=481)


def test_any_part_of_a_revision_can_be_read(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    old = account.put("/a.mp4", b"0123456789")
    account.put("/a.mp4", b"new")
    assert client.files_download("/A.mp4")[1].content == b"new"
    assert client.files_download(old.id)[1].content == b"new"
    described, part = client.files_download(f"rev:{old.rev}", extra_headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.headers["Content-Range"], part.content) == (206, "bytes 3-5/10", b"345")
    assert described.size == 10
    account.delete("/a.mp4")
    assert client.files_download(f"rev:{old.rev}", extra_headers={"Range": "bytes=7-"})[1].content == b"789"
    assert dropbox_stand_in.downloaded == 3 + 3 + 3 + 3
    with pytest.raises(HttpError) as error:
        client.files_download(f"rev:{old.rev}", extra_headers={"Range": "bytes=10-"})
    assert error.value.status_code == 416


def test_what_cannot_be_read_is_refused(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/a.gdoc", b"", downloadable=False)
    assert not client.files_get_metadata("/a.gdoc").is_downloadable
    with pytest.raises(ApiError) as error:
        client.files_download("/a.gdoc")
    assert error.value.error.is_unsupported_file()
    with pytest.raises(ApiError) as error:
        client.files_download("/nowhere")
    assert error.value.error.get_path().is_not_found()


def test_a_pattern_is_the_same_whatever_part_of_it_is_read(account: Account, client: dropbox.Dropbox) -> None:
    size = 5 * 2**20
    account.put("/big.mp4", Pattern(size, seed=1))
    whole = client.files_download("/big.mp4")[1].content
    assert content_hash(whole) == account.file("/big.mp4").content.content_hash
    assert whole[: 2**20] != whole[2**20 : 2**21]
    for start in (0, 2**20 - 4, 2**20, size - 9):
        part = client.files_download("/big.mp4", extra_headers={"Range": f"bytes={start}-{start + 8}"})[1].content
        assert part == whole[start : start + 9]
