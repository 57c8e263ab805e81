from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Engine

from dev.waiting import eventually
from pipeline.blobs import BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.dispatch import Dispatcher
from pipeline.errors import Reject, Retry, Unavailable
from pipeline.jobs import Job, Jobs
from pipeline.queues.memory import MemoryQueue
from pipeline.removals import Removals
from pipeline.tasks import LAPSED, MAX_LAPSES, Tasks
from pipeline.tests.makers import OWNER, a_job, an_artifact, stored_blobs, write
from pipeline.work import Handler, NextTask, Progress, Result, Task
from pipeline.worker import Worker


class Flow:
    """Handlers that note what they were called for, and do as each test says."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.blobs: BlobStore
        """That of the last attempt."""
        self.acts: dict[str, Callable[[Task, Progress], Result]] = {
            "extract": lambda *_: Result([an_artifact("track.mka", "track")], [NextTask("encode"), NextTask("cut")]),
            "encode": lambda *_: Result([an_artifact("talk.mp3", "audio")]),
            "cut": lambda *_: Result([an_artifact("talk.txt", "transcript")]),
            "deliver": lambda *_: Result(),
        }

    def handlers(self) -> dict[str, Handler]:
        return dict.fromkeys(self.acts, self)

    def __call__(self, task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
        assert list(folder.iterdir()) == []
        self.blobs = blobs
        (folder / "left behind").touch()
        act = self.acts[task.kind]  # before the call is noted: whoever sees that it came may put another in its place
        self.calls.append(task.kind)
        return act(task, progress)


@pytest.fixture
def flow() -> Flow:
    return Flow()


@pytest.fixture
def sender(catalog: Engine) -> Dispatcher:
    return Dispatcher(Tasks(catalog), MemoryQueue(), interval=0, lost=0)


@contextmanager
def working(flow: Flow, sender: Dispatcher, folder: Path, grace: float = 5) -> Iterator[Event]:
    """A worker of all kinds, until the block ends; it leaves nothing in its scratch folder."""
    stop = Event()
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    worker = Worker(flow.handlers(), sender.tasks, sender, DirectoryBlobs(folder / "blobs"), scratch, grace)
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
    assert list(scratch.iterdir()) == []


def ended(sender: Dispatcher, job: Job) -> Job:
    def look() -> Job | None:
        found = Jobs(sender.tasks.engine).get(OWNER, job.id)
        return found if found and found.finished_at else None

    found = eventually(look, timeout=20)
    assert found is not None
    return found


def test_a_job_goes_through_every_stage_once(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message, message, message])
        done = ended(sender, job)
        eventually(lambda: "deliver" in flow.calls)
    assert (done.state, done.percent) == ("done", 100)
    assert sorted(flow.calls) == ["cut", "deliver", "encode", "extract"]
    assert [artifact.name for artifact in done.artifacts] == ["talk.mp3", "talk.mp4", "talk.txt"]


def test_what_a_handler_rejects_ends_with_its_reason(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    def refuse(*_: object) -> Result:
        raise Reject("There is no sound in it.")

    flow.acts["extract"] = refuse
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        assert ended(sender, job).reason == "There is no sound in it."
        eventually(lambda: flow.calls == ["extract", "deliver"])


@pytest.mark.parametrize(
    "error", [Retry("later", delay=0), Unavailable("the store is away"), ZeroDivisionError("a bug")]
)
def test_what_fails_for_now_is_done_later(error: Exception, flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    extract = flow.acts["extract"]

    def fail_once(task: Task, progress: Progress) -> Result:
        if task.attempt == 1:
            raise error
        return extract(task, progress)

    flow.acts["extract"] = fail_once
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        stop = Event()
        sweeper = Thread(target=Dispatcher(sender.tasks, sender.queue, interval=0.01, lost=60).run, args=(stop,))
        sweeper.start()
        assert ended(sender, job).state == "done"
        stop.set()
        sweeper.join()
    assert flow.calls.count("extract") == 2


def test_cancelling_interrupts_the_attempt(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    started, interrupted = Event(), Event()

    def wait(_task: Task, progress: Progress) -> Result:
        started.set()
        try:
            while not interrupted.wait(0.01):
                progress(10)
        finally:
            interrupted.set()
        return Result()

    flow.acts["extract"] = wait
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        assert started.wait(10)
        Jobs(sender.tasks.engine).cancel(OWNER, job.id)
        assert interrupted.wait(10)
    assert ended(sender, job).state == "cancelled"
    assert flow.calls == ["extract"]


def test_what_an_attempt_has_done_so_far_can_be_seen(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    seen = Event()

    def slow(_task: Task, progress: Progress) -> Result:
        while not seen.wait(0.01):
            progress(40, 25.5)
        return Result()

    flow.acts["extract"] = slow
    job, message = a_job(sender.tasks.engine)

    def told() -> bool:
        found = Jobs(sender.tasks.engine).get(OWNER, job.id)
        return found is not None and (found.stages[0].percent, found.stages[0].speed) == (40, 25.5)

    with working(flow, sender, tmp_path):
        sender.send([message])
        eventually(told)
        seen.set()
        assert ended(sender, job).stages[0].speed is None


def test_a_worker_that_stops_hands_its_task_to_the_next(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    started = Event()
    extract = flow.acts["extract"]

    def slow_at_first(task: Task, progress: Progress) -> Result:
        started.set()
        while task.attempt == 1:
            progress(1)
            Event().wait(0.01)
        return extract(task, progress)

    flow.acts["extract"] = slow_at_first
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        assert started.wait(10)
    with working(flow, sender, tmp_path):
        assert ended(sender, job).state == "done"
    assert flow.calls.count("extract") == 2


def test_a_handler_that_does_not_listen_is_left_behind(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    started, release = Event(), Event()
    extract = flow.acts["extract"]

    def deaf_at_first(task: Task, progress: Progress) -> Result:
        started.set()
        if task.attempt == 1:
            release.wait(20)
        return extract(task, progress)

    flow.acts["extract"] = deaf_at_first
    job, message = a_job(sender.tasks.engine)
    stop = Event()
    worker = Worker(flow.handlers(), sender.tasks, sender, DirectoryBlobs(tmp_path / "blobs"), None, grace=0)
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    sender.send([message])
    assert started.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    with working(flow, sender, tmp_path):
        assert ended(sender, job).state == "done"
        release.set()


def test_whose_turn_it_is_comes_first_whatever_the_message(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    taken: list[int] = []

    def note(task: Task, _: Progress) -> Result:
        taken.append(task.part)
        return Result()

    flow.acts["cut"] = lambda *_: Result(next=[NextTask("transcribe", part) for part in (0, 1)])
    flow.acts["transcribe"] = note
    _, message = a_job(sender.tasks.engine)
    for kind in "extract", "cut":
        task = sender.tasks.claim(message.task_id, "another")
        assert task is not None
        *_, message = sender.tasks.finish(task, flow.acts[kind](task, lambda *_: None))
    with working(flow, sender, tmp_path):
        sender.queue.publish(message)
        eventually(lambda: taken == [0])


def test_a_message_for_nothing_is_forgotten(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    job, message = a_job(sender.tasks.engine)
    Jobs(sender.tasks.engine).delete(OWNER, job.id)
    with working(flow, sender, tmp_path):
        sender.queue.publish(message)
        eventually(lambda: sender.queue.depth("extract") == 0)
    assert flow.calls == []
    assert sender.queue.depth("extract") == 0


def test_a_result_that_cannot_be_committed_does_not_end_the_worker(
    flow: Flow, sender: Dispatcher, tmp_path: Path
) -> None:
    flow.acts["extract"] = lambda *_: Result(next=[NextTask("extract")])
    bad, _ = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send(sender.tasks.unpublished(0))
        eventually(lambda: flow.calls == ["extract"])
        flow.acts["extract"] = lambda *_: Result()
        good, message = a_job(sender.tasks.engine)
        sender.send([message])
        assert ended(sender, good).state == "done"
    assert Jobs(sender.tasks.engine).get(OWNER, bad.id).state == "running"  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_result_that_never_can_be_committed_ends_its_job(flow: Flow, catalog: Engine, tmp_path: Path) -> None:
    """JSON has no infinity."""
    loud = NextTask("encode", args={"level": {"true_peak": float("inf")}})
    flow.acts["extract"] = lambda *_: Result(next=[loud])
    sender = Dispatcher(Tasks(catalog, lease=0.2), MemoryQueue(), interval=0, lost=60)
    job, message = a_job(catalog)

    def failed() -> bool:
        sender.sweep()
        found = Jobs(catalog).get(OWNER, job.id)
        return found is not None and found.reason == LAPSED

    with working(flow, sender, tmp_path):
        sender.send([message])
        eventually(failed, timeout=20)
    assert flow.calls.count("extract") == MAX_LAPSES + 1


def remains(sender: Dispatcher, folder: Path) -> set[str]:
    """Blobs that are left once all is removed that is to go."""
    store = DirectoryBlobs(folder / "blobs")
    Removals(sender.tasks.engine, store).carry_out()
    return stored_blobs(store)


def a_blob(flow: Flow, task: Task, label: str) -> str:
    write(flow.blobs, task.blob_id(label), b"12345")
    return task.blob_id(label)


@pytest.mark.parametrize("error", [Reject("There is no sound in it."), Retry("later", delay=60), ZeroDivisionError()])
def test_what_an_attempt_wrote_in_vain_goes(error: Exception, flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    def write_and_fail(task: Task, _progress: Progress) -> Result:
        a_blob(flow, task, "track")
        raise error

    flow.acts["extract"] = write_and_fail
    _, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        eventually(lambda: flow.calls)
    assert remains(sender, tmp_path) == set()


def test_what_an_attempt_handed_in_stays_and_the_rest_goes(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    def extract(task: Task, _progress: Progress) -> Result:
        a_blob(flow, task, "draft")
        return Result([an_artifact("track.mka", "track", blob=a_blob(flow, task, "track"))])

    flow.acts["extract"] = extract
    job, message = a_job(sender.tasks.engine)
    with working(flow, sender, tmp_path):
        sender.send([message])
        assert ended(sender, job).state == "done"
    assert remains(sender, tmp_path) == {f"{job.id}-extract-0-1-track"}


@pytest.mark.parametrize("end", [Jobs.cancel, Jobs.delete])
@pytest.mark.parametrize("when", ["before it is written", "before it is handed in", "in the middle of it"])
def test_what_was_written_for_a_job_that_was_called_off_goes(
    end: Callable[[Jobs, str, str], object], when: str, flow: Flow, sender: Dispatcher, tmp_path: Path
) -> None:
    job, message = a_job(sender.tasks.engine)

    def extract(task: Task, progress: Progress) -> Result:
        if when == "before it is written":
            end(Jobs(sender.tasks.engine), OWNER, job.id)
        track = an_artifact("track.mka", "track", blob=a_blob(flow, task, "track"))
        end(Jobs(sender.tasks.engine), OWNER, job.id)
        while when == "in the middle of it":
            progress(1)
        return Result([track])

    flow.acts["extract"] = extract
    with working(flow, sender, tmp_path):
        sender.send([message])
        eventually(lambda: flow.calls)
        eventually(lambda: sender.queue.depth("extract") == 0)
    assert remains(sender, tmp_path) == set()
    assert "deliver" not in flow.calls


def test_a_handler_that_does_not_listen_cannot_write_any_more(flow: Flow, sender: Dispatcher, tmp_path: Path) -> None:
    release, over = Event(), Event()

    def deaf(task: Task, _progress: Progress) -> Result:
        release.wait(20)
        try:
            a_blob(flow, task, "track")
        finally:
            over.set()
        return Result()

    flow.acts["extract"] = deaf
    job, message = a_job(sender.tasks.engine)
    stop = Event()
    store = DirectoryBlobs(tmp_path / "blobs")
    worker = Worker(flow.handlers(), sender.tasks, sender, store, None, grace=0)
    thread = Thread(target=worker.run, args=(stop,))
    thread.start()
    sender.send([message])
    eventually(lambda: flow.calls)
    Jobs(sender.tasks.engine).cancel(OWNER, job.id)
    eventually(lambda: sender.queue.depth("extract") == 0)
    stop.set()
    thread.join(10)
    release.set()
    assert over.wait(10)
    assert remains(sender, tmp_path) == set()
