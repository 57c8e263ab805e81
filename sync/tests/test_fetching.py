"""Recordings that were found in Dropbox, fetched from its stand-in by the real SDK."""

import hashlib
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from dev.dropbox.content import Pattern
from dev.dropbox.entries import File
from dev.dropbox.faults import later
from pipeline.catalog import ConnectionRow
from pipeline.database import transaction
from pipeline.errors import Interrupted, Reject, Retry
from sync.dropbox import errors, fetching, patience
from sync.dropbox.accounts import WAIT
from sync.tests.linked import Linked, an_app

MIB = 2**20
SIZE = 5 * MIB + 12345


@pytest.fixture
def talk(linked: Linked) -> File:
    return linked.stand_in.account.put("/Talks/Été.mp4", Pattern(SIZE))


@pytest.fixture
def in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "RANGE", MIB)


def _bytes(file: File) -> bytes:
    return b"".join(file.content.blocks())


def _downloads(linked: Linked) -> int:
    return linked.stand_in.calls["files/download"]


def test_a_file_comes_by_one_call(linked: Linked, talk: File) -> None:
    task = linked.found(talk)
    linked.stand_in.reset_counters()
    percents: list[float] = []
    made, content = linked.original(task, lambda percent, speed=None: percents.append(percent))
    assert content == _bytes(talk)
    assert (made.name, made.kind, made.type, made.bytes) == ("Été.mp4", "original", "video/mp4", SIZE)
    assert made.sha256 == hashlib.sha256(content).hexdigest()
    assert linked.stand_in.api_calls == 1
    assert percents == sorted(percents)
    assert percents[-1] > 50


@pytest.mark.usefixtures("in_ranges")
def test_a_large_file_comes_in_ranges(linked: Linked, talk: File) -> None:
    _, content = linked.original(linked.found(talk))
    assert content == _bytes(talk)
    assert _downloads(linked) == 6
    assert linked.stand_in.downloaded == SIZE


def test_the_revision_that_was_listed_comes_though_there_is_a_newer_one(linked: Linked, talk: File) -> None:
    task = linked.found(talk)
    linked.stand_in.account.put(talk.path, Pattern(SIZE, seed=1))
    assert linked.original(task)[1] == _bytes(talk)


@pytest.mark.usefixtures("in_ranges")
@pytest.mark.parametrize("fault", ["cut", "close", "500", "html", "lost", "expired", "429"])
def test_what_goes_wrong_in_the_middle_costs_one_call_more(linked: Linked, talk: File, fault: str) -> None:
    linked.stand_in.fail("slow", "slow", fault, route="files/download")
    _, content = linked.original(linked.found(talk))
    assert content == _bytes(talk)
    assert _downloads(linked) == (6 if fault == "cut" else 7)  # after a cut, the ranges begin elsewhere
    assert linked.stand_in.downloaded <= SIZE + MIB


def test_a_cut_file_is_gone_on_with_where_it_was(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("cut", "cut", route="files/download")
    _, content = linked.original(linked.found(talk))
    assert content == _bytes(talk)
    assert _downloads(linked) == 3


@pytest.mark.usefixtures("in_ranges")
def test_a_token_that_ends_in_the_middle_is_renewed(linked: Linked, talk: File) -> None:
    ended: list[bool] = []

    def progress(percent: float, speed: float | None = None) -> None:
        if percent > 30 and not ended:
            linked.stand_in.grants.end_access()
            ended.append(True)

    _, content = linked.original(linked.found(talk), progress)
    assert content == _bytes(talk)
    assert ended
    assert _downloads(linked) == 7
    assert linked.stand_in.calls["oauth2/token"] == 2


def test_fetches_share_an_access_token(linked: Linked, talk: File) -> None:
    other = linked.stand_in.account.put("/Talks/b.mp4", b"\0b")
    for file in (talk, other):
        linked.original(linked.found(file))
    assert linked.stand_in.calls["oauth2/token"] == 1


def test_wrong_bytes_are_fetched_again(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("wrong", "wrong", route="files/download")
    assert linked.original(linked.found(talk))[1] == _bytes(talk)
    assert _downloads(linked) == 3


def test_bytes_that_are_always_wrong_are_given_up(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("wrong", "wrong", "wrong", route="files/download")
    with pytest.raises(Retry, match=errors.SPOILED):
        linked.fetch(linked.found(talk))
    assert _downloads(linked) == 3
    assert not list(linked.blobs.list())


def test_calls_that_bring_nothing_end_the_attempt(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("cut", *["close"] * 3, route="files/download")
    with pytest.raises(Retry):
        linked.fetch(linked.found(talk))
    assert _downloads(linked) == 4
    assert not list(linked.blobs.list())


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_a_dropbox_that_falls_silent_is_not_waited_for(linked: Linked, talk: File, fault: str) -> None:
    linked.stand_in.fail(fault, route="files/download")
    with an_app(linked.stand_in, silence=0.5) as impatient:
        linked.accounts = replace(linked.accounts, app=impatient)
        assert linked.original(linked.found(talk))[1] == _bytes(talk)
    assert _downloads(linked) == 2


def test_a_fetch_that_must_end_does_so_while_it_waits(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("hang", route="files/download")

    def stop(percent: float, speed: float | None = None) -> None:
        if _downloads(linked):
            raise Interrupted

    with pytest.raises(Interrupted):
        linked.fetch(linked.found(talk), stop)
    assert not list(linked.blobs.list())


def test_a_short_request_to_wait_is_heeded(linked: Linked, talk: File) -> None:
    linked.stand_in.fail(later(1), later(0), route="files/download")
    with capture_logs() as logged:
        linked.original(linked.found(talk))
    assert [entry["seconds"] for entry in logged if entry["event"] == "asked to wait"] == [1.0, 0.0]
    assert _downloads(linked) == 3


@pytest.mark.parametrize(("asked", "delay"), [(600, 600), (10**6, 3600)])
def test_for_a_long_one_the_task_waits(linked: Linked, talk: File, asked: int, delay: float) -> None:
    linked.stand_in.fail(later(asked), route="files/download")
    with pytest.raises(Retry, match=patience.BUSY) as put_off:
        linked.fetch(linked.found(talk))
    assert put_off.value.delay == delay
    assert _downloads(linked) == 1
    assert linked.connection.reason == patience.BUSY


@pytest.mark.usefixtures("in_ranges")
def test_a_long_one_in_the_middle_costs_nothing_that_has_come(
    linked: Linked, talk: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.5)
    linked.stand_in.fail("slow", "slow", later(1), route="files/download")
    assert linked.original(linked.found(talk))[1] == _bytes(talk)
    assert linked.stand_in.downloaded == SIZE
    assert _downloads(linked) == 7


@pytest.mark.usefixtures("in_ranges")
def test_one_that_is_too_long_in_the_middle_ends_the_attempt(linked: Linked, talk: File) -> None:
    linked.stand_in.fail("slow", "slow", later(601), route="files/download")
    with pytest.raises(Retry, match=patience.BUSY) as put_off:
        linked.fetch(linked.found(talk))
    assert put_off.value.delay == 601


def test_a_file_that_has_gone_is_refused(linked: Linked, talk: File) -> None:
    task = linked.found(talk)
    del linked.stand_in.account.revisions[talk.rev]
    with pytest.raises(Reject) as refused:
        linked.fetch(task)
    assert refused.value.reason == errors.MISSING
    assert linked.connection.reason is None  # it is the job that cannot go on


def test_a_document_of_dropbox_alone_is_refused(linked: Linked) -> None:
    paper = linked.stand_in.account.put("/Talks/a.mp4", b"\0x", downloadable=False)
    with pytest.raises(Reject) as refused:
        linked.fetch(linked.found(paper))
    assert refused.value.reason == errors.UNFETCHABLE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", fetching.EMPTY),
        (b"<!DOCTYPE html><title>no</title>", fetching.DOCUMENT),
        (b"%PDF-1.7" + bytes(5 * MIB), fetching.DOCUMENT),
    ],
)
def test_what_is_no_recording_is_refused(linked: Linked, content: bytes, reason: str) -> None:
    file = linked.stand_in.account.put("/Talks/a.mp4", content)
    with pytest.raises(Reject) as refused:
        linked.fetch(linked.found(file))
    assert refused.value.reason == reason
    assert not list(linked.blobs.list())


@pytest.mark.parametrize(("settings", "args"), [(SIZE - 1, 10**9), (10**9, SIZE - 1)])
def test_a_file_over_a_limit_is_not_begun(linked: Linked, talk: File, settings: int, args: int) -> None:
    task = linked.found(talk)
    task = replace(task, args={**task.args, "limit": args})
    linked.limits = replace(linked.limits, size=settings)
    with pytest.raises(Reject, match="larger than"):
        linked.fetch(task)
    assert not linked.stand_in.api_calls


def test_a_fetch_has_an_end(linked: Linked, talk: File) -> None:
    linked.limits = replace(linked.limits, seconds=-1)
    with pytest.raises(Reject, match="too long"):
        linked.fetch(linked.found(talk))


@pytest.mark.parametrize("how", ["revoked", "suspended", "refresh"])
def test_an_account_that_opens_no_more_breaks_the_connection_and_the_fetch_waits(
    linked: Linked, talk: File, how: str
) -> None:
    task = linked.found(talk)
    if how == "refresh":
        linked.stand_in.grants.disconnect(linked.stand_in.account.id)
    else:
        linked.stand_in.fail(how, route="files/download")
    result = linked.fetch(task)
    assert result.again == WAIT
    assert [message.kind for message in result.sent] == ["deliver"]
    connection = linked.connection
    assert connection.state == "broken"
    assert connection.reason == (errors.SUSPENDED if how == "suspended" else errors.REVOKED)


def test_a_scope_that_is_missing_is_named(linked: Linked, talk: File) -> None:
    linked.grant.scopes = ("files.metadata.read",)
    linked.fetch(linked.found(talk))
    assert "files.content.read" in (linked.connection.reason or "")
    assert linked.connection.state == "broken"


@pytest.mark.parametrize("state", ["paused", "broken", "connecting"])
def test_while_a_connection_rests_nothing_is_fetched(linked: Linked, talk: File, state: str) -> None:
    task = linked.found(talk)
    with transaction(linked.catalog) as session:
        session.get_one(ConnectionRow, linked.id).state = state
    assert linked.fetch(task).again == WAIT
    assert not linked.stand_in.api_calls


def test_after_a_disconnection_nothing_is_fetched(linked: Linked, talk: File) -> None:
    task = linked.found(talk)
    linked.connections.gone(linked.id)
    with pytest.raises(Reject, match="disconnected"):
        linked.fetch(task)


@pytest.mark.parametrize("named", ["SPOOL_DROPBOX_APP_KEY", "SPOOL_SECRET_KEYS"])
def test_a_missing_setting_is_named(linked: Linked, talk: File, named: str) -> None:
    without_keys = replace(linked.accounts, vault=None)
    linked.accounts = without_keys if named == "SPOOL_SECRET_KEYS" else replace(linked.accounts, app=None)
    with pytest.raises(Retry, match=named), capture_logs() as logged:
        linked.fetch(linked.found(talk))
    assert [entry["setting"] for entry in logged] == [named]


def test_keys_that_are_lost_are_told_of(linked: Linked, talk: File) -> None:
    with transaction(linked.catalog) as session:
        session.get_one(ConnectionRow, linked.id).secret = "of another key"
    with pytest.raises(Retry, match="SPOOL_SECRET_KEYS"):
        linked.fetch(linked.found(talk))
