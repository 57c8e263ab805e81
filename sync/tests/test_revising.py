"""A transcript that was edited in Dropbox: the next version of it, once, and written back without end."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select, update

from pipeline.accounts import Limits
from pipeline.catalog import JobRow, RemoteFileRow, TaskRow
from pipeline.correction import LONGEST_BODY
from pipeline.database import now, transaction
from pipeline.errors import Reject, Retry
from pipeline.jobs import Job, Jobs
from pipeline.tests.makers import OWNER, write
from pipeline.transcript import MEDIA_TYPE, About, Layer, LayerFacts, Segment, Word, write_layer
from pipeline.transcripts import Transcripts, Version
from pipeline.work import Artifact, Result, Task
from sync.dropbox.returned_files import ReturnedFiles
from sync.dropbox.returning import put_back
from sync.tests.watched import Watched
from sync.watching.revise import BUSY, FULL, LATER, NO_TRANSCRIPT, Books, revise

SAID = [
    Segment(
        0.0, 2.0, "Rabbits eat clover.", (Word(0.0, 0.5, "Rabbits"), Word(0.6, 1.0, "eat"), Word(1.1, 2.0, "clover."))
    ),
    Segment(3.0, 5.0, "Hares run fast."),
]
KINDS = ("srt", "vtt", "txt")


def _written(kind: str, segments: list[Segment]) -> bytes:
    """As the transcriber writes them."""
    if kind == "txt":
        return ("\n\n".join(segment.text for segment in segments) + "\n").encode()
    mark = "," if kind == "srt" else "."
    cues = [
        f"{f'{number}{chr(10)}' if kind == 'srt' else ''}{_time(said.start, mark)} --> {_time(said.end, mark)}\n{said.text}\n"
        for number, said in enumerate(segments, 1)
    ]
    return (("" if kind == "srt" else "WEBVTT\n\n") + "\n".join(cues)).encode()


def _time(seconds: float, mark: str) -> str:
    return f"00:00:{int(seconds):02}{mark}{round(seconds % 1 * 1000):03}"


@pytest.fixture
def transcribed(watched: Watched) -> Watched:
    """A recording that was found, transcribed, and whose transcripts were returned."""
    watched.dropbox.put("/Talks/talk.mp4", b"\0a talk")
    watched.watch()
    watched.fetch(_job(watched).id)
    _do(watched, "extract", partial(_layer, watched))
    _put_back(watched)
    watched.watch()
    return watched


def _job(watched: Watched) -> Job:
    (row,) = watched.jobs()
    found = Jobs(watched.catalog).get(OWNER, row.id)
    assert found
    return found


def _do(watched: Watched, kind: str, make: Callable[[Task], Result]) -> None:
    task = _claimed(watched, kind)
    watched.tasks.finish(task, make(task))


def _claimed(watched: Watched, kind: str) -> Task:
    (row,) = [row for row in watched.open_tasks(kind) if row.job_id == _job(watched).id]
    return watched.claim(kind, row.part, row.job_id)


def _layer(watched: Watched, task: Task) -> Result:
    path = watched.folder / "layer"
    write_layer(path, About(6.0, "en", "tiny.en"), SAID)
    blob = task.blob_id("layer")
    facts = LayerFacts(version=1, at=now(), model="tiny.en", language="en").model_dump(mode="json")
    sha256 = write(watched.blobs, blob, path.read_bytes())
    layer = Artifact("layer-1.jsonl", "layer", MEDIA_TYPE, path.stat().st_size, sha256, blob, facts=facts)
    return Result([layer, *_files(watched, task, SAID, 1)], seconds=6.0)


def _files(watched: Watched, task: Task, segments: list[Segment], version: int) -> list[Artifact]:
    made = []
    for kind in KINDS:
        content, blob = _written(kind, segments), task.blob_id(kind)
        sha256 = write(watched.blobs, blob, content)
        facts = {"version": version}
        made.append(Artifact(f"talk.{kind}", "transcript", "text/plain", len(content), sha256, blob, facts=facts))
    return made


def _render(watched: Watched) -> None:
    """As the transcriber does after a correction."""

    def rendered(task: Task) -> Result:
        newest = _versions(watched)[0]
        old = [made for made in task.artifacts if made.kind == "transcript"]
        return Result(_files(watched, task, _segments(watched, newest), newest.facts.version), spent=old)

    _do(watched, "render", rendered)


def _put_back(watched: Watched) -> None:
    task = _claimed(watched, "return")
    ledger = ReturnedFiles(watched.catalog)
    result = put_back(task, watched.blobs, watched.folder, lambda *_: None, accounts=watched.accounts, ledger=ledger)
    watched.tasks.finish(task, result)


def _revise(watched: Watched, part: int = 0, limits: Limits | None = None) -> Result:
    books = Books(watched.catalog, limits or Limits())
    return watched.work(partial(revise, accounts=watched.accounts, books=books), "revise", part)


def _versions(watched: Watched) -> list[Version]:
    return list(Transcripts(watched.catalog).versions(OWNER, _job(watched).id))


def _segments(watched: Watched, version: Version) -> list[Segment]:
    path = watched.folder / "read"
    path.unlink(missing_ok=True)
    watched.blobs.fetch(version.layer.blob, path)
    return list(Layer(path).segments())


def _texts(watched: Watched) -> list[str]:
    return [segment.text for segment in _segments(watched, _versions(watched)[0])]


def _edit(watched: Watched, kind: str, old: bytes, new: bytes) -> None:
    path = f"/Talks/talk.{kind}"
    before = watched.dropbox.read(path)
    assert old in before
    watched.dropbox.put(path, before.replace(old, new))
    watched.watch()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_the_next_version_and_comes_back_in_the_other_files(transcribed: Watched, kind: str) -> None:
    _edit(transcribed, kind, b"Hares", b"Deer")
    edited = transcribed.dropbox.file(f"/Talks/talk.{kind}")
    result = _revise(transcribed)
    newest, first = _versions(transcribed)
    assert (newest.facts.version, newest.facts.author, newest.facts.model) == (2, OWNER, None)
    assert (first.facts.version, first.facts.model) == (1, "tiny.en")
    assert _texts(transcribed) == ["Rabbits eat clover.", "Deer run fast."]
    assert _segments(transcribed, newest)[0].words == SAID[0].words
    assert [message.kind for message in result.sent] == ["render"]
    _render(transcribed)
    _put_back(transcribed)
    for other in KINDS:
        assert b"Deer" in transcribed.dropbox.read(f"/Talks/talk.{other}")
    assert transcribed.dropbox.file(f"/Talks/talk.{kind}").rev == edited.rev


def test_it_ends(transcribed: Watched) -> None:
    """What is written back is no edit, so that nothing goes round for ever."""
    _edit(transcribed, "srt", b"Hares", b"Deer")
    _revise(transcribed)
    for _ in range(3):
        for kind, act in (("render", _render), ("return", _put_back)):
            if transcribed.open_tasks(kind):
                act(transcribed)
        transcribed.watch()
        assert transcribed.open_tasks("revise") == []
    transcribed.dropbox.reset_cursors()
    transcribed.watch()
    assert [transcribed.open_tasks(kind) for kind in ("revise", "render", "return")] == [[], [], []]
    assert len(_versions(transcribed)) == 2
    assert len(transcribed.jobs()) == 1
    assert set(transcribed.states().values()) == {"taken", "result"}


def test_one_edit_after_the_other(transcribed: Watched) -> None:
    for number, (old, new) in enumerate([(b"Hares", b"Deer"), (b"Deer", b"Dogs"), (b"fast", b"slowly")]):
        _edit(transcribed, "srt" if number != 1 else "vtt", old, new)
        _revise(transcribed, number)
        _render(transcribed)
        _put_back(transcribed)
        transcribed.watch()
    assert _texts(transcribed) == ["Rabbits eat clover.", "Dogs run slowly."]
    assert [version.facts.version for version in _versions(transcribed)] == [4, 3, 2, 1]
    for kind in KINDS:
        assert b"Dogs run slowly." in transcribed.dropbox.read(f"/Talks/talk.{kind}")


def test_an_edit_that_says_the_same_makes_no_version(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"\n", b"\r\n")
    assert list(_revise(transcribed).sent) == []
    assert len(_versions(transcribed)) == 1
    assert transcribed.open_tasks("render") == []


def test_a_kill_after_the_correction_makes_no_second_one(transcribed: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")

    def killed(*_: object) -> None:
        raise Retry("killed", 0)

    with monkeypatch.context() as context:
        context.setattr(ReturnedFiles, "complete", killed)
        with pytest.raises(Retry):
            _revise(transcribed)
    _render(transcribed)
    _revise(transcribed)
    assert [version.facts.version for version in _versions(transcribed)] == [2, 1]
    assert _texts(transcribed) == ["Rabbits eat clover.", "Deer run fast."]


def test_only_the_newest_edit_counts(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    _edit(transcribed, "srt", b"Deer", b"Dogs")
    _revise(transcribed, 1)
    _render(transcribed)
    assert list(_revise(transcribed, 0).sent) == []
    assert _texts(transcribed) == ["Rabbits eat clover.", "Dogs run fast."]
    assert len(_versions(transcribed)) == 2


def test_a_job_that_is_busy_is_waited_for(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    with transaction(transcribed.catalog) as session:
        session.execute(update(JobRow).where(JobRow.id == _job(transcribed).id).values(state="running"))
    with pytest.raises(Retry, match=BUSY):
        _revise(transcribed)
    assert transcribed.connection.reason is None
    assert [row.state for row in transcribed.open_tasks("revise")] == ["queued"]


def test_an_edit_waits_for_room_and_its_owner_is_told(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    assert _revise(transcribed, limits=Limits(stored_bytes=1)).again == LATER
    for _ in range(2):
        transcribed.watch()
        assert transcribed.connection.reason == f"/Talks/talk.srt: {FULL}"
    _revise(transcribed)
    transcribed.watch()
    assert transcribed.connection.reason is None
    assert _texts(transcribed) == ["Rabbits eat clover.", "Deer run fast."]


def test_an_edit_that_was_given_up_is_told(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    transcribed.tasks.reject(transcribed.claim("revise", 0), "Dropbox does not answer.")
    transcribed.watch()
    assert transcribed.connection.reason == "An edited file: Dropbox does not answer."


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "no subtitles"), (b"\0\1\2\3" * 50, "not text"), (b" " * (LONGEST_BODY + 1), "larger than")],
)
def test_an_edit_that_cannot_be_read_is_told_and_not_tried_again(
    transcribed: Watched, content: bytes, reason: str
) -> None:
    transcribed.dropbox.put("/Talks/talk.srt", content)
    transcribed.watch()
    with pytest.raises(Reject, match=reason):
        _revise(transcribed)
    assert transcribed.open_tasks("revise") == []
    transcribed.watch()
    assert transcribed.open_tasks("revise") == []
    told = transcribed.connection.reason
    assert told
    assert "/Talks/talk.srt" in told
    assert reason in told
    assert len(_versions(transcribed)) == 1
    transcribed.dropbox.put("/Talks/talk.srt", _written("srt", SAID).replace(b"Hares", b"Deer"))
    transcribed.watch()
    _revise(transcribed, 1)
    transcribed.watch()
    assert transcribed.connection.reason is None
    assert _texts(transcribed)[1] == "Deer run fast."


def test_of_the_tasks_of_earlier_edits_none_are_left(transcribed: Watched) -> None:
    for number, (old, new) in enumerate([(b"Hares", b"Deer"), (b"Deer", b"Dogs"), (b"Dogs", b"Cats")]):
        _edit(transcribed, "srt", old, new)
        _revise(transcribed, number)
        _render(transcribed)
    with transaction(transcribed.catalog) as session:
        assert session.scalars(select(TaskRow.part).where(TaskRow.kind == "revise")).all() == [2]


def test_an_earlier_text_that_is_restored_is_the_next_version(transcribed: Watched) -> None:
    before = transcribed.dropbox.read("/Talks/talk.srt")
    _edit(transcribed, "srt", b"Hares", b"Deer")
    _revise(transcribed)
    _render(transcribed)
    _put_back(transcribed)
    transcribed.dropbox.put("/Talks/talk.srt", before)
    transcribed.watch()
    _revise(transcribed, 1)
    assert _texts(transcribed) == ["Rabbits eat clover.", "Hares run fast."]
    _render(transcribed)
    _put_back(transcribed)
    transcribed.watch()
    assert b"Hares" in transcribed.dropbox.read("/Talks/talk.txt")
    assert transcribed.open_tasks("revise") == []


def test_an_edit_of_a_job_that_is_gone_comes_to_nothing(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    Jobs(transcribed.catalog).delete(OWNER, _job(transcribed).id)
    assert list(_revise(transcribed).sent) == []


def test_a_format_that_is_not_made_any_more_cannot_be_corrected(transcribed: Watched) -> None:
    _edit(transcribed, "srt", b"Hares", b"Deer")
    with transaction(transcribed.catalog) as session:
        job = session.scalars(select(JobRow).where(JobRow.connection_id == transcribed.id)).one()
        (srt,) = [made for made in job.artifacts if made.name == "talk.srt"]
        session.delete(srt)
    with pytest.raises(Reject, match=NO_TRANSCRIPT):
        _revise(transcribed)
    with transaction(transcribed.catalog) as session:
        noted = session.scalars(select(RemoteFileRow.reason).where(RemoteFileRow.reason.is_not(None))).all()
        failed = session.scalars(select(TaskRow.state).where(TaskRow.kind == "revise")).all()
    assert (noted, failed) == ([NO_TRANSCRIPT], ["failed"])
    assert transcribed.connection.state == "active"
