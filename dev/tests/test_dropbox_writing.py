"""What is written into the stand-in of Dropbox by the unmodified SDK."""

from datetime import datetime

import dropbox
import pytest
from dropbox.exceptions import ApiError
from dropbox.files import CommitInfo, UploadSessionCursor, WriteMode

from dev.dropbox.account import Account
from dev.dropbox.stand_in import DropboxStandIn

PIECE = 4 * 2**20


def written(client: dropbox.Dropbox, data: bytes, path: str = "/out/a.srt", **options: object) -> str:
    path_written: str = client.files_upload(data, path, **options).path_display
    return path_written


def refused(
    client: dropbox.Dropbox, data: bytes, path: str = "/out/a.srt", **options: object
) -> dropbox.files.WriteError:
    with pytest.raises(ApiError) as error:
        client.files_upload(data, path, **options)
    return error.value.error.get_path().reason


def test_an_upload_makes_a_file_and_its_folders(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    made = client.files_upload(b"words", "/Out/a.srt", client_modified=datetime(2026, 1, 2, 3, 4, 5))
    assert (made.size, made.client_modified) == (5, datetime(2026, 1, 2, 3, 4, 5))
    assert account.read("/out/A.srt") == b"words"
    assert client.files_get_metadata("/out") == client.files_get_metadata("/Out")
    assert dropbox_stand_in.uploaded == 5


def test_added_files_never_replace_others(account: Account, client: dropbox.Dropbox) -> None:
    first = account.put("/out/a.srt", b"one")
    assert client.files_upload(b"one", "/out/a.srt").rev == first.rev
    assert refused(client, b"two").get_conflict().is_file()
    assert refused(client, b"one", strict_conflict=True).get_conflict().is_file()
    assert written(client, b"two", autorename=True) == "/out/a (1).srt"
    assert account.read("/out/a.srt") == b"one"


def test_overwriting_keeps_the_id_and_makes_a_revision(account: Account, client: dropbox.Dropbox) -> None:
    first = account.put("/out/a.srt", b"one")
    second = client.files_upload(b"two", "/out/a.srt", mode=WriteMode.overwrite)
    assert (second.id, second.rev == first.rev) == (first.id, False)
    account.folder("/out/b.srt")
    assert refused(client, b"two", "/out/b.srt", mode=WriteMode.overwrite).get_conflict().is_folder()


def test_an_update_replaces_the_revision_that_it_names_alone(account: Account, client: dropbox.Dropbox) -> None:
    old = account.put("/out/a.srt", b"one")
    new = account.put("/out/a.srt", b"two")
    assert refused(client, b"three", mode=WriteMode.update(old.rev)).get_conflict().is_file()
    copy = written(client, b"three", mode=WriteMode.update(old.rev), autorename=True)
    assert copy == "/out/a (conflicted copy).srt"
    assert written(client, b"three", mode=WriteMode.update(new.rev)) == "/out/a.srt"
    account.delete("/out/a.srt")
    assert refused(client, b"four", mode=WriteMode.update(new.rev), strict_conflict=True).is_conflict()
    assert written(client, b"four", mode=WriteMode.update(new.rev)) == "/out/a.srt"


def test_what_dropbox_does_not_keep_is_refused(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/a.srt", b"a")
    assert refused(client, b"b", "/a.srt/b.srt").get_conflict().is_file_ancestor()
    assert refused(client, b"b", "/out/desktop.ini").is_disallowed_name()
    assert refused(client, b"b", f"/{'b' * 256}").is_malformed_path()
    account.space = 3
    assert refused(client, b"four").is_insufficient_space()
    assert written(client, b"22") == "/out/a.srt"


def test_bytes_that_are_not_those_of_the_hash_are_refused(account: Account, client: dropbox.Dropbox) -> None:
    with pytest.raises(ApiError) as error:
        client.files_upload(b"words", "/a.srt", content_hash="0" * 64)
    assert error.value.error.is_content_hash_mismatch()
    assert account.files() == []


def test_more_than_eight_mebibytes_come_in_pieces(account: Account, client: dropbox.Dropbox) -> None:
    data = bytes(range(256)) * (9 * 2**12)
    session = client.files_upload_session_start(data[:PIECE]).session_id
    client.files_upload_session_append_v2(data[PIECE : 2 * PIECE], UploadSessionCursor(session, PIECE))
    with pytest.raises(ApiError) as error:
        client.files_upload_session_append_v2(data[PIECE : 2 * PIECE], UploadSessionCursor(session, PIECE))
    assert error.value.error.get_incorrect_offset().correct_offset == 2 * PIECE
    end = UploadSessionCursor(session, 2 * PIECE)
    made = client.files_upload_session_finish(data[2 * PIECE :], end, CommitInfo("/big.mp3"))
    assert made.size == 9 * 2**20
    assert account.read("/big.mp3") == data
    with pytest.raises(ApiError) as error:
        client.files_upload_session_finish(b"", end, CommitInfo("/again.mp3"))
    assert error.value.error.get_lookup_failed().is_not_found()


def test_a_session_outlives_a_conflict_at_its_end(account: Account, client: dropbox.Dropbox) -> None:
    account.put("/a.mp3", b"other")
    session = client.files_upload_session_start(b"soun").session_id
    with pytest.raises(ApiError) as error:
        client.files_upload_session_finish(b"d", UploadSessionCursor(session, 4), CommitInfo("/a.mp3"))
    assert error.value.error.get_path().get_conflict().is_file()
    with pytest.raises(ApiError) as error:
        client.files_upload_session_finish(b"d", UploadSessionCursor(session, 3), CommitInfo("/a.mp3"))
    assert error.value.error.get_lookup_failed().get_incorrect_offset().correct_offset == 4
    commit = CommitInfo("/a.mp3", autorename=True)
    made = client.files_upload_session_finish(b"d", UploadSessionCursor(session, 4), commit)
    assert account.read(made.path_display) == b"sound"
    assert len(account.sessions) == 0


def test_a_closed_session_takes_no_more(client: dropbox.Dropbox) -> None:
    session = client.files_upload_session_start(b"a", close=True).session_id
    with pytest.raises(ApiError) as error:
        client.files_upload_session_append_v2(b"b", UploadSessionCursor(session, 1))
    assert error.value.error.is_closed()
    assert client.files_upload_session_finish(b"", UploadSessionCursor(session, 1), CommitInfo("/a")).size == 1


def test_files_are_deleted_and_moved(account: Account, client: dropbox.Dropbox) -> None:
    first = account.put("/in/a.mp4", b"a")
    assert client.files_move_v2("/in/a.mp4", "/done/A.mp4").metadata.id == first.id
    assert account.files() == ["/done/A.mp4"]
    assert client.files_move_v2("/done/A.mp4", "/done/a.mp4").metadata.path_display == "/done/a.mp4"
    account.put("/done/b.mp4", b"b")
    with pytest.raises(ApiError) as error:
        client.files_move_v2("/done/a.mp4", "/done/b.mp4")
    assert error.value.error.get_to().get_conflict().is_file()
    assert client.files_move_v2("/done/a.mp4", "/done/b.mp4", autorename=True).metadata.name == "b (1).mp4"
    with pytest.raises(ApiError) as error:
        client.files_move_v2("/done", "/done/deeper")
    assert error.value.error.is_duplicated_or_nested_paths()
    with pytest.raises(ApiError) as error:
        client.files_delete_v2("/done/b.mp4", parent_rev=first.rev)
    assert error.value.error.get_path_write().get_conflict().is_file()
    assert client.files_delete_v2("/done").metadata.name == "done"
    assert account.files() == []
    with pytest.raises(ApiError) as error:
        client.files_delete_v2("/done")
    assert error.value.error.get_path_lookup().is_not_found()
    with pytest.raises(ApiError) as error:
        client.files_move_v2("/done", "/elsewhere")
    assert error.value.error.get_from_lookup().is_not_found()


def test_a_folder_is_made_once(client: dropbox.Dropbox) -> None:
    assert client.files_create_folder_v2("/Out/Deep").metadata.path_display == "/Out/Deep"
    with pytest.raises(ApiError) as error:
        client.files_create_folder_v2("/out/deep")
    assert error.value.error.get_path().get_conflict().is_folder()
    assert client.files_create_folder_v2("/out/deep", autorename=True).metadata.path_display == "/Out/deep (1)"
