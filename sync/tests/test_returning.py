"""Results that go back into Dropbox, with its stand-in and the real SDK."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from dev.dropbox.content import Pattern
from dev.dropbox.entries import File
from pipeline.catalog import ConnectionRow, RemoteFileRow, ReturnedFileRow
from pipeline.database import transaction
from pipeline.errors import Interrupted, Reject, Retry
from pipeline.work import Task
from sync.dropbox import errors, upload_session
from sync.dropbox.accounts import WAIT
from sync.tests.linked import Linked

MIB = 2**20
RESULTS = {"mp3": b"sound", "srt": b"1\n00:00 --> 00:01\nwords\n", "vtt": b"WEBVTT", "txt": b"words", "json": b"{}"}
BESIDE = ["/Talks/Été.mp3", "/Talks/Été.srt", "/Talks/Été.txt", "/Talks/Été.vtt"]


@pytest.fixture
def talk(linked: Linked) -> File:
    return linked.stand_in.account.put("/Talks/Été.mp4", b"\0a talk")


@pytest.fixture
def task(linked: Linked, talk: File) -> Task:
    """The task that returns the results of that talk."""
    return linked.made(linked.found(talk), **RESULTS)


def _others(linked: Linked, *known: str) -> list[str]:
    return [path for path in linked.stand_in.account.files() if path not in ("/Talks/Été.mp4", *known)]


def _wish(linked: Linked, **wanted: Any) -> None:
    with transaction(linked.catalog) as session:
        session.execute(update(ConnectionRow).where(ConnectionRow.id == linked.id).values(**wanted))


def _uploads(linked: Linked) -> int:
    return linked.stand_in.calls["files/upload"]


def test_results_go_beside_the_recording(linked: Linked, task: Task) -> None:
    assert linked.put_back(task).again is None
    assert _others(linked) == BESIDE
    assert linked.stand_in.account.read("/Talks/Été.srt") == RESULTS["srt"]


def test_what_was_put_there_is_known(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    assert [row.path for row in linked.returned()] == BESIDE
    for row in linked.returned():
        there = linked.stand_in.account.file(row.path)
        assert (row.remote_id, row.rev, row.content_hash) == (there.id, there.rev, there.content.content_hash)
        assert (row.connection_id, row.job_id) == (linked.id, task.job_id)
        assert row.version == (None if row.name.endswith(".mp3") else 1)


def test_it_is_known_before_it_is_there(linked: Linked, task: Task) -> None:
    linked.stand_in.fail("500", route="files/upload")
    with pytest.raises(Retry):
        linked.put_back(task)
    assert not _others(linked)
    assert [(row.path, row.remote_id) for row in linked.returned()] == [("/Talks/Été.mp3", None)]


def test_results_go_into_a_chosen_folder(linked: Linked, task: Task) -> None:
    _wish(linked, results="folder", results_folder="/Done/here")
    linked.put_back(task)
    assert _others(linked) == [path.replace("/Talks", "/Done/here") for path in BESIDE]


def test_the_whole_account_may_be_that_folder(linked: Linked, task: Task) -> None:
    _wish(linked, results="folder", results_folder="")
    linked.put_back(task)
    assert _others(linked) == [path.replace("/Talks", "") for path in BESIDE]


def test_results_bear_the_name_that_the_recording_has_now(linked: Linked, task: Task) -> None:
    linked.stand_in.account.move("/Talks/Été.mp4", "/Talks/2026/summer.v2.mp4")
    linked.put_back(task)
    assert _others(linked, "/Talks/2026/summer.v2.mp4") == [path.replace("Été", "2026/summer.v2") for path in BESIDE]


def test_whoever_wants_no_results_gets_none(linked: Linked, task: Task) -> None:
    _wish(linked, results="none")
    linked.put_back(task)
    assert not linked.stand_in.calls


@pytest.mark.parametrize("how", ["deleted", "told of", "changed"])
def test_of_a_recording_that_is_not_there_any_more_nothing_is_returned(linked: Linked, task: Task, how: str) -> None:
    of_job = RemoteFileRow.job_id == task.job_id
    with transaction(linked.catalog) as session:
        if how == "told of":
            session.execute(update(RemoteFileRow).where(of_job).values(state="gone"))
        if how == "changed":
            session.execute(update(RemoteFileRow).where(of_job).values(job_id=None))
    if how == "deleted":
        linked.stand_in.account.delete("/Talks/Été.mp4")
    with capture_logs() as logged:
        assert linked.put_back(task).again is None
    assert "no results are returned" in logged[-1]["event"]
    assert not _others(linked)


def test_a_second_time_nothing_is_sent(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    linked.stand_in.reset_counters()
    linked.put_back(task)
    assert linked.stand_in.api_calls == 1
    assert linked.stand_in.uploaded == 0


def test_an_upload_that_nobody_lived_to_note_is_not_made_again(linked: Linked, task: Task) -> None:
    linked.stand_in.account.put("/Talks/Été.mp3", b"somebody else's")
    linked.put_back(task)
    before = {path: linked.stand_in.account.file(path).rev for path in _others(linked)}
    with transaction(linked.catalog) as session:
        session.execute(update(ReturnedFileRow).values(remote_id=None, rev=None))
    linked.stand_in.reset_counters()
    linked.put_back(task)
    assert linked.stand_in.uploaded == 0
    assert {path: linked.stand_in.account.file(path).rev for path in _others(linked)} == before
    assert all(row.remote_id for row in linked.returned())


@pytest.mark.parametrize("fault", ["lost", "cut", "close", "500", "html"])
def test_an_upload_whose_answer_is_lost_is_found_by_the_next_attempt(linked: Linked, task: Task, fault: str) -> None:
    linked.stand_in.fail(fault, route="files/upload")
    with pytest.raises(Retry) as failed:
        linked.put_back(task)
    assert linked.connection.reason == failed.value.reason
    linked.put_back(task)
    assert _others(linked) == BESIDE
    assert _uploads(linked) == (4 if fault in ("lost", "cut") else 5)


@pytest.mark.parametrize("fault", ["429", "429-writes", "expired"])
def test_what_passes_soon_is_waited_for(linked: Linked, task: Task, fault: str) -> None:
    linked.stand_in.fail(fault, route="files/upload")
    linked.put_back(task)
    assert _others(linked) == BESIDE
    assert _uploads(linked) == 5


# ---- names that are taken


TAKEN = "/Talks/Été.txt"


@pytest.mark.parametrize(
    ("conflict", "expected"),
    [
        ("rename", {TAKEN: b"mine", "/Talks/Été (1).txt": b"words"}),
        ("skip", {TAKEN: b"mine"}),
        ("overwrite", {TAKEN: b"words"}),
    ],
)
def test_a_name_that_another_file_has(linked: Linked, task: Task, conflict: str, expected: dict[str, bytes]) -> None:
    _wish(linked, conflict=conflict)
    linked.stand_in.account.put(TAKEN, b"mine")
    linked.put_back(task)
    linked.put_back(task)
    texts = {path: linked.stand_in.account.read(path) for path in _others(linked) if path.endswith(".txt")}
    assert texts == expected


@pytest.mark.parametrize("conflict", ["rename", "overwrite"])
def test_a_folder_stays_what_it_is(linked: Linked, task: Task, conflict: str) -> None:
    _wish(linked, conflict=conflict)
    linked.stand_in.account.folder(TAKEN)
    linked.put_back(task)
    assert linked.stand_in.account.read("/Talks/Été (1).txt") == b"words"


@pytest.mark.parametrize("conflict", ["rename", "skip", "overwrite"])
def test_a_recording_is_never_overwritten(linked: Linked, conflict: str) -> None:
    _wish(linked, conflict=conflict)
    sung = linked.stand_in.account.put("/Talks/song.mp3", b"\0a song")
    linked.put_back(linked.made(linked.found(sung), mp3=b"\0another encoding"))
    assert linked.stand_in.account.read("/Talks/song.mp3") == b"\0a song"
    assert ("/Talks/song (1).mp3" in linked.stand_in.account.files()) == (conflict != "skip")


def test_results_of_two_recordings_do_not_replace_each_other(linked: Linked, task: Task) -> None:
    _wish(linked, results="folder", results_folder="/Done")
    other = linked.stand_in.account.put("/Talks/deep/Été.mp4", b"\0another talk")
    linked.put_back(task)
    linked.put_back(linked.made(linked.found(other), txt=b"other words"))
    assert linked.stand_in.account.read("/Done/Été.txt") == b"words"
    assert linked.stand_in.account.read("/Done/Été (1).txt") == b"other words"


def test_results_of_a_recording_that_was_changed_take_the_place_of_the_older(
    linked: Linked, task: Task, talk: File
) -> None:
    linked.put_back(task)
    before = linked.stand_in.account.file(TAKEN)
    with transaction(linked.catalog) as session:
        session.execute(delete(RemoteFileRow).where(RemoteFileRow.job_id == task.job_id))
    newer = linked.stand_in.account.put(talk.path, b"\0a longer talk")
    linked.put_back(linked.made(linked.found(newer), txt=b"more words"))
    after = linked.stand_in.account.file(TAKEN)
    assert linked.stand_in.account.read(TAKEN) == b"more words"
    assert after.id == before.id
    assert _others(linked) == BESIDE


# ---- corrections


def test_after_a_correction_results_take_the_place_of_what_they_were(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    before = linked.stand_in.account.file(TAKEN)
    linked.stand_in.reset_counters()
    linked.put_back(linked.corrected(task, 2, txt=b"better words"))
    assert linked.stand_in.account.read(TAKEN) == b"better words"
    assert linked.stand_in.account.file(TAKEN).id == before.id
    assert _others(linked) == BESIDE
    assert _uploads(linked) == 1


def test_a_result_that_was_moved_is_renewed_where_it_is(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    linked.stand_in.account.move(TAKEN, "/Talks/texts/summer.txt")
    linked.put_back(linked.corrected(task, 2, txt=b"better words"))
    assert linked.stand_in.account.read("/Talks/texts/summer.txt") == b"better words"
    assert TAKEN not in _others(linked)


def test_a_result_that_was_deleted_comes_again_only_with_new_words(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    for path in _others(linked):
        linked.stand_in.account.delete(path)
    linked.put_back(linked.corrected(task, 2, txt=b"better words"))
    assert _others(linked) == [TAKEN]


def test_what_was_edited_meanwhile_stays(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    linked.stand_in.account.put(TAKEN, b"edited words")
    linked.put_back(linked.corrected(task, 2, txt=b"better words", srt=b"1\n00:00 --> 00:01\nbetter\n"))
    assert linked.stand_in.account.read(TAKEN) == b"edited words"
    assert b"better" in linked.stand_in.account.read("/Talks/Été.srt")


def test_an_edit_at_the_last_moment_stays_too(linked: Linked, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    linked.put_back(task)
    begin = type(linked.ledger).begin

    def edited(*given: Any) -> None:
        begin(*given)
        linked.stand_in.account.put(TAKEN, b"edited words")

    monkeypatch.setattr(type(linked.ledger), "begin", edited)
    with pytest.raises(Retry, match="change just now"):
        linked.put_back(linked.corrected(replace(task, artifacts=()), 2, txt=b"better words"))
    monkeypatch.undo()
    assert linked.stand_in.account.read(TAKEN) == b"edited words"


def test_the_edited_file_that_a_version_was_made_of_is_left(linked: Linked, task: Task) -> None:
    """`revise` notes it as ours, of the version that came of it."""
    linked.put_back(task)
    edited = linked.stand_in.account.put(TAKEN, b"edited words")
    with transaction(linked.catalog) as session:
        text = next(row for row in linked.returned() if row.path == TAKEN)
        known: dict[str, Any] = {"job_id": task.job_id, "name": text.name, "path": TAKEN}
        known |= {"connection_id": linked.id, "id": "1" * 32}
        known |= {"content_hash": edited.content.content_hash, "version": 2, "remote_id": edited.id, "rev": edited.rev}
        session.add(ReturnedFileRow(**known))
    linked.put_back(linked.corrected(task, 2, txt=b"edited words, rendered"))
    assert linked.stand_in.account.read(TAKEN) == b"edited words"
    linked.put_back(linked.corrected(task, 3, txt=b"best words"))
    assert linked.stand_in.account.read(TAKEN) == b"best words"


@pytest.mark.parametrize("faults", [[], ["500"]])
def test_words_that_come_back_are_returned_again(linked: Linked, task: Task, faults: list[str]) -> None:
    for version, words in ((1, b"words"), (2, b"better words"), (3, b"words")):
        again = linked.corrected(task, version, txt=words)
        if version == 3 and faults:
            linked.stand_in.fail(*faults, route="files/upload")
            with pytest.raises(Retry):
                linked.put_back(again)
        linked.put_back(again)
        assert linked.stand_in.account.read(TAKEN) == words


def test_an_earlier_text_that_was_restored_is_left(linked: Linked, task: Task) -> None:
    """It is an edit, of which `watch` hears."""
    for version, words in ((1, b"words"), (2, b"better words")):
        linked.put_back(linked.corrected(task, version, txt=words))
    linked.stand_in.account.put(TAKEN, b"words")
    linked.put_back(linked.corrected(task, 3, txt=b"best words"))
    assert linked.stand_in.account.read(TAKEN) == b"words"


def test_a_version_with_the_same_words_is_noted(linked: Linked, task: Task) -> None:
    linked.put_back(task)
    linked.put_back(linked.corrected(task, 2, txt=b"words"))
    assert [row.version for row in linked.returned() if row.path == TAKEN] == [2]


# ---- large files


def test_a_large_result_goes_in_a_session(linked: Linked, talk: File) -> None:
    content = b"".join(Pattern(20 * MIB + 5).blocks())
    linked.put_back(linked.made(linked.found(talk), mp3=content))
    assert linked.stand_in.account.read("/Talks/Été.mp3") == content
    assert not linked.stand_in.calls["files/upload"]
    calls = linked.stand_in.calls
    assert [calls[f"files/upload_session/{step}"] for step in ("start", "append_v2", "finish")] == [1, 1, 1]


@pytest.mark.parametrize("fault", ["500", "close", "lost", "429", "expired"])
@pytest.mark.parametrize("step", ["append_v2", "finish"])
def test_a_session_goes_on_where_it_was(
    linked: Linked, talk: File, fault: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_session, "PAUSE", 0.1)
    content = b"".join(Pattern(20 * MIB + 5).blocks())
    task = linked.made(linked.found(talk), mp3=content)
    linked.stand_in.fail(fault, route=f"files/upload_session/{step}")
    if (step, fault) == ("finish", "lost"):
        with pytest.raises(Retry):  # whether it was taken, the next attempt finds out
            linked.put_back(task)
    linked.put_back(task)
    assert linked.stand_in.account.read("/Talks/Été.mp3") == content
    assert linked.stand_in.calls["files/upload_session/start"] == 1
    assert linked.stand_in.uploaded <= len(content) + upload_session.CHUNK
    assert _others(linked) == ["/Talks/Été.mp3"]


def test_a_session_that_fails_all_the_time_is_left(linked: Linked, talk: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_session, "PAUSE", 0.01)
    linked.stand_in.fail(*["500"] * 50, route="files/upload_session/append_v2")
    with pytest.raises(Retry):
        linked.put_back(linked.made(linked.found(talk), mp3=bytes(20 * MIB)))
    assert linked.stand_in.calls["files/upload_session/append_v2"] == upload_session.FAILURES + 1


# ---- accounts that do not take results


def test_a_full_dropbox_is_told_of_and_tried_again_later(linked: Linked, task: Task) -> None:
    linked.stand_in.account.space = 10
    with pytest.raises(Retry, match="no room") as full:
        linked.put_back(task)
    assert full.value.delay == 3600
    assert linked.connection.reason == errors.NO_ROOM


def test_a_name_that_dropbox_does_not_take_is_final(linked: Linked) -> None:
    icons = linked.stand_in.account.put("/Talks/desktop.mp4", b"\0a talk")
    with pytest.raises(Reject):
        linked.put_back(linked.made(linked.found(icons), ini=b"x"))


@pytest.mark.parametrize("state", ["paused", "broken", "connecting"])
def test_while_a_connection_rests_results_wait(linked: Linked, task: Task, state: str) -> None:
    _wish(linked, state=state)
    assert linked.put_back(task).again == WAIT
    assert not linked.stand_in.calls


@pytest.mark.parametrize("how", ["disconnected", "by hand"])
def test_without_a_connection_there_is_nothing_to_do(linked: Linked, task: Task, how: str) -> None:
    linked.connections.gone(linked.id)
    result = linked.put_back(task if how == "disconnected" else replace(task, connection_id=None))
    assert (result.again, result.next) == (None, ())


def test_an_account_that_opens_no_more_breaks_the_connection(linked: Linked, task: Task) -> None:
    linked.stand_in.grants.disconnect(linked.stand_in.account.id)
    result = linked.put_back(task)
    assert (result.again, [message.kind for message in result.sent]) == (WAIT, ["deliver"])
    assert linked.connection.state == "broken"


def test_returning_ends_when_it_must(linked: Linked, task: Task) -> None:
    linked.stand_in.fail("hang", route="files/upload")

    def stop(percent: float, speed: float | None = None) -> None:
        if _uploads(linked):
            raise Interrupted

    with pytest.raises(Interrupted):
        linked.put_back(task, stop)
