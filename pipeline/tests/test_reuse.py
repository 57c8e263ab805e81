from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, select

from pipeline.accounts import Accounts, Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import JobRow, RemovalRow
from pipeline.database import transaction
from pipeline.jobs import Job, Jobs, NewJob
from pipeline.options import Options
from pipeline.removals import Removals
from pipeline.retention import remove_originals
from pipeline.reuse import adopt
from pipeline.tasks import Tasks
from pipeline.tests.makers import (
    ADDRESS,
    LOUDNESS,
    OWNER,
    SOUND,
    a_recording,
    end_days_ago,
    named_blobs,
    stored_blobs,
    work_through,
    write,
)
from pipeline.tests.test_removals import at_once
from pipeline.work import Artifact, NextTask, Result

STRANGER = "b" * 32


@pytest.fixture
def remove(catalog: Engine, store: DirectoryBlobs) -> Callable[[], int]:
    return Removals(catalog, store).carry_out


def names(job: Job) -> list[str]:
    return [found.name for found in job.artifacts]


def drawn(title: str, *extensions: str) -> list[str]:
    """Names of a job's files, a waveform among them."""
    return sorted(f"{title}.{end}" for end in (*extensions, "waveform.json", "waveform.png"))


def blob_of(job: Job) -> str:
    return next(found.blob for found in job.artifacts if found.kind == "original")


def fetched(catalog: Engine, store: DirectoryBlobs, content: bytes, **options: object) -> Job:
    """A job by address whose first stage has just ended."""
    jobs, tasks = Jobs(catalog), Tasks(catalog)
    first = NextTask("fetch", args={"url": "https://example.org/talk.mp4"})
    new = NewJob(OWNER, "recording", first=first, options=Options.model_validate(options))
    job, (message,) = jobs.create(new)
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    blob = task.blob_id("original")
    original = Artifact("fetched.mp4", "original", "video/mp4", len(content), write(store, blob, content), blob)
    tasks.finish(task, Result([original], [NextTask("extract")]))
    found = jobs.get(OWNER, job.id)
    assert found is not None
    return found


def test_the_same_bytes_with_the_same_options_are_done_at_once(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    first = work_through(catalog, store, a_recording(catalog, store, formats="txt,srt"))
    before = stored_blobs(store)
    second = a_recording(catalog, store, title="Vortrag 😀.mov", formats="srt,txt", tags="other", notify=ADDRESS)
    assert (second.state, second.percent, second.reused, second.seconds) == ("done", 100, True, 90)
    assert second.finished_at is not None
    assert names(second) == drawn("Vortrag 😀", "mov", "mp3", "srt", "txt")
    assert not first.reused
    assert [message.kind for message in Tasks(catalog).unpublished(0)] == ["deliver"]
    assert remove() == 1
    assert stored_blobs(store) == before == named_blobs(catalog)


def test_a_transcript_and_a_waveform_keep_their_names_apart(catalog: Engine, store: DirectoryBlobs) -> None:
    first = work_through(catalog, store, a_recording(catalog, store, formats="json"))
    second = a_recording(catalog, store, title="again.mp4", formats="json")
    assert second.reused
    assert names(second) == drawn("again", "json", "mp3", "mp4")
    blobs = {found.name.removeprefix("talk"): found.blob for found in first.artifacts}
    assert {found.name.removeprefix("again"): found.blob for found in second.artifacts} == blobs


def test_what_is_known_of_files_is_shared_with_them(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store))
    second = a_recording(catalog, store)
    assert [found.facts for found in second.artifacts if found.kind == "audio"] == [SOUND | LOUDNESS]


def test_what_another_transcript_needs_is_shared_too(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store))
    second = a_recording(catalog, store)
    with transaction(catalog) as session:
        kinds = {made.kind for made in session.get_one(JobRow, second.id).artifacts}
    assert kinds == {"original", "track", "layer", "audio", "waveform", "transcript"}


@pytest.mark.parametrize(
    "asked", [{"bitrate": 96}, {"preset": "voice"}, {"audio": "opus"}, {"end": 60}, {"artist": "Ada"}]
)
def test_another_sound_is_made_anew(catalog: Engine, store: DirectoryBlobs, asked: dict[str, Any]) -> None:
    work_through(catalog, store, a_recording(catalog, store))
    assert not a_recording(catalog, store, **asked).reused


def test_another_title_makes_other_tags_and_another_file_name_does_not(catalog: Engine, store: DirectoryBlobs) -> None:
    titled = Options(title="On rabbits")
    work_through(catalog, store, a_recording(catalog, store))
    assert not work_through(catalog, store, a_recording(catalog, store, options=titled)).reused
    assert not a_recording(catalog, store, options=Options(title="On hares")).reused
    assert a_recording(catalog, store, title="other.mp4", options=titled).reused
    assert a_recording(catalog, store, title="other.mp4").reused


def test_results_get_free_names(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store, transcribe=False))
    assert names(a_recording(catalog, store, title="again.mp3", transcribe=False)) == [
        "again (1).mp3",
        *drawn("again", "mp3"),
    ]


def test_with_other_options_the_bytes_are_stored_once_and_worked_on_anew(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    first = work_through(catalog, store, a_recording(catalog, store, formats="txt"))
    second = a_recording(catalog, store, formats="srt")
    assert (second.state, second.reused, names(second)) == ("queued", False, ["talk.mp4"])
    assert remove() == 1
    assert blob_of(second) == blob_of(first)
    assert names(work_through(catalog, store, second)) == drawn("talk", "mp3", "mp4", "srt")


def test_a_twin_that_is_in_work_gives_its_bytes_only(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    first = a_recording(catalog, store)
    second = a_recording(catalog, store)
    assert (second.state, second.reused, blob_of(second)) == ("queued", False, blob_of(first))
    assert remove() == 1
    assert [work_through(catalog, store, job).state for job in (first, second)] == ["done", "done"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_twin_that_did_not_work_out_gives_its_bytes_only(catalog: Engine, store: DirectoryBlobs, end: str) -> None:
    first = a_recording(catalog, store)
    if end == "cancelled":
        Jobs(catalog).cancel(OWNER, first.id)
    else:
        tasks = Tasks(catalog)
        task = tasks.claim(tasks.unpublished(0)[0].task_id, "worker")
        assert task is not None
        tasks.reject(task, "No sound.")
    second = a_recording(catalog, store)
    assert (second.state, second.reused, blob_of(second)) == ("queued", False, blob_of(first))


def test_nothing_is_shared_between_owners(catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]) -> None:
    first = work_through(catalog, store, a_recording(catalog, store))
    theirs = a_recording(catalog, store, owner=STRANGER)
    assert (theirs.state, theirs.reused) == ("queued", False)
    assert blob_of(theirs) != blob_of(first)
    assert remove() == 0


def test_other_bytes_of_the_same_name_are_another_recording(catalog: Engine, store: DirectoryBlobs) -> None:
    work_through(catalog, store, a_recording(catalog, store, b"one"))
    assert not a_recording(catalog, store, b"two").reused


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_deleting_one_never_breaks_another(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int], order: tuple[int, ...]
) -> None:
    first = work_through(catalog, store, a_recording(catalog, store))
    jobs = [
        first,
        a_recording(catalog, store),
        work_through(catalog, store, a_recording(catalog, store, formats="txt")),
    ]
    for number, index in enumerate(order, 1):
        assert Jobs(catalog).delete(OWNER, jobs[index].id)
        remove()
        assert stored_blobs(store) == named_blobs(catalog)
        assert len(Jobs(catalog).list(OWNER)[0]) == 3 - number
    assert stored_blobs(store) == set()


def test_what_was_fetched_is_done_at_once_too(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    work_through(catalog, store, a_recording(catalog, store, transcribe=False))
    before = Accounts(catalog).use(OWNER).day_bytes
    job = fetched(catalog, store, b"a talk", transcribe=False)
    assert (job.state, job.reused, names(job)) == ("done", True, drawn("fetched", "mp3", "mp4"))
    assert Accounts(catalog).use(OWNER).day_bytes == before + len(b"a talk")
    assert remove() == 1
    assert stored_blobs(store) == named_blobs(catalog)
    assert Tasks(catalog).unpublished(0) == []


def test_what_was_fetched_with_other_options_is_stored_once(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    first = work_through(catalog, store, a_recording(catalog, store))
    job = fetched(catalog, store, b"a talk", transcribe=False)
    assert (job.state, job.reused, blob_of(job)) == ("running", False, blob_of(first))
    assert remove() == 1
    assert names(work_through(catalog, store, job)) == drawn("fetched", "mp3", "mp4")


def test_a_twin_that_lost_its_original_still_gives_its_results(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    """And the bytes are taken from whoever still has them."""
    done = work_through(catalog, store, a_recording(catalog, store, transcribe=False))
    end_days_ago(catalog, 30)
    assert remove_originals(catalog, Limits(keep_original_days=30)) == 1
    remove()
    second = a_recording(catalog, store, transcribe=False)
    assert (second.reused, names(second)) == (True, drawn("talk", "mp3", "mp4"))
    assert remove() == 0
    third = a_recording(catalog, store, transcribe=False)
    assert (third.reused, blob_of(third)) == (True, blob_of(second))
    assert remove() == 1
    for job in (done, second, third):
        Jobs(catalog).delete(OWNER, job.id)
    remove()
    assert stored_blobs(store) == set()


def test_a_twin_deleted_at_the_same_moment_takes_nothing_along(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    jobs, sound, subtitles = Jobs(catalog), Options(transcribe=False), Options(formats=("srt",))
    for number in range(6):
        content = bytes([number])
        twin = work_through(catalog, store, a_recording(catalog, store, content, options=sound))

        def delete(job_id: str = twin.id) -> None:
            assert jobs.delete(OWNER, job_id)
            remove()

        again = [partial(a_recording, catalog, store, content, options=options) for options in (sound, subtitles)]
        at_once(delete, *again)
        assert named_blobs(catalog) <= stored_blobs(store)
        remove()
        assert stored_blobs(store) == named_blobs(catalog)


def test_a_twin_cannot_be_deleted_before_it_is_known_who_shares_its_bytes(
    catalog: Engine, store: DirectoryBlobs, remove: Callable[[], int]
) -> None:
    twin = work_through(catalog, store, a_recording(catalog, store))
    original = next(found for found in twin.artifacts if found.kind == "original")

    def delete() -> None:
        Jobs(catalog).delete(OWNER, twin.id)
        remove()

    deleting = Thread(target=delete)
    with transaction(catalog) as session:
        job = JobRow(id="1" * 32, owner=OWNER, title="again", options={}, recipe=Options().recipe)
        session.add(job)
        session.flush()
        assert adopt(session, job, replace(original, blob="another-original"))
        deleting.start()
        deleting.join(0.5)
    deleting.join(20)
    assert not deleting.is_alive()
    assert stored_blobs(store) == named_blobs(catalog) != set()


def test_a_recording_that_names_bytes_of_another_leaves_them_there(catalog: Engine, store: DirectoryBlobs) -> None:
    first = a_recording(catalog, store)
    (original,) = [found for found in first.artifacts if found.kind == "original"]
    Jobs(catalog).create(NewJob(OWNER, "copy.mp4", replace(original, name="copy.mp4")))
    with transaction(catalog) as session:
        assert session.scalars(select(RemovalRow.blob)).all() == []
    assert store.size(original.blob) == original.bytes
