"""What each stage of a job costs: its handlers, called by hand on a directory of blobs."""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import create_engine

from converter.worker import handlers
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.options import Options
from pipeline.settings import Settings
from pipeline.work import Artifact, Task
from tests.by_hand import Job, original

GLANCE = 0.005
"""Seconds between two looks at the disk."""


@dataclass(frozen=True)
class Cost:
    """Of one attempt. `disk`: the most bytes that its folder held, where that was watched."""

    kind: str
    seconds: float
    processor: float
    disk: int = 0


@dataclass(frozen=True)
class Costs:
    """Of one job, and all that it made, parts too."""

    stages: Sequence[Cost]
    artifacts: Sequence[Artifact]

    def processor(self, *kinds: str) -> float:
        """Seconds of one core, of the handlers and of all that they started."""
        return sum(cost.processor for cost in self.stages if cost.kind in kinds)

    def disk(self, kind: str) -> int:
        return max(cost.disk for cost in self.stages if cost.kind == kind)

    def sizes(self, kind: str) -> Sequence[int]:
        return [artifact.bytes for artifact in self.artifacts if artifact.kind == kind]


def costs(recording: Path, folder: Path, options: Options, *, disk: bool = False) -> Costs:
    """Does the job of a recording in `folder`. Whether the disk is watched, which takes time of a core."""
    blobs, scratch = folder / "blobs", folder / "scratch"
    for place in (blobs, scratch):
        place.mkdir(parents=True, exist_ok=True)
    store, stages, seen = DirectoryBlobs(blobs), list[Cost](), dict[str, Artifact]()

    @contextmanager
    def watch(task: Task, place: Path) -> Iterator[None]:
        seen.update({artifact.blob: artifact for artifact in task.artifacts})
        began, used = time.monotonic(), processor_time()
        with largest(place) if disk else _unseen() as most:
            yield
        stages.append(Cost(task.kind, time.monotonic() - began, processor_time() - used, max(most)))

    todo = handlers(Settings(), create_engine("sqlite://"))
    job = Job(todo, store, scratch, options, [original(store, recording)], watch)
    job.work()
    for artifact in job.artifacts:
        store.delete(artifact.blob)
    seen.update({artifact.blob: artifact for artifact in job.artifacts})
    return Costs(stages, list(seen.values()))


def processor_time() -> float:
    """Seconds of a core that this process and its children that have ended took, in user and system mode (getrusage(2))."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@contextmanager
def _unseen() -> Iterator[list[int]]:
    yield [0]


@contextmanager
def largest(folder: Path) -> Iterator[list[int]]:
    """The sizes that a folder had while the block ran, a hard link counted as its file."""
    sizes, over = [0], Event()

    def look() -> None:
        while not over.wait(GLANCE):
            sizes.append(size(folder))

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield sizes
    finally:
        over.set()
        watcher.join()
        sizes.append(size(folder))


def size(folder: Path) -> int:
    """Bytes of its files; of those that vanish meanwhile, none."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size
        except OSError:
            continue
    return found
