"""A transcript on its way through the catalog: parts, their merge, runs anew, and corrections."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Engine

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow
from pipeline.database import transaction
from pipeline.jobs import Job, Jobs, Settled
from pipeline.messages import Message
from pipeline.removals import Removals
from pipeline.task_rows import messages, new_task
from pipeline.tasks import Tasks
from pipeline.tests.makers import OWNER, a_job, an_artifact, stored_blobs, write
from pipeline.work import Artifact, ArtifactKind, NextTask, Result, Task

RUN = 100_000


@pytest.fixture
def tasks(catalog: Engine) -> Tasks:
    return Tasks(catalog)


def claimed(tasks: Tasks, message: Message) -> Task:
    task = tasks.claim(message.task_id, "worker", message.kind)
    assert task is not None
    return task


def get(tasks: Tasks, job_id: str) -> Job:
    job = Jobs(tasks.engine).get(OWNER, job_id)
    assert job is not None
    return job


def cutting(tasks: Tasks) -> tuple[str, Task]:
    job, message = a_job(tasks.engine)
    track = an_artifact("track.mka", "track")
    encode, cut = tasks.finish(claimed(tasks, message), Result([track], [NextTask("encode"), NextTask("cut")]))
    tasks.finish(claimed(tasks, encode), Result([an_artifact("talk.mp3", "audio")]))
    return job.id, claimed(tasks, cut)


def transcribing(tasks: Tasks, parts: int = 3) -> tuple[str, list[Task]]:
    job_id, cut = cutting(tasks)
    return job_id, [claimed(tasks, message) for message in tasks.finish(cut, _cut(cut.part, parts))]


def _cut(run: int, parts: int) -> Result:
    speech = [an_artifact(f"speech-{run}-{part:04}.ogg", "speech") for part in range(parts)]
    return Result(speech, [NextTask("transcribe", run * RUN + part, {"part": part}) for part in range(parts)])


def heard(task: Task) -> Result:
    return Result([an_artifact(f"heard-{task.part}.jsonl", "heard")], [NextTask("merge", task.part // RUN)])


def again(tasks: Tasks, job_id: str, following: NextTask) -> Task:
    """Has more done for a job that has ended."""
    with transaction(tasks.engine) as session:
        session.get_one(JobRow, job_id).state = "queued"
        row = new_task(job_id, following)
        session.add(row)
        session.flush()
        (message,) = messages(None, [row])
    return claimed(tasks, message)


def transcribed(tasks: Tasks) -> tuple[str, Sequence[Message]]:
    """A job that is done, with the messages for those who are to hear of it."""
    job_id, cut = cutting(tasks)
    (message,) = tasks.finish(cut, Result(next=[NextTask("merge")]))
    made = [an_artifact("talk.txt", "transcript", "first-txt"), an_artifact("layer-1.jsonl", "layer")]
    return job_id, tasks.finish(claimed(tasks, message), Result(made))


def stages(tasks: Tasks, job_id: str) -> dict[str, tuple[str, int]]:
    return {stage.name: (stage.state, stage.percent) for stage in get(tasks, job_id).stages}


def test_only_the_last_part_has_its_merge_made(tasks: Tasks) -> None:
    _, (first, second, third) = transcribing(tasks)
    assert tasks.finish(second, heard(second)) == tasks.finish(first, heard(first)) == []
    (message,) = tasks.finish(third, heard(third))
    merge = claimed(tasks, message)
    assert (merge.kind, merge.part) == ("merge", 0)
    assert sum(made.kind == "heard" for made in merge.artifacts) == 3


def test_a_part_that_failed_is_heard_again_alone(tasks: Tasks) -> None:
    job_id, (first, second, third) = transcribing(tasks)
    for part in (first, third):
        tasks.finish(part, heard(part))
    tasks.reject(second, "The speech service refused it.")
    found = Jobs(tasks.engine).retry(OWNER, job_id)
    assert found is not None
    (message,) = found[1]
    second = claimed(tasks, message)
    assert (second.part, second.kind) == (1, "transcribe")
    assert [message.kind for message in tasks.finish(second, heard(second))] == ["merge"]


def test_an_earlier_run_holds_up_no_later_one(tasks: Tasks) -> None:
    job_id, (first, second, third) = transcribing(tasks)
    tasks.finish(third, heard(third))
    tasks.reject(second, "The speech service refused it.")
    cut = again(tasks, job_id, NextTask("cut", 1))
    parts = [claimed(tasks, message) for message in tasks.finish(cut, _cut(1, 2))]
    assert [part.part for part in parts] == [RUN, RUN + 1]
    (message,) = tasks.hand_back(parts[0])
    part = claimed(tasks, message)
    assert tasks.finish(part, heard(part)) == []
    (message,) = tasks.finish(parts[1], heard(parts[1]))
    merge = claimed(tasks, message)
    assert merge.part == 1
    assert tasks.finish(first, heard(first)) == [], "its own run still lacks a part"
    tasks.finish(merge, Result())
    assert (get(tasks, job_id).state, get(tasks, job_id).reason) == ("done", None)


def test_parts_wait_in_sight(tasks: Tasks) -> None:
    job_id, cut = cutting(tasks)
    waiting = ("queued", 0)
    assert {name: seen for name, seen in stages(tasks, job_id).items() if seen == waiting} == dict.fromkeys(
        ("transcribe", "merge", "deliver"), waiting
    )
    parts = [claimed(tasks, message) for message in tasks.finish(cut, _cut(0, 2))]
    tasks.renew(parts[0], 50)
    assert stages(tasks, job_id)["transcribe"] == ("running", 25)
    assert "join" not in stages(tasks, job_id)


def test_where_nobody_speaks_nothing_waits_to_be_transcribed(tasks: Tasks) -> None:
    job_id, cut = cutting(tasks)
    before = get(tasks, job_id).percent
    (message,) = tasks.finish(cut, Result(next=[NextTask("merge")]))
    assert list(stages(tasks, job_id)) == ["extract", "encode", "cut", "merge", "deliver"]
    assert get(tasks, job_id).percent > before
    tasks.finish(claimed(tasks, message), Result())
    assert (get(tasks, job_id).state, get(tasks, job_id).percent) == ("done", 100)


def test_of_a_recording_that_is_transcribed_again_the_new_run_is_seen(tasks: Tasks) -> None:
    job_id, parts = transcribing(tasks, 2)
    for part in parts:
        made = tasks.finish(part, heard(part))
    tasks.finish(claimed(tasks, made[0]), Result())
    cut = again(tasks, job_id, NextTask("cut", 1))
    assert [stages(tasks, job_id)[name] for name in ("cut", "transcribe", "merge")] == [
        ("running", 0),
        ("queued", 0),
        ("queued", 0),
    ]
    first, _ = [claimed(tasks, message) for message in tasks.finish(cut, _cut(1, 2))]
    tasks.finish(first, heard(first))
    assert stages(tasks, job_id)["transcribe"] == ("running", 50)


def a_file(task: Task, store: DirectoryBlobs, name: str, kind: ArtifactKind, content: bytes) -> Artifact:
    blob = task.blob_id(name)
    return Artifact(name, kind, "text/plain", len(content), write(store, blob, content), blob, facts={"version": 2})


def test_what_is_made_anew_takes_the_place_of_the_old(tasks: Tasks, store: DirectoryBlobs) -> None:
    job_id, _ = transcribed(tasks)
    before = {made.name: made for made in get(tasks, job_id).artifacts}
    write(store, before["talk.txt"].blob, b"old words")
    render = again(tasks, job_id, NextTask("render", 2))
    text = a_file(render, store, "talk.txt", "transcript", b"new words")
    subtitles = a_file(render, store, "talk.srt", "transcript", b"1")
    spent = [made for made in render.artifacts if made.kind == "transcript"]
    tasks.finish(render, Result([text, subtitles], spent=spent))
    after = {made.name: made for made in get(tasks, job_id).artifacts}
    assert after["talk.txt"] == replace(text, id=before["talk.txt"].id)
    assert set(after) == {*before, "talk.srt"}
    linked = Jobs(tasks.engine).linked_artifact(before["talk.txt"].id)
    assert linked is not None
    assert linked.blob == text.blob
    Removals(tasks.engine, store).carry_out()
    assert stored_blobs(store) == {text.blob, subtitles.blob}


def test_what_is_spent_and_not_made_anew_goes_and_leaves_its_name(tasks: Tasks, store: DirectoryBlobs) -> None:
    job_id, _ = transcribed(tasks)
    old = next(made for made in get(tasks, job_id).artifacts if made.name == "talk.txt")
    write(store, old.blob, b"old words")
    render = again(tasks, job_id, NextTask("render", 2))
    other = a_file(render, store, "talk.txt", "audio", b"of another kind")
    tasks.finish(render, Result([other], spent=[old]))
    (new,) = [made for made in get(tasks, job_id).artifacts if made.name == "talk.txt"]
    assert (new.kind, new.blob) == ("audio", other.blob)
    assert new.id != old.id
    Removals(tasks.engine, store).carry_out()
    assert stored_blobs(store) == {other.blob}


def test_an_attempt_that_does_not_count_replaces_nothing(tasks: Tasks, store: DirectoryBlobs) -> None:
    job_id, _ = transcribed(tasks)
    old = next(made for made in get(tasks, job_id).artifacts if made.name == "talk.txt")
    render = again(tasks, job_id, NextTask("render", 2))
    tasks.hand_back(render)
    tasks.finish(render, Result([a_file(render, store, "talk.txt", "transcript", b"new")], spent=[old]))
    assert old in get(tasks, job_id).artifacts
    Removals(tasks.engine, store).carry_out()
    assert stored_blobs(store) == set()


def test_of_a_correction_nobody_is_told(tasks: Tasks) -> None:
    job_id, letters = transcribed(tasks)
    assert [message.kind for message in letters] == ["deliver"]
    tasks.finish(claimed(tasks, letters[0]), Result())
    render = again(tasks, job_id, NextTask("render", 2))
    assert get(tasks, job_id).state == "running"
    assert stages(tasks, job_id)["render"] == ("running", 0)
    assert tasks.finish(render, Result()) == []
    assert (get(tasks, job_id).state, get(tasks, job_id).percent) == ("done", 100)


def test_nor_of_one_that_failed(tasks: Tasks) -> None:
    job_id, _ = transcribed(tasks)
    render = again(tasks, job_id, NextTask("render", 2))
    assert tasks.reject(render, "No.") == []
    assert (get(tasks, job_id).state, get(tasks, job_id).reason) == ("failed", "No.")


def test_what_is_run_again_after_a_correction_is_told(tasks: Tasks) -> None:
    job_id, letters = transcribed(tasks)
    tasks.finish(claimed(tasks, letters[0]), Result())
    tasks.finish(again(tasks, job_id, NextTask("render", 2)), Result())
    cut = again(tasks, job_id, NextTask("cut", 1))
    (message,) = tasks.finish(cut, Result(next=[NextTask("merge", 1)]))
    assert [message.kind for message in tasks.finish(claimed(tasks, message), Result())] == ["deliver"]


@pytest.mark.parametrize("end", ["sent", "refused"])
def test_a_letter_does_not_hold_up_a_correction(tasks: Tasks, end: str) -> None:
    job_id, letters = transcribed(tasks)
    deliver = claimed(tasks, letters[0])
    render = again(tasks, job_id, NextTask("render", 2))
    if end == "refused":
        tasks.reject(deliver, "No such mailbox.")
    tasks.finish(render, Result())
    assert (get(tasks, job_id).state, get(tasks, job_id).reason) == ("done", None)


@pytest.mark.parametrize(("kind", "needed"), [("cut", "track"), ("transcribe", "speech"), ("render", "layer")])
def test_what_has_nothing_to_be_made_of_is_not_run_again(tasks: Tasks, kind: str, needed: ArtifactKind) -> None:
    job, message = a_job(tasks.engine)
    tasks.finish(claimed(tasks, message), Result())
    tasks.reject(again(tasks, job.id, NextTask(kind)), "No.")
    with pytest.raises(Settled, match="has been removed"):
        Jobs(tasks.engine).retry(OWNER, job.id)
    encode = again(tasks, job.id, NextTask("encode"))
    tasks.finish(encode, Result([an_artifact("needed", needed)]))
    found = Jobs(tasks.engine).retry(OWNER, job.id)
    assert found is not None
    assert [message.kind for message in found[1]] == [kind]


@pytest.mark.parametrize(
    ("corrections", "unfinished"),
    [((), [("cut", 2)]), ((NextTask("render", 2), NextTask("render", 3)), [("render", 3)])],
)
def test_only_the_last_run_or_the_last_correction_is_run_again(
    tasks: Tasks, corrections: tuple[NextTask, ...], unfinished: list[tuple[str, int]]
) -> None:
    job_id, _ = transcribed(tasks)
    for following in (NextTask("cut", 1), NextTask("cut", 2), *corrections):
        tasks.reject(again(tasks, job_id, following), f"No {following.kind} {following.part}.")
    assert get(tasks, job_id).reason == "No cut 2."
    found = Jobs(tasks.engine).retry(OWNER, job_id)
    assert found is not None
    assert [(task.kind, task.part) for task in map(partial(claimed, tasks), found[1])] == unfinished
