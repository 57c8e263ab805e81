"""A converter by hand: all that a job asks for, done by the real handlers on a folder of blobs, in a process of its own."""

import gc
import json
import os
import resource
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine

from converter.worker import handlers
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Reject, Retry
from pipeline.flow import STAGES, check
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.work import Artifact, NextTask, Result, Task

PART_MINUTES = 0.1
"""So that half a minute of sound is split already."""


@dataclass(frozen=True)
class Leavings:
    """What a process has; after a job it must be what it was before."""

    files: int
    threads: int
    processes: frozenset[str]
    scratch: frozenset[str]


@dataclass(frozen=True)
class Verdict:
    """How a job ended, and at what cost."""

    reason: str | None = None
    """What its user reads."""
    retry: str | None = None
    escaped: str | None = None
    """The trace of an exception that no handler may raise."""
    stages: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    seconds: float = 0
    """That its children computed."""
    peak: int = 0
    """The most bytes of memory that this process ever had."""
    child_peak: int = 0
    """The most bytes of memory that any child ever had."""
    before: Leavings | None = None
    after: Leavings | None = None

    def of(self, kind: str) -> list[Artifact]:
        return [artifact for artifact in self.artifacts if artifact.kind == kind]


@dataclass
class _Job:
    """A job whose tasks are done one after the other."""

    blobs: DirectoryBlobs
    scratch: Path
    options: Options
    title: str
    beside: Path | None
    artifacts: list[Artifact]
    id: str = field(default_factory=lambda: uuid4().hex)
    stages: list[str] = field(default_factory=list)

    def work(self, wanted: NextTask) -> None:
        waiting, seen = deque([wanted]), {(wanted.kind, wanted.part)}
        while waiting:
            following = self._do(_ready(waiting))
            waiting += [task for task in following if (task.kind, task.part) not in seen]
            seen |= {(task.kind, task.part) for task in following}

    def _do(self, wanted: NextTask) -> list[NextTask]:
        self.stages.append(wanted.kind)
        with TemporaryDirectory(prefix="spool-", dir=self.scratch) as folder:
            if self.beside:
                (Path(folder) / self.beside.name).hardlink_to(self.beside)
            result = _HANDLERS[wanted.kind](self._task(wanted), self.blobs, Path(folder), _quiet)
        self._take(result)
        for following in result.next:
            check(wanted.kind, following.kind)
        return [_through_json(following) for following in result.next if following.kind != "transcribe"]

    def _task(self, wanted: NextTask) -> Task:
        return Task(
            uuid4().hex,
            self.id,
            wanted.kind,
            wanted.part,
            1,
            self.title,
            wanted.args,
            self.options,
            "running",
            None,
            tuple(self.artifacts),
        )

    def _take(self, result: Result) -> None:
        spent = {artifact.blob for artifact in result.spent}
        for blob in spent:
            self.blobs.delete(blob)
        kept = [artifact for artifact in [*self.artifacts, *result.artifacts] if artifact.blob not in spent]
        self.artifacts = [_through_the_catalog(artifact, result) for artifact in kept]


def _ready(waiting: deque[NextTask]) -> NextTask:
    """The first that waits for no other."""
    kinds = {task.kind for task in waiting}
    ready = next(task for task in waiting if STAGES[task.kind].awaits not in kinds)
    waiting.remove(ready)
    return ready


def _through_json(task: NextTask) -> NextTask:
    return replace(task, args=json.loads(json.dumps(task.args, allow_nan=False)))


def _through_the_catalog(artifact: Artifact, result: Result) -> Artifact:
    facts = {**artifact.facts, **result.facts.get(artifact.kind, {})}
    return replace(artifact, facts=json.loads(json.dumps(facts, allow_nan=False)))


def _quiet(percent: float, speed: float | None = None) -> None:
    assert 0 <= percent <= 100


def convert(
    original: Path,
    blobs: Path,
    scratch: Path,
    title: str,
    asked: Mapping[str, Any],
    beside: Path | None = None,
) -> Verdict:
    """Does the job of the file at `original`, which becomes a blob; `beside` lies in the folder of every attempt."""
    store, scratch = DirectoryBlobs(blobs), scratch / str(os.getpid())
    scratch.mkdir(exist_ok=True)
    blob = f"{uuid4().hex}-original"
    (blobs / blob).hardlink_to(original)
    taken = Artifact(title, "original", "video/mp4", original.stat().st_size, "0" * 64, blob)
    job = _Job(store, scratch, Options.model_validate({"transcribe": False, **asked}), title, beside, [taken])
    before = _leavings(scratch)
    used = _children()
    ending: dict[str, Any] = {}
    with _ended(ending):
        job.work(NextTask("extract"))
    return Verdict(
        **ending,
        stages=tuple(job.stages),
        artifacts=tuple(job.artifacts),
        seconds=_children() - used,
        peak=_peak(),
        child_peak=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        before=before,
        after=_leavings_after(before, scratch),
    )


@contextmanager
def _ended(ending: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except Reject as rejected:
        ending["reason"] = rejected.reason
    except Retry as retried:
        ending["retry"] = retried.reason
    except Exception:
        ending["escaped"] = traceback.format_exc()


def _peak() -> int:
    """Bytes; getrusage(2) would count what the parent had when it forked."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _leavings_after(before: Leavings, scratch: Path) -> Leavings:
    """What is still held only by garbage is not left."""
    after = _leavings(scratch)
    if after != before:
        gc.collect()
        after = _leavings(scratch)
    return after


def _leavings(scratch: Path) -> Leavings:
    mine = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return Leavings(
        files=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        threads=threading.active_count(),
        processes=frozenset(pid for children in mine for pid in children.read_text().split()),
        scratch=frozenset(path.name for path in scratch.rglob("*")),
    )


_HANDLERS = handlers(Settings.model_validate({"part_minutes": PART_MINUTES}), create_engine("sqlite://"))
