"""What goes wrong with the stand-in of Dropbox on demand, as the unmodified SDK meets it."""

from concurrent.futures import ThreadPoolExecutor

import dropbox
import pytest
import requests
from dropbox.content_hash import content_hash
from dropbox.exceptions import ApiError, AuthError, InternalServerError, RateLimitError

from dev.dropbox import faults
from dev.dropbox.account import Account
from dev.dropbox.content import Pattern
from dev.dropbox.routes import LONGPOLL, TOKEN
from dev.dropbox.stand_in import DropboxStandIn
from dev.waiting import eventually

SIZE = 3 * 2**20


@pytest.fixture
def hasty(client: dropbox.Dropbox) -> dropbox.Dropbox:
    """Waits for no answer long."""
    client.users_get_current_account()  # which gets the access token
    return client.clone(timeout=0.5)


def test_too_many_requests_are_told_when_to_come_again(
    dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox
) -> None:
    dropbox_stand_in.fail("429", faults.later(9, "too_many_write_operations"))
    with pytest.raises(RateLimitError) as error:
        client.files_list_folder("")
    assert (error.value.backoff, error.value.error.reason.is_too_many_requests()) == (1, True)
    with pytest.raises(RateLimitError) as error:
        client.files_upload(b"a", "/a.srt")
    assert (error.value.backoff, error.value.error.reason.is_too_many_write_operations()) == (9, True)
    assert client.files_upload(b"a", "/a.srt").size == 1


@pytest.mark.parametrize(("fault", "status"), [("500", 500), ("503", 503), ("html", 502)])
def test_failures_of_the_server(
    dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox, fault: str, status: int
) -> None:
    dropbox_stand_in.fail(fault)
    with pytest.raises(InternalServerError) as error:
        client.files_list_folder("")
    assert error.value.status_code == status
    assert client.files_list_folder("").entries == []


def test_a_fault_meets_the_route_that_it_is_for(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    dropbox_stand_in.fail("500", route="files/download")
    dropbox_stand_in.fail("503", route=TOKEN)
    with pytest.raises(InternalServerError):
        client.files_list_folder("")
    cursor = client.files_list_folder("").cursor
    dropbox_stand_in.fail("500")
    dropbox_stand_in.longest_poll = 0
    assert not client.files_list_folder_longpoll(cursor).changes
    assert dropbox_stand_in.faults_left == 2
    assert dropbox_stand_in.calls[LONGPOLL] == 1


def test_a_download_is_cut_in_the_middle_and_goes_on_by_a_range(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    file = account.put("/a.mp4", Pattern(SIZE))
    dropbox_stand_in.fail("cut", route="files/download")
    blocks = []
    _, answer = client.files_download("/a.mp4")
    with pytest.raises(requests.RequestException):
        blocks.extend(answer.iter_content(2**16))
    got = b"".join(blocks)
    assert 0 < len(got) <= SIZE // 2
    got += client.files_download("/a.mp4", extra_headers={"Range": f"bytes={len(got)}-"})[1].content
    assert content_hash(got) == file.content.content_hash


def test_a_call_may_be_done_or_not_when_its_answer_does_not_come(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    dropbox_stand_in.fail("close")
    with pytest.raises(requests.ConnectionError):
        client.files_upload(b"a", "/a.srt")
    assert account.files() == []
    dropbox_stand_in.fail("lost")
    with pytest.raises(requests.ConnectionError):
        client.files_upload(b"a", "/a.srt")
    assert account.files() == ["/a.srt"]


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_an_answer_may_not_come_or_not_end(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox, hasty: dropbox.Dropbox, fault: str
) -> None:
    account.put("/a.mp4", Pattern(SIZE))
    dropbox_stand_in.fail(fault)
    with pytest.raises(requests.RequestException, match="timed out"):
        b"".join(hasty.files_download("/a.mp4")[1].iter_content(2**16))
    assert client.files_get_metadata("/a.mp4").size == SIZE


def test_wrong_bytes_have_another_hash(
    dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox
) -> None:
    account.put("/a.mp4", Pattern(SIZE))
    dropbox_stand_in.fail("wrong")
    described, answer = client.files_download("/a.mp4")
    assert len(answer.content) == SIZE
    assert content_hash(answer.content) != described.content_hash


def test_a_slow_answer_is_whole(dropbox_stand_in: DropboxStandIn, account: Account, client: dropbox.Dropbox) -> None:
    account.put("/a.mp4", Pattern(2**19))
    dropbox_stand_in.fail("slow")
    described, answer = client.files_download("/a.mp4")
    assert content_hash(answer.content) == described.content_hash


def test_a_token_may_be_over_before_its_time(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    dropbox_stand_in.fail("expired")
    client.files_list_folder("")
    assert dropbox_stand_in.calls == {TOKEN: 2, "files/list_folder": 2}


@pytest.mark.parametrize(("fault", "tag"), [("revoked", "invalid_access_token"), ("suspended", "user_suspended")])
def test_accounts_may_be_closed_to_the_app(
    dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox, fault: str, tag: str
) -> None:
    dropbox_stand_in.fail(fault)
    with pytest.raises(AuthError) as error:
        client.users_get_current_account()
    assert error.value.error._tag == tag


def test_a_cursor_may_be_reset_once(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    cursor = client.files_list_folder("").cursor
    dropbox_stand_in.fail("reset")
    with pytest.raises(ApiError) as error:
        client.files_list_folder_continue(cursor)
    assert error.value.error.is_reset()
    assert client.files_list_folder_continue(cursor).entries == []


def test_nobody_waits_for_a_stand_in_that_ends(dropbox_stand_in: DropboxStandIn, client: dropbox.Dropbox) -> None:
    cursor = client.files_list_folder("").cursor
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(client.files_list_folder_longpoll, cursor, 480)
        eventually(lambda: dropbox_stand_in.calls[LONGPOLL])
        dropbox_stand_in.stop()
        assert not answer.result(30).changes
