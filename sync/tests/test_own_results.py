"""Results that are found in watched folders, as they were put there and as somebody has edited them."""

import pytest

from pipeline.catalog import ReturnedFileRow
from pipeline.database import transaction
from pipeline.jobs import Jobs
from pipeline.tests.makers import OWNER
from sync.tests.watched import TALK, Watched


def _returned(watched: Watched, path: str, content: bytes, *, known: bool = True) -> None:
    """As if it had been put there as a result of the first job."""
    there = watched.dropbox.put(path, content)
    with transaction(watched.catalog) as session:
        session.add(
            ReturnedFileRow(
                id=there.rev.rjust(32, "0"),
                connection_id=watched.id,
                job_id=watched.jobs()[0].id,
                name=path.rpartition("/")[2],
                path=path,
                content_hash=there.content.content_hash,
                version=1,
                remote_id=there.id if known else None,
                rev=there.rev if known else None,
            )
        )


def _with_a_job(watched: Watched) -> None:
    watched.dropbox.put("/Talks/a.mp4", TALK)
    watched.watch()
    watched.fetch(watched.jobs()[0].id)


@pytest.mark.parametrize("known", [True, False])
def test_own_results_are_no_input(watched: Watched, known: bool) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound", known=known)
    _returned(watched, "/Talks/a.srt", b"1\n", known=known)
    watched.watch()
    watched.dropbox.put("/Talks/copy.mp3", b"\0sound")
    watched.dropbox.move("/Talks/a.mp3", "/Talks/moved.mp3")
    watched.watch()
    assert len(watched.jobs()) == 1
    assert watched.open_tasks("revise") == []
    assert sorted(watched.states().values()) == ["result", "result", "result", "taken"]


def test_results_are_no_input_though_their_job_is_deleted(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound")
    watched.watch()
    Jobs(watched.catalog).delete(OWNER, watched.jobs()[0].id)
    watched.dropbox.move("/Talks/a.mp3", "/Talks/moved.mp3")
    watched.dropbox.put("/Talks/copy.mp3", b"\0sound")
    watched.watch()
    watched.dropbox.reset_cursors()
    watched.watch()
    assert watched.jobs() == []


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.txt"])
def test_an_edited_transcript_is_taken_in_once(watched: Watched, name: str) -> None:
    _with_a_job(watched)
    _returned(watched, f"/Talks/{name}", b"before")
    watched.watch()
    there = watched.dropbox.put(f"/Talks/{name}", b"after")
    result = watched.watch()
    (task,) = watched.open_tasks("revise")
    (job,) = watched.jobs()
    assert [message.task_id for message in result.sent] == [task.id]
    assert task.job_id == watched.id
    told = {"job": job.id, "name": name, "rev": there.rev, "size": 5, "content_hash": there.content.content_hash}
    assert {key: task.args[key] for key in told} == told
    assert (task.args["version"], task.args["file"]) == (1, watched.files()[f"/Talks/{name}"].id)
    watched.dropbox.reset_cursors()
    watched.dropbox.move(f"/Talks/{name}", f"/Talks/moved-{name}")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1
    watched.dropbox.put(f"/Talks/moved-{name}", b"once more")
    watched.watch()
    assert [task.part for task in watched.open_tasks("revise")] == [0, 1]


def test_an_edit_that_was_saved_as_a_new_file_counts_too(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.srt", b"before")
    watched.watch()
    watched.dropbox.delete("/Talks/a.srt")
    watched.dropbox.put("/Talks/a.srt", b"after")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1


def test_transcripts_of_others_are_left_alone(watched: Watched) -> None:
    _with_a_job(watched)
    watched.dropbox.put("/Talks/other.srt", b"1\n")
    watched.watch()
    assert watched.states()["/Talks/other.srt"] == "ignored"
    assert watched.open_tasks("revise") == []


def test_results_are_no_input_though_their_job_was_deleted_before_they_were_seen(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound")
    Jobs(watched.catalog).delete(OWNER, watched.jobs()[0].id)
    watched.watch()
    assert watched.jobs() == []
    assert watched.states()["/Talks/a.mp3"] == "result"


@pytest.mark.parametrize("is_gone", [True, False])
def test_results_that_another_connection_has_returned_are_no_input(watched: Watched, is_gone: bool) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.mp3", b"\0sound")
    if is_gone:
        watched.connections.gone(watched.id)
    watched.connect("/Talks")
    watched.watch()
    assert watched.titles() == ["a.mp4"]
    assert watched.states() == {"/Talks/a.mp4": "taken", "/Talks/a.mp3": "result"}


# ---- what was restored


def test_an_earlier_text_that_is_restored_is_an_edit(watched: Watched) -> None:
    _with_a_job(watched)
    for words in (b"first", b"second"):
        _returned(watched, "/Talks/a.srt", words)
        watched.watch()
    assert watched.open_tasks("revise") == []
    restored = watched.dropbox.put("/Talks/a.srt", b"first")
    watched.watch()
    (task,) = watched.open_tasks("revise")
    assert (task.args["rev"], task.args["content_hash"]) == (restored.rev, restored.content.content_hash)
    watched.dropbox.reset_cursors()
    watched.dropbox.move("/Talks/a.srt", "/Talks/moved.srt")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1


def test_an_earlier_text_that_was_restored_before_the_later_was_seen(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.srt", b"first")
    watched.watch()
    _returned(watched, "/Talks/a.srt", b"second")
    watched.dropbox.put("/Talks/a.srt", b"first")
    watched.watch()
    assert len(watched.open_tasks("revise")) == 1


def test_a_list_from_before_our_last_upload_tells_of_no_edit(watched: Watched) -> None:
    _with_a_job(watched)
    _returned(watched, "/Talks/a.srt", b"first")
    connection = watched.connection
    (folder,) = connection.folders
    page = watched.accounts.open(connection, lambda: None).list_more(folder.cursor or "")
    _returned(watched, "/Talks/a.srt", b"second")
    watched.using.files.take_in(connection, folder, page, None)
    watched.watch()
    assert watched.open_tasks("revise") == []
    assert watched.files()["/Talks/a.srt"].rev == watched.dropbox.file("/Talks/a.srt").rev
