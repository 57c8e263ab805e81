import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Semaphore
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from sqlalchemy import Engine, select

from dev.services.server import free_port
from dev.waiting import eventually
from pipeline import child, wiring
from pipeline.blobs import BlobStore
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import TaskRow
from pipeline.database import transaction
from pipeline.dispatch import Dispatcher
from pipeline.queues import Consumer
from pipeline.queues.memory import MemoryQueue
from pipeline.settings import Settings
from pipeline.tasks import Tasks
from pipeline.tests.makers import a_job
from pipeline.work import Handler, NextTask, Progress, Result, Task
from pipeline.worker import Worker
from tests.processes import youngest_thread


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://host/db"),
        ("database_url", "not a url"),
        ("blob_url", "s3://bucket"),
        ("blob_url", "mongodb://:::"),
        ("blob_url", "file:///dev/null/blobs"),
        ("queue_url", "redis://host"),
    ],
)
def test_an_address_that_cannot_be_is_said_in_one_line(name: str, value: str) -> None:
    settings = Settings.model_validate({name: value})
    make = {"database_url": wiring.engine, "blob_url": wiring.blobs, "queue_url": wiring.queue}[name]
    with pytest.raises(SystemExit) as refused:
        make(settings)
    assert str(refused.value).startswith(f"SPOOL_{name.upper()}: ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.servers  # they bring the MySQL driver along
def test_wiring_connects_to_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "database_url": "mysql+mysqldb://u:p@127.0.0.1:1/spool",
            "blob_url": "mongodb://127.0.0.1:1/spool",
            "queue_url": "amqp://127.0.0.1:1/",
        }
    )
    broker, store = wiring.queue(settings), wiring.blobs(settings)
    wiring.dispatcher(settings, wiring.engine(settings), broker)
    broker.close()
    store.close()


def test_a_worker_alone_refuses_a_queue_in_memory() -> None:
    settings = Settings.model_validate(
        {"database_url": "sqlite:///x", "blob_url": "file:///x", "queue_url": "memory://"}
    )
    with pytest.raises(SystemExit, match="SPOOL_QUEUE_URL: memory:// reaches nobody"):
        wiring.run_worker("converter", settings, lambda *_: {})


@pytest.mark.parametrize(
    ("kinds", "lanes"),
    [
        (["extract", "encode"], [["extract", "encode"]]),
        (["cut", "transcribe", "merge", "render"], [["merge", "render"], ["cut"], *[["transcribe"]] * 3]),
        (["transcribe"], [["transcribe"]] * 3),
        (["fetch", "watch", "listen"], [["watch"], ["fetch"], ["listen"], ["listen"]]),
        (["deliver", "webhook"], [["deliver"], ["webhook"]]),
    ],
)
def test_what_may_take_long_is_taken_beside_what_is_short(kinds: list[str], lanes: list[list[str]]) -> None:
    assert wiring.lanes(kinds, {"transcribe": 3, "listen": 2}) == lanes


@dataclass
class Service:
    """A transcriber that waits for an answer."""

    sender: Dispatcher
    settings: Settings
    answers: Event = field(default_factory=Event)
    waiting: Semaphore = field(default_factory=lambda: Semaphore(0))

    def workers(self) -> Sequence[Worker]:
        handlers: dict[str, Handler] = {"cut": self.cut, "transcribe": self.transcribe}
        store = DirectoryBlobs(Path(urlsplit(self.settings.blob_url or "").path))
        return wiring.workers(self.settings, handlers, self.sender, store)

    def cut(self, task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
        return Result(next=[NextTask("transcribe", part) for part in range(6)])

    def transcribe(self, task: Task, blobs: BlobStore, folder: Path, progress: Progress) -> Result:
        self.waiting.release()
        while not self.answers.wait(0.01):
            progress(1)
        return Result()


@pytest.fixture
def service(catalog: Engine, tmp_path: Path) -> Service:
    settings = Settings.model_validate(
        {"speech_in_flight": 3, "blob_url": f"file://{tmp_path}/blobs", "scratch": tmp_path, "grace_seconds": 10}
    )
    sender = Dispatcher(Tasks(catalog), MemoryQueue(), interval=0, lost=0)
    another_to_cut(sender)
    return Service(sender, settings)


def another_to_cut(sender: Dispatcher) -> None:
    _, message = a_job(sender.tasks.engine)
    extract = sender.tasks.claim(message.task_id, "another")
    assert extract is not None
    sender.send(sender.tasks.finish(extract, Result(next=[NextTask("cut")])))


def states(service: Service) -> Counter[str]:
    with transaction(service.sender.tasks.engine) as session:
        return Counter(session.scalars(select(TaskRow.state).where(TaskRow.kind == "transcribe")))


def test_one_process_has_several_parts_in_flight_and_hands_them_back_together(service: Service) -> None:
    stop = Event()
    workers = service.workers()
    assert len({worker.name for worker in workers}) == 4
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(wiring.work, workers, stop)
        try:
            assert all(service.waiting.acquire(timeout=20) for _ in range(3))
            assert states(service) == {"running": 3, "queued": 3}
            another_to_cut(service.sender)
            eventually(lambda: states(service) == {"running": 3, "queued": 9}, 20)
        finally:
            stop.set()
        running.result(20)
    assert states(service) == {"queued": 12}
    with ThreadPoolExecutor(1) as thread:
        stop.clear()
        service.answers.set()
        running = thread.submit(wiring.work, service.workers(), stop)
        try:
            eventually(lambda: states(service) == {"done": 12}, 20)
        finally:
            stop.set()
        running.result(20)


class _Broken(MemoryQueue):
    """A broker whose consumers of one kind break."""

    def consumer(self, kinds: Sequence[str]) -> Consumer:
        if "cut" in kinds:
            raise ZeroDivisionError("a bug")
        return super().consumer(kinds)


def test_a_process_of_which_one_worker_breaks_ends_whole(service: Service) -> None:
    broken = Service(replace(service.sender, queue=_Broken()), service.settings)
    stop = Event()
    with pytest.raises(ZeroDivisionError):
        wiring.work(broken.workers(), stop)
    assert stop.is_set()


def test_a_worker_says_what_it_reaches_and_what_keeps_its_children_from_the_network(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "DATABASE_URL": "sqlite:///catalog.db",
        "BLOB_URL": f"file://{tmp_path}/blobs",
        "METRICS_PORT": str(port),
    }
    environment = {f"SPOOL_{name}": value for name, value in {**settings, "QUEUE_URL": "amqp://127.0.0.1:1/"}.items()}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}

    def told() -> object:
        try:
            return json.load(urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5))
        except OSError:  # nobody listens yet, or who does is slow to answer
            return None

    command = [sys.executable, "-m", "converter"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        try:
            ready = {"status": "ok", "checks": {"catalog": "ok", "blobs": "ok"}, "isolation": child.isolation()}
            assert eventually(told, 60) == ready
        finally:
            os.kill(youngest_thread(worker.pid), signal.SIGTERM)  # as the system may do it
        assert worker.stderr is not None
        assert child.isolation() in worker.stderr.read()
