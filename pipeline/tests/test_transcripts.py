from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, update

from pipeline.accounts import Limits
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import ArtifactRow, JobRow, TaskRow
from pipeline.database import now, transaction
from pipeline.jobs import Job, Jobs, NewJob, Settled
from pipeline.options import KeptOptions, Options
from pipeline.removals import Removals
from pipeline.retention import remove_originals
from pipeline.search import search
from pipeline.tasks import Tasks
from pipeline.tests.makers import (
    OWNER,
    a_recording,
    an_artifact,
    end_days_ago,
    named_blobs,
    stored_blobs,
    work_off,
    work_through,
    write,
)
from pipeline.tests.test_removals import at_once
from pipeline.transcript import About
from pipeline.transcripts import Stale, Transcripts
from pipeline.work import Artifact, NextTask, Passage, Result, Task

STRANGER = "b" * 32
ABOUT = About(duration=90, language="en")


@pytest.fixture
def transcripts(catalog: Engine) -> Transcripts:
    return Transcripts(catalog)


@pytest.fixture
def job(catalog: Engine, store: DirectoryBlobs) -> Job:
    return work_through(catalog, store, a_recording(catalog, store))


def a_layer(store: DirectoryBlobs) -> Artifact:
    blob = f"layer-{uuid4().hex}"
    return Artifact("", "layer", "application/jsonl", 9, write(store, blob, b"corrected"), blob)


def correct(transcripts: Transcripts, store: DirectoryBlobs, job: Job, base: int | None = None) -> int:
    """The number of the new version."""
    found = transcripts.correct(OWNER, job.id, a_layer(store), ABOUT, base)
    assert found is not None
    return found[0].facts.version


def claimed(catalog: Engine, kind: str) -> Task:
    tasks = Tasks(catalog)
    (message,) = [message for message in tasks.unpublished(0) if message.kind == kind]
    task = tasks.claim(message.task_id, "worker")
    assert task is not None
    return task


def rendered(task: Task, store: DirectoryBlobs) -> Result:
    """As the transcriber does it: the same files anew."""
    old = [made for made in task.artifacts if made.kind == "transcript"]
    new = [replace(made, blob=task.blob_id(made.name[-3:]), id="") for made in old]
    for made in new:
        write(store, made.blob, b"rendered")
    return Result(new, spent=old, passages=[Passage(0, 1, f"Version {task.part}.")])


def get(catalog: Engine, job: Job) -> Job:
    found = Jobs(catalog).get(OWNER, job.id)
    assert found is not None
    return found


def endings(job: Job) -> list[tuple[str, str]]:
    """Of its transcripts."""
    return [(made.kind, made.name.rpartition(".")[2]) for made in job.artifacts if made.kind == "transcript"]


def kinds(catalog: Engine, job: Job) -> list[tuple[str, int, str]]:
    with transaction(catalog) as session:
        tasks = session.scalars(select(TaskRow).where(TaskRow.job_id == job.id))
        return sorted((task.kind, task.part, task.state) for task in tasks)


def test_a_correction_is_a_version_beside_those_before(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    before = now() - timedelta(seconds=1)
    assert [correct(transcripts, store, job), correct(transcripts, store, job, base=2)] == [2, 3]
    versions = transcripts.versions(OWNER, job.id)
    assert [(found.facts.version, found.facts.author, found.facts.model) for found in versions] == [
        (3, OWNER, None),
        (2, OWNER, None),
        (1, None, "tiny.en"),
    ]
    assert all(found.facts.language == "en" and found.facts.at > before for found in versions)
    assert {found.layer.blob for found in versions} <= stored_blobs(store)
    assert [made.kind for made in get(catalog, job).artifacts if made.kind == "layer"] == []


def test_after_a_correction_everything_is_written_anew(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    found = transcripts.correct(OWNER, job.id, a_layer(store), ABOUT, 1)
    assert found is not None
    assert [(message.kind, message.job_id) for message in found[1]] == [("render", job.id)]
    seen = get(catalog, job)
    assert (seen.state, seen.finished_at) == ("queued", None)
    assert seen.changed_at > job.changed_at
    task = claimed(catalog, "render")
    assert task.part == 2
    Tasks(catalog).finish(task, rendered(task, store))
    seen = get(catalog, job)
    assert seen.state == "done"
    assert endings(seen) == endings(job)
    assert [hit.snippet for hit in search(catalog, OWNER, "version")[0]] == ["Version 2."]
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == named_blobs(catalog)


def test_an_upload_may_be_called_as_versions_are(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    job = work_through(catalog, store, a_recording(catalog, store, title="layer-2.jsonl"))
    assert [correct(transcripts, store, job), correct(transcripts, store, job)] == [2, 3]
    names = [found.layer.name for found in transcripts.versions(OWNER, job.id)]
    assert names == ["layer-3.jsonl", "layer-2 (1).jsonl", "layer-1.jsonl"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_rendering_of_an_older_version_changes_nothing_any_more(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job, begun: bool
) -> None:
    correct(transcripts, store, job)
    older = claimed(catalog, "render") if begun else None
    correct(transcripts, store, job)
    newer = claimed(catalog, "render")
    assert newer.part == 3
    Tasks(catalog).finish(newer, rendered(newer, store))
    if older:
        assert not Tasks(catalog).renew(older, 50)
        Tasks(catalog).finish(older, rendered(older, store))
    assert [hit.snippet for hit in search(catalog, OWNER, "version")[0]] == ["Version 3."]
    assert [kind for kind in kinds(catalog, job) if kind[0] == "render"] == [("render", 3, "done")]
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == named_blobs(catalog)


def test_of_two_corrections_of_the_same_version_one_counts(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    for round_ in range(1, 6):
        stale: list[int] = []

        def one(base: int = round_, stale: list[int] = stale) -> None:
            try:
                correct(transcripts, store, job, base)
            except Stale as error:
                stale.append(error.current)

        at_once(one, one, one)
        assert stale == [round_ + 1] * 2
    assert [found.facts.version for found in transcripts.versions(OWNER, job.id)] == [6, 5, 4, 3, 2, 1]
    assert [kind for kind in kinds(catalog, job) if kind[0] == "render"] == [("render", 6, "queued")]


def test_without_a_base_all_corrections_count(transcripts: Transcripts, store: DirectoryBlobs, job: Job) -> None:
    at_once(*[lambda: correct(transcripts, store, job)] * 4)
    assert [found.facts.version for found in transcripts.versions(OWNER, job.id)] == [5, 4, 3, 2, 1]


def test_a_job_of_somebody_elses_is_none(transcripts: Transcripts, store: DirectoryBlobs, job: Job) -> None:
    assert transcripts.versions(STRANGER, job.id) == []
    assert transcripts.correct(STRANGER, job.id, a_layer(store), ABOUT) is None
    assert transcripts.again(STRANGER, job.id, Options()) is None
    assert len(transcripts.versions(OWNER, job.id)) == 1


def test_without_a_transcript_there_is_nothing_to_correct(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    job = work_through(catalog, store, a_recording(catalog, store, transcribe=False))
    assert transcripts.versions(OWNER, job.id) == []
    with pytest.raises(Settled, match="no transcript"):
        correct(transcripts, store, job)


def test_a_job_in_work_is_not_corrected(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    transcripts.again(OWNER, job.id, Options())
    with pytest.raises(Settled, match="being worked on"):
        correct(transcripts, store, job)
    with pytest.raises(Settled, match="being worked on"):
        transcripts.again(OWNER, job.id, Options())
    assert len(transcripts.versions(OWNER, job.id)) == 1


def test_a_job_whose_mails_are_on_their_way_may_be_corrected(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    job = a_recording(catalog, store, notify="ada@example.org")
    work_off(catalog, store, "extract", "encode", "draw", "cut", "transcribe", "merge")
    assert ("deliver", 0, "queued") in kinds(catalog, job)
    assert correct(transcripts, store, job) == 2
    letter = claimed(catalog, "deliver")
    assert (letter.job_state, letter.args["state"], letter.args["reason"]) == ("running", "done", None)


def test_another_transcription_begins_with_the_track(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    wanted = job.options.model_copy(update={"language": "de", "formats": ("txt", "srt")})
    found = transcripts.again(OWNER, job.id, wanted)
    assert found is not None
    seen, messages = found
    assert [message.kind for message in messages] == ["cut"]
    assert (seen.state, seen.finished_at, seen.options.language, seen.reused) == ("queued", None, "de", False)
    assert [made.name for made in seen.artifacts] == [made.name for made in job.artifacts]
    assert [kind for kind in kinds(catalog, job) if kind[0] in ("cut", "transcribe", "merge")] == [("cut", 1, "queued")]
    done = work_through(catalog, store, job)
    assert done.state == "done"
    assert endings(done) == [("transcript", "srt"), ("transcript", "txt")]
    assert [kind for kind in kinds(catalog, job) if kind[0] in ("cut", "transcribe", "merge")] == [
        ("cut", 1, "done"),
        ("merge", 1, "done"),
        ("transcribe", 100_000, "done"),
    ]
    assert [found.facts.version for found in transcripts.versions(OWNER, job.id)] == [2, 1]
    transcripts.again(OWNER, job.id, wanted)
    assert ("cut", 2, "queued") in kinds(catalog, job)


def test_what_an_earlier_run_left_goes(catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs) -> None:
    job = a_recording(catalog, store)
    work_off(catalog, store, "extract", "encode", "draw", "cut")
    task = claimed(catalog, "transcribe")
    write(store, "heard", b"heard")
    with transaction(catalog) as session:
        row = ArtifactRow(id="1" * 32, job_id=job.id, name="heard-0-0000.jsonl", kind="heard", blob="heard")
        row.type, row.bytes, row.sha256 = "application/jsonl", 5, "0" * 64
        session.add(row)
    Tasks(catalog).reject(task, "No such model.")
    assert get(catalog, job).state == "failed"
    found = transcripts.again(OWNER, job.id, Options(model="other"))
    assert found is not None
    assert found[0].reason is None
    Removals(catalog, store).carry_out()
    assert "heard" not in stored_blobs(store)
    assert work_through(catalog, store, job).state == "done"


def test_what_was_uploaded_without_is_transcribed_later(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    job = work_through(catalog, store, a_recording(catalog, store, transcribe=False))
    transcripts.again(OWNER, job.id, Options(formats=("txt",)))
    assert ("cut", 0, "queued") in kinds(catalog, job)
    done = work_through(catalog, store, job)
    assert (done.state, done.options.transcribe) == ("done", True)
    assert "talk.txt" in [made.name for made in done.artifacts]
    assert a_recording(catalog, store, formats="txt").reused
    assert not a_recording(catalog, store, transcribe=False).reused


def test_without_its_recording_a_job_is_not_transcribed_again(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    end_days_ago(catalog, 10)
    assert remove_originals(catalog, Limits(keep_original_days=10)) == 1
    with pytest.raises(Settled, match="removed meanwhile"):
        transcripts.again(OWNER, job.id, Options())
    assert get(catalog, job).state == "done"
    assert correct(transcripts, store, job) == 2


def test_a_job_that_had_a_twin_can_be_transcribed_again(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    again = a_recording(catalog, store, title="again.mp4")
    assert again.reused
    assert [found.layer.name for found in transcripts.versions(OWNER, again.id)] == ["layer-1.jsonl"]
    transcripts.again(OWNER, again.id, Options(language="de"))
    done = work_through(catalog, store, again)
    assert (done.state, done.reused) == ("done", False)
    assert len(transcripts.versions(OWNER, job.id)) == 1
    assert [found.facts.version for found in transcripts.versions(OWNER, again.id)] == [2, 1]
    Jobs(catalog).delete(OWNER, job.id)
    Removals(catalog, store).carry_out()
    assert stored_blobs(store) == named_blobs(catalog)


def test_what_another_transcription_that_failed_leaves_is_whole(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    transcripts.again(OWNER, job.id, Options(language="de"))
    Tasks(catalog).reject(claimed(catalog, "cut"), "The speech service is gone.")
    seen = get(catalog, job)
    assert (seen.state, seen.reason) == ("failed", "The speech service is gone.")
    assert [made.id for made in seen.artifacts] == [made.id for made in job.artifacts]
    assert [found.facts.version for found in transcripts.versions(OWNER, job.id)] == [1]
    assert search(catalog, OWNER, "clover")[0]
    found = Jobs(catalog).retry(OWNER, job.id)
    assert found is not None
    assert [message.kind for message in found[1]] == ["cut"]
    assert work_through(catalog, store, job).state == "done"
    assert [found.facts.version for found in transcripts.versions(OWNER, job.id)] == [2, 1]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_correction_ends_a_transcription_that_did_not_work_out(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job, end: str
) -> None:
    wanted = Options(language="de")
    transcripts.again(OWNER, job.id, wanted)
    if end == "failed":
        Tasks(catalog).reject(claimed(catalog, "cut"), "The speech service is gone.")
    else:
        Jobs(catalog).cancel(OWNER, job.id)
    assert get(catalog, job).state == end
    assert correct(transcripts, store, job) == 2
    task = claimed(catalog, "render")
    Tasks(catalog).finish(task, rendered(task, store))
    seen = get(catalog, job)
    assert (seen.state, seen.reason, seen.percent) == ("done", None, 100)
    assert {stage.name: stage.state for stage in seen.stages}["cut"] == "cancelled"
    assert not a_recording(catalog, store, language="de").reused, "nobody has heard it so"
    with pytest.raises(Settled, match="Only a job that failed"):
        Jobs(catalog).retry(OWNER, job.id)
    assert transcripts.again(OWNER, job.id, wanted)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_after_a_correction_only_its_files_are_written_again(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job, end: str
) -> None:
    """The transcription before it stays called off: it would cost money, and put its text over the owner's."""
    transcripts.again(OWNER, job.id, Options(language="de"))
    Tasks(catalog).reject(claimed(catalog, "cut"), "There are no minutes left.")
    correct(transcripts, store, job)
    task = claimed(catalog, "render")
    if end == "failed":
        Tasks(catalog).reject(task, "There is no room.")
    else:
        Jobs(catalog).cancel(OWNER, job.id)
    found = Jobs(catalog).retry(OWNER, job.id)
    assert found is not None
    assert [message.kind for message in found[1]] == ["render"]
    task = claimed(catalog, "render")
    Tasks(catalog).finish(task, rendered(task, store))
    assert get(catalog, job).state == "done"
    assert [version.facts.author for version in transcripts.versions(OWNER, job.id)] == [OWNER, None]
    assert [hit.snippet for hit in search(catalog, OWNER, "version")[0]] == ["Version 2."]
    transcripts.again(OWNER, job.id, Options(language="de"))
    assert ("cut", 2, "queued") in kinds(catalog, job), "no run has the number of another"


def test_a_corrected_transcript_is_written_again_though_its_recording_is_gone(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    transcripts.again(OWNER, job.id, Options(language="de"))
    Tasks(catalog).reject(claimed(catalog, "cut"), "There are no minutes left.")
    correct(transcripts, store, job)
    Tasks(catalog).reject(claimed(catalog, "render"), "There is no room.")
    end_days_ago(catalog, 10)
    assert remove_originals(catalog, Limits(keep_original_days=10)) == 1
    found = Jobs(catalog).retry(OWNER, job.id)
    assert found is not None
    assert [message.kind for message in found[1]] == ["render"]


def test_a_correction_does_not_hide_that_a_sound_file_is_lacking(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    job = a_recording(catalog, store, waveform=False)
    work_off(catalog, store, "extract")
    Tasks(catalog).reject(claimed(catalog, "encode"), "There is no room.")
    work_off(catalog, store, "cut", "transcribe", "merge")
    assert correct(transcripts, store, job) == 2
    task = claimed(catalog, "render")
    Tasks(catalog).finish(task, rendered(task, store))
    assert (get(catalog, job).state, get(catalog, job).reason) == ("failed", "There is no room.")
    found = Jobs(catalog).retry(OWNER, job.id)
    assert found is not None
    assert [message.kind for message in found[1]] == ["encode"]


@pytest.mark.parametrize("act", [correct, lambda transcripts, _, job: transcripts.again(OWNER, job.id, Options())])
def test_a_job_that_was_cancelled_before_its_end_is_not_made_to_look_done(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, act: Callable[..., object], job: Job
) -> None:
    with transaction(catalog) as session:
        session.execute(update(JobRow).where(JobRow.id == job.id).values(state="cancelled"))
        encoding = TaskRow.job_id == job.id, TaskRow.kind == "encode"
        session.execute(update(TaskRow).where(*encoding).values(state="cancelled"))
    with pytest.raises(Settled, match="cancelled"):
        act(transcripts, store, job)


def test_a_rendering_that_was_cancelled_is_made_up_for_by_the_next(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs, job: Job
) -> None:
    correct(transcripts, store, job)
    Jobs(catalog).cancel(OWNER, job.id)
    correct(transcripts, store, job)
    task = claimed(catalog, "render")
    Tasks(catalog).finish(task, rendered(task, store))
    assert get(catalog, job).state == "done"


def test_with_the_terms_of_its_account_it_is_the_same_recording(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    """Also where they were kept as the job's own: so jobs were kept at first."""
    ours, theirs = ({"account_glossary": terms} for terms in (("Flopsy",), ("Mopsy",)))
    job = work_through(catalog, store, a_recording(catalog, store, options=KeptOptions(**ours)))
    assert a_recording(catalog, store, glossary="Flopsy").reused
    transcripts.again(OWNER, job.id, KeptOptions(**theirs))
    assert claimed(catalog, "cut").options.terms == ("Mopsy",)
    with transaction(catalog) as session:
        assert session.get_one(JobRow, job.id).recipe == KeptOptions(**theirs).recipe


def test_with_the_picture_that_came_along_it_is_the_same_recording(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    def new(formats: str) -> NewJob:
        original, cover = an_artifact(blob="o"), an_artifact("cover.jpg", "cover", blob="c")
        return NewJob(OWNER, "talk.mp4", original, cover, options=Options(formats=formats))

    job = work_through(catalog, store, Jobs(catalog).create(new("txt"))[0])
    transcripts.again(OWNER, job.id, job.options.model_copy(update={"formats": ("srt",)}))
    assert work_through(catalog, store, job).state == "done"
    assert [Jobs(catalog).create(new(formats))[0].reused for formats in ("txt", "srt")] == [False, True]


def test_without_the_picture_that_came_along_nothing_is_taken_for_it(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    cover = an_artifact("cover.jpg", "cover", blob="c")
    new = NewJob(OWNER, "talk.mp4", an_artifact(blob="o"), cover, options=Options(formats=("txt",)))
    job = work_through(catalog, store, Jobs(catalog).create(new)[0])
    with transaction(catalog) as session:
        row = session.scalars(select(ArtifactRow).where(ArtifactRow.kind == "cover")).one()
        session.delete(row)
    transcripts.again(OWNER, job.id, Options(formats=("srt",)))
    work_through(catalog, store, job)
    plain = NewJob(OWNER, "talk.mp4", an_artifact(blob="o"), options=Options(formats=("srt",)))
    assert not Jobs(catalog).create(plain)[0].reused


def test_a_parted_task_of_an_earlier_run_comes_to_nothing(
    catalog: Engine, transcripts: Transcripts, store: DirectoryBlobs
) -> None:
    """Cancelled while it ran: its worker may still be at it when the next run begins."""
    job = a_recording(catalog, store)
    work_off(catalog, store, "extract", "encode", "draw", "cut")
    late = claimed(catalog, "transcribe")
    Jobs(catalog).cancel(OWNER, job.id)
    transcripts.again(OWNER, job.id, Options())
    assert Tasks(catalog).finish(late, Result(next=[NextTask("merge")])) == []
    assert kinds(catalog, job)[0] == ("cut", 1, "queued")
    assert "merge" not in [kind for kind, *_ in kinds(catalog, job)]
