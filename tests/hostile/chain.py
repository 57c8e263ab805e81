"""A converter by hand in a process of its own: what a job comes to, what it costs, and what it leaves behind."""

import gc
import os
import resource
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine

from converter.worker import handlers
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.errors import Reject, Retry
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.work import Artifact, Task
from tests.by_hand import Job

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


def convert(
    original: Path,
    blobs: Path,
    scratch: Path,
    title: str,
    asked: Mapping[str, Any],
    beside: Path | None = None,
) -> Verdict:
    """Does the job of the file at `original`, which becomes a blob; `beside` lies in the folder of every attempt."""
    scratch = scratch / str(os.getpid())
    scratch.mkdir(exist_ok=True)
    blob = f"{uuid4().hex}-original"
    (blobs / blob).hardlink_to(original)
    taken = Artifact(title, "original", "video/mp4", original.stat().st_size, "0" * 64, blob)
    stages: list[str] = []

    @contextmanager
    def watch(task: Task, folder: Path) -> Iterator[None]:
        stages.append(task.kind)
        if beside:
            (folder / beside.name).hardlink_to(beside)
        yield

    options = Options.model_validate({"transcribe": False, **asked})
    job = Job(_HANDLERS, DirectoryBlobs(blobs), scratch, options, [taken], watch)
    before = _leavings(scratch)
    used = _children()
    ending: dict[str, Any] = {}
    with _ended(ending):
        job.work()
    return Verdict(
        **ending,
        stages=tuple(stages),
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
