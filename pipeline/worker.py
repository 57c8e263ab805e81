"""The worker loop: claim, run, commit, publish, acknowledge, in this order."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, TypeVar, cast

import structlog
from prometheus_client import Counter, Histogram

from pipeline.blobs import BlobMissing, BlobStore, Writer
from pipeline.dispatch import Dispatcher
from pipeline.errors import Interrupted, Reject, Retry, Unavailable
from pipeline.messages import Message
from pipeline.queues import Delivery
from pipeline.tasks import Tasks
from pipeline.work import Handler, Result, Task

log = structlog.get_logger()
ENDED = Counter("spool_tasks_ended_total", "Attempts at tasks, by how they ended", ("kind", "outcome"))
SECONDS = Histogram(
    "spool_task_seconds", "How long attempts took", ("kind",), buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
)
BEAT = 1.0
"""Seconds between two looks at a running attempt: its lease is renewed, a cancelled job is noticed."""

T = TypeVar("T")
Outcome = Result | Retry | Reject | Interrupted


class _Notebook:
    """A blob store that notes what an attempt writes, and lets it begin nothing once it must end."""

    def __init__(self, blobs: BlobStore, interrupted: Event) -> None:
        self._blobs, self._interrupted = blobs, interrupted
        self.written: set[str] = set()

    def create(self, blob_id: str) -> AbstractContextManager[Writer]:
        if self._interrupted.is_set():
            raise Interrupted
        self.written.add(blob_id)
        return self._blobs.create(blob_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


@dataclass
class Attempt:
    """A handler at work in a thread of its own."""

    task: Task
    handler: Handler
    blobs: BlobStore
    scratch: Path | None
    percent: float = 0
    speed: float | None = None
    interrupted: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)
    outcome: Outcome = field(default_factory=lambda: Retry("The worker ended without a word."))

    def __post_init__(self) -> None:
        self._notebook = _Notebook(self.blobs, self.interrupted)

    @property
    def left(self) -> set[str]:
        """Blobs that it wrote and did not hand in."""
        taken = self.outcome.artifacts if isinstance(self.outcome, Result) else ()
        return self._notebook.written - {made.blob for made in taken}

    def start(self) -> None:
        Thread(target=self._run, name=f"{self.task.kind}-{self.task.id}", daemon=True).start()

    def progress(self, percent: float, speed: float | None = None, /) -> None:
        if self.interrupted.is_set():
            raise Interrupted
        self.percent, self.speed = max(self.percent, min(percent, 100.0)), speed

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(**_context(self.task))
        try:
            with TemporaryDirectory(prefix="spool-", dir=self.scratch, ignore_cleanup_errors=True) as folder:
                blobs = cast(BlobStore, self._notebook)
                self.outcome = self.handler(self.task, blobs, Path(folder), self.progress)
        except (Retry, Reject, Interrupted) as outcome:
            self.outcome = outcome
        except (Unavailable, BlobMissing) as error:
            self.outcome = Retry(f"A part of the system was away: {error}")
        except Exception:
            log.exception("handler failed")
            self.outcome = Retry("Something unexpected went wrong; the log has the cause.")
        finally:
            self.ended.set()


@dataclass
class Worker:
    """One worker of one or more kinds of task, an attempt at a time. `grace` is in seconds, see `Settings`."""

    handlers: Mapping[str, Handler]
    tasks: Tasks
    dispatcher: Dispatcher
    blobs: BlobStore
    scratch: Path | None = None
    grace: float = 20
    lane: int = 0
    """Which of those of its process it is."""
    kinds: Sequence[str] = ()
    """Those that it takes; all that it has handlers for if none are named."""

    @property
    def name(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()}:{self.lane}"

    def run(self, stop: Event) -> None:
        """Works until told to stop; then what runs is handed back within `grace`."""
        consumer = self.dispatcher.queue.consumer(tuple(self.kinds or self.handlers))
        try:
            while not stop.is_set():
                if delivery := consumer.receive(BEAT):
                    self._serve(delivery, stop)
                    consumer.ack(delivery)
        except Unavailable:
            log.warning("stopped while the catalog was away; the lease will lapse")
        finally:
            consumer.close()

    def _serve(self, delivery: Delivery, stop: Event) -> None:
        """Whatever goes wrong with one task must not end the loop: its lease lapses, and it is tried again so often and no more."""
        message = delivery.message
        with structlog.contextvars.bound_contextvars(job=message.job_id, task=message.task_id, trace=message.trace):
            try:
                task = self._patiently(lambda: self.tasks.claim(message.task_id, self.name, message.kind), stop)
                if task is not None:
                    with structlog.contextvars.bound_contextvars(**_context(task)):  # it may be another's turn
                        self._attempt(task, stop)
            except Unavailable:
                raise
            except Exception:
                log.exception("task left to lapse")

    def _attempt(self, task: Task, stop: Event) -> None:
        began = time.monotonic()
        attempt = Attempt(task, self.handlers[task.kind], self.blobs, self.scratch)
        attempt.start()
        self._watch(attempt, stop)
        outcome = attempt.outcome if attempt.ended.is_set() else Interrupted()
        messages = self._patiently(lambda: self._conclude(task, outcome), stop)
        self.dispatcher.send(messages)
        if left := attempt.left:
            self._patiently(lambda: self.tasks.discard(left), stop)
        seconds = time.monotonic() - began
        SECONDS.labels(task.kind).observe(seconds)
        ENDED.labels(task.kind, type(outcome).__name__.lower()).inc()
        log.info(
            "attempt ended",
            attempt=task.attempt,
            outcome=type(outcome).__name__,
            seconds=round(seconds, 3),
        )

    def _watch(self, attempt: Attempt, stop: Event) -> None:
        """Keeps the lease until the attempt ends. One that must end early has `grace` seconds for it."""
        while not attempt.ended.wait(BEAT):
            if stop.is_set() or not self._renewed(attempt):
                attempt.interrupted.set()
                attempt.ended.wait(self.grace)
                return

    def _renewed(self, attempt: Attempt) -> bool:
        try:
            return self.tasks.renew(attempt.task, attempt.percent, attempt.speed)
        except Unavailable as error:
            log.warning("lease not renewed", cause=str(error))
            return True

    def _conclude(self, task: Task, outcome: Outcome) -> list[Message]:
        match outcome:
            case Result():
                return self.tasks.finish(task, outcome)
            case Reject(reason=reason):
                return self.tasks.reject(task, reason)
            case Retry(reason=reason, delay=delay):
                return self.tasks.retry(task, reason, delay)
            case _:
                return self.tasks.hand_back(task)

    def _patiently(self, ask: Callable[[], T], stop: Event) -> T:
        """Asks the catalog until it answers. Raises Unavailable if told to stop meanwhile."""
        while True:
            try:
                return ask()
            except Unavailable as error:
                log.warning("waiting for the catalog", cause=str(error))
                if stop.wait(BEAT):
                    raise


def _context(task: Task) -> dict[str, str | None]:
    return {"job": task.job_id, "task": task.id, "kind": task.kind, "trace": task.trace}
