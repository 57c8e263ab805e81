"""Jobs whose sound is encoded in parts: the parts are put together when all of them are there, and only then."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow
from pipeline.database import transaction
from pipeline.jobs import Job, Jobs, Settled
from pipeline.messages import Message
from pipeline.options import Options
from pipeline.removals import Removals
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, TRACK, a_recording, an_artifact, claimed, stored_blobs, write
from pipeline.work import Artifact, NextTask, Result, Task

JOIN = [NextTask("join")]


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def waiting_in_parts(
    tasks: Tasks, store: DirectoryBlobs, count: int, *beside: NextTask
) -> tuple[Job, Sequence[Message]]:
    """A job of which so many parts are to be encoded."""
    job = a_recording(tasks.engine, store, options=Options(transcribe=False))
    (message,) = [message for message in tasks.unpublished(0) if message.job_id == job.id]
    track = Artifact("track.mka", "track", "audio/x-matroska", 6, "0" * 64, job.artifacts[0].blob, facts=TRACK)
    parts = [NextTask("encode", part, {"part": {"first": part, "next": part + 1}}) for part in range(count)]
    return job, tasks.finish(claimed(tasks, message), Result([track], [*parts, *beside], seconds=90))


def in_parts(tasks: Tasks, store: DirectoryBlobs, count: int = 3) -> tuple[Job, list[Task]]:
    """A job of which so many parts are being encoded."""
    job, messages = waiting_in_parts(tasks, store, count)
    return job, [claimed(tasks, message) for message in messages]


def encoded(task: Task, store: DirectoryBlobs) -> Result:
    write(store, task.blob_id("part"), b"frames")
    part = Artifact(f"{task.part}.part", "part", "audio/mpeg", 6, "0" * 64, task.blob_id("part"))
    return Result([part], JOIN)


def joined(task: Task, store: DirectoryBlobs) -> Result:
    write(store, task.blob_id("audio"), b"sound")
    audio = Artifact("talk.mp3", "audio", "audio/mpeg", 5, "0" * 64, task.blob_id("audio"), facts={"seconds": 90})
    return Result([audio], [NextTask("draw")], spent=[made for made in task.artifacts if made.kind == "part"])


def get(tasks: Tasks, job: Job) -> Job:
    found = Jobs(tasks.engine).get(OWNER, job.id)
    assert found is not None
    return found


def kinds(tasks: Tasks, job: Job) -> list[str]:
    """Of all files of the job, those on their way too."""
    with transaction(tasks.engine) as session:
        return sorted(made.kind for made in session.get_one(JobRow, job.id).artifacts)


def test_parts_are_joined_once_the_last_of_them_is_done(tasks: Tasks, store: DirectoryBlobs) -> None:
    _, (first, second, third) = in_parts(tasks, store)
    assert tasks.finish(second, encoded(second, store)) == []
    assert tasks.finish(first, encoded(first, store)) == []
    (message,) = tasks.finish(third, encoded(third, store))
    join = claimed(tasks, message)
    assert (join.kind, len([made for made in join.artifacts if made.kind == "part"])) == ("join", 3)


def test_parts_that_end_at_once_are_joined_once(tasks: Tasks, store: DirectoryBlobs) -> None:
    for _ in range(5):
        _, parts = in_parts(tasks, store, 4)
        results = [encoded(task, store) for task in parts]
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(tasks.finish, parts, results))
        assert [message.kind for messages in made for message in messages] == ["join"]


def test_a_part_that_failed_is_encoded_again_and_the_others_are_kept(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (first, second, third) = in_parts(tasks, store)
    tasks.reject(second, "No.")
    for task in (first, third):
        assert [message.kind for message in tasks.finish(task, encoded(task, store))] == []
    assert get(tasks, job).state == "failed"
    again = Jobs(tasks.engine).retry(OWNER, job.id)
    assert again is not None
    (message,) = again[1]
    assert message.task_id == second.id
    second = claimed(tasks, message)
    (message,) = tasks.finish(second, encoded(second, store))
    parts = [made for made in claimed(tasks, message).artifacts if made.kind == "part"]
    assert [made.blob for made in parts] == [first.blob_id("part"), second.blob_id("part"), third.blob_id("part")]


def test_parts_that_wait_are_called_off_once_one_has_failed(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, messages = waiting_in_parts(tasks, store, 4)
    first, second = (claimed(tasks, message) for message in messages[:2])
    assert tasks.reject(first, "The sound breaks off.") == []
    assert [tasks.claim(message.task_id, "worker") for message in messages[2:]] == [None, None]
    assert tasks.unpublished(0) == []
    assert get(tasks, job).state == "running"
    assert tasks.finish(second, encoded(second, store)) == []
    failed = get(tasks, job)
    assert (failed.state, failed.reason) == ("failed", "The sound breaks off.")
    assert kinds(tasks, job) == ["original", "part", "track"]


def test_after_a_retry_every_part_is_made_once_and_all_are_joined(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, messages = waiting_in_parts(tasks, store, 4)
    first, second = (claimed(tasks, message) for message in messages[:2])
    tasks.reject(first, "No.")
    tasks.finish(second, encoded(second, store))
    again = Jobs(tasks.engine).retry(OWNER, job.id)
    assert again is not None
    assert {message.task_id for message in again[1]} == {messages[place].task_id for place in (0, 2, 3)}
    parts = [claimed(tasks, message) for message in again[1]]
    made = [message for task in parts for message in tasks.finish(task, encoded(task, store))]
    assert [message.kind for message in made] == ["join"]
    join = claimed(tasks, made[0])
    found = [artifact.name for artifact in join.artifacts if artifact.kind == "part"]
    assert sorted(found) == ["0.part", "1.part", "2.part", "3.part"]
    (message,) = tasks.finish(join, joined(join, store))
    tasks.finish(claimed(tasks, message), Result())
    assert get(tasks, job).state == "done"


def test_parts_are_called_off_too_when_patience_or_workers_end(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (message, _) = waiting_in_parts(tasks, store, 2)
    hasty = Tasks(tasks.engine, patience=0)
    for _ in range(2):
        hasty.retry(claimed(tasks, message), "The store was away.", delay=0)
    assert (get(tasks, job).state, get(tasks, job).reason) == ("failed", "The store was away.")


BACK: dict[str, Callable[[Tasks, Task], list[Message]]] = {
    "tried again": lambda tasks, task: tasks.retry(task, "The store was away.", delay=0),
    "handed back": lambda tasks, task: tasks.hand_back(task),
    "lapsed": lambda tasks, task: tasks.lapse(),
}


@pytest.mark.parametrize("way", BACK)
def test_a_part_that_would_be_made_again_is_called_off_once_one_has_failed(
    tasks: Tasks, store: DirectoryBlobs, way: str
) -> None:
    job, (first, second) = in_parts(Tasks(tasks.engine, lease=0), store, 2)
    tasks.reject(first, "No.")
    assert BACK[way](tasks, second) == []
    assert (get(tasks, job).state, get(tasks, job).reason) == ("failed", "No.")
    assert tasks.unpublished(0) == []


def after_a_letter_that_failed(tasks: Tasks, store: DirectoryBlobs) -> Message:
    """To one of two addresses; the message for the other."""
    options = Options(notify=("ada@example.org", "bob@example.org"))
    a_recording(tasks.engine, store, options=options)
    (message,) = tasks.unpublished(0)
    first, second = tasks.finish(claimed(tasks, message), Result())
    tasks.reject(claimed(tasks, first), "No such mailbox.")
    return second


def test_a_letter_is_sent_again_though_another_has_failed(tasks: Tasks, store: DirectoryBlobs) -> None:
    second = after_a_letter_that_failed(tasks, store)
    (again,) = tasks.hand_back(claimed(tasks, second))
    assert again.task_id == second.task_id


def test_other_stages_go_on_when_a_part_has_failed(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (message, _, other) = waiting_in_parts(tasks, store, 2, NextTask("cut"))
    tasks.reject(claimed(tasks, message), "No.")
    assert get(tasks, job).state == "running"
    tasks.finish(claimed(tasks, other), Result())
    assert get(tasks, job).state == "failed"


def test_mails_are_no_parts(tasks: Tasks, store: DirectoryBlobs) -> None:
    second = after_a_letter_that_failed(tasks, store)
    tasks.finish(claimed(tasks, second), Result())


def test_a_worker_that_died_costs_one_part(tasks: Tasks, store: DirectoryBlobs) -> None:
    _, (first, second) = in_parts(Tasks(tasks.engine, lease=0), store, 2)
    assert tasks.finish(first, encoded(first, store)) == []
    (message,) = tasks.lapse()
    assert message.task_id == second.id
    second = claimed(tasks, message)
    assert [message.kind for message in tasks.finish(second, encoded(second, store))] == ["join"]


def test_what_was_joined_is_kept_and_its_parts_go(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, parts = in_parts(tasks, store)
    for task in parts:
        messages = tasks.finish(task, encoded(task, store))
    join = claimed(tasks, messages[0])
    assert kinds(tasks, job) == ["original", "part", "part", "part", "track"]
    (message,) = tasks.finish(join, joined(join, store))
    assert message.kind == "draw"
    assert kinds(tasks, job) == ["audio", "original", "track"]
    assert Removals(tasks.engine, store).carry_out() == 3
    assert stored_blobs(store) == {job.artifacts[0].blob, join.blob_id("audio")}


def test_a_join_that_does_not_count_any_more_takes_no_part_away(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, parts = in_parts(tasks, store, 2)
    for task in parts:
        messages = tasks.finish(task, encoded(task, store))
    late = claimed(Tasks(tasks.engine, lease=0), messages[0])
    (message,) = tasks.lapse()
    assert tasks.finish(late, joined(late, store)) == []
    assert kinds(tasks, job) == ["original", "part", "part", "track"]
    Removals(tasks.engine, store).carry_out()
    again = claimed(tasks, message)
    for made in again.artifacts:
        assert store.size(made.blob) == made.bytes
    assert len(tasks.finish(again, joined(again, store))) == 1


def test_a_join_that_failed_can_be_done_again(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, parts = in_parts(tasks, store, 2)
    for task in parts:
        messages = tasks.finish(task, encoded(task, store))
    tasks.reject(claimed(tasks, messages[0]), "No.")
    again = Jobs(tasks.engine).retry(OWNER, job.id)
    assert again is not None
    assert [message.kind for message in again[1]] == ["join"]


def test_without_the_parts_a_join_cannot_be_done_again(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (part,) = in_parts(tasks, store, 1)
    (message,) = tasks.finish(part, Result(next=JOIN))
    tasks.reject(claimed(tasks, message), "No.")
    with pytest.raises(Settled, match="upload it again"):
        Jobs(tasks.engine).retry(OWNER, job.id)


def test_what_is_found_out_later_stands_beside_what_is_known(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (part,) = in_parts(tasks, store, 1)
    (message,) = tasks.finish(part, encoded(part, store))
    join = claimed(tasks, message)
    whole, beside = joined(join, store), replace(an_artifact("talk.flac", "audio"), facts={"seconds": 90})
    (message,) = tasks.finish(join, replace(whole, artifacts=[*whole.artifacts, beside]))
    draw = claimed(tasks, message)
    assert [made.facts for made in draw.artifacts if made.kind == "audio"] == [{"seconds": 90}] * 2
    assert draw.only("track").facts == TRACK
    picture = an_artifact("talk.waveform.png", "waveform")
    found = {whole.artifacts[0].blob: {"loudness": {"integrated": -16.0}}}
    tasks.finish(draw, Result([picture], facts=found))
    assert {made.name: made.facts for made in get(tasks, job).artifacts} == {
        "talk.mp4": {},
        "talk.mp3": {"seconds": 90, "loudness": {"integrated": -16.0}},
        "talk.flac": {"seconds": 90},
        "talk.waveform.png": {},
    }


def test_parts_tracks_and_covers_are_nobodys_to_see(tasks: Tasks, store: DirectoryBlobs) -> None:
    job, (part,) = in_parts(tasks, store, 1)
    cover = an_artifact("cover.jpg", "cover")
    result = encoded(part, store)
    (message,) = tasks.finish(part, Result([*result.artifacts, cover], JOIN))
    jobs = Jobs(tasks.engine)
    assert [made.kind for made in get(tasks, job).artifacts] == ["original"]
    hidden = [made for made in claimed(tasks, message).artifacts if made.kind != "original"]
    assert sorted(made.kind for made in hidden) == ["cover", "part", "track"]
    for made in hidden:
        assert jobs.artifact(OWNER, made.id) is jobs.named_artifact(OWNER, job.id, made.name) is None
        assert jobs.linked_artifact(made.id) is None


def test_a_track_that_is_the_original_outlives_an_attempt_that_did_not_count(
    tasks: Tasks, store: DirectoryBlobs, tmp_path: Path
) -> None:
    job = a_recording(tasks.engine, store)
    (message,) = tasks.unpublished(0)
    late = claimed(Tasks(tasks.engine, lease=0), message)
    (message,) = tasks.lapse()
    original = late.only("original")
    track = Artifact("track.mp4", "track", "video/mp4", original.bytes, original.sha256, original.blob, facts=TRACK)
    assert tasks.finish(late, Result([track], [NextTask("encode")])) == []
    Removals(tasks.engine, store).carry_out()
    store.fetch(original.blob, tmp_path / "original")
    again = claimed(tasks, message)
    assert len(tasks.finish(again, Result([track], [NextTask("encode")]))) == 1
    assert Jobs(tasks.engine).delete(OWNER, job.id)
    Removals(tasks.engine, store).carry_out()
    assert stored_blobs(store) == set()
