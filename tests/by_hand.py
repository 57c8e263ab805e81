"""A job done by hand: its tasks one after the other, by the real handlers on a blob store, with no catalog and no queue."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from pipeline.blobs import BlobStore, store
from pipeline.flow import STAGES, check
from pipeline.options import Options
from pipeline.work import Artifact, Handler, NextTask, Result, Task


def _unwatched(_task: Task, _folder: Path) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass
class Job:
    """What a catalog would keep of a job. `watch` is around each attempt, with its task and its folder in `scratch`."""

    handlers: Mapping[str, Handler]
    blobs: BlobStore
    scratch: Path
    options: Options
    artifacts: list[Artifact]
    watch: Callable[[Task, Path], AbstractContextManager[None]] = _unwatched
    id: str = field(default_factory=lambda: uuid4().hex)

    def work(self) -> None:
        """Does all that follows from the original, but for what no handler is there for. Raises as handlers do."""
        waiting = deque([NextTask("extract")])
        seen = {("extract", 0)}
        while waiting:
            for following in self._do(_ready(waiting)):
                if (following.kind, following.part) not in seen and following.kind in self.handlers:
                    seen.add((following.kind, following.part))
                    waiting.append(following)

    def of(self, kind: str) -> list[Artifact]:
        return [artifact for artifact in self.artifacts if artifact.kind == kind]

    def _do(self, wanted: NextTask) -> list[NextTask]:
        task = self._task(wanted)
        with TemporaryDirectory(prefix="spool-", dir=self.scratch) as folder, self.watch(task, Path(folder)):
            result = self.handlers[task.kind](task, self.blobs, Path(folder), _quiet)
        self._keep(result)
        for following in result.next:
            check(task.kind, following.kind)
        return [_through_json(following) for following in result.next]

    def _task(self, wanted: NextTask) -> Task:
        return Task(
            id=uuid4().hex,
            job_id=self.id,
            kind=wanted.kind,
            part=wanted.part,
            attempt=1,
            title=self.artifacts[0].name,
            args=wanted.args,
            options=self.options,
            job_state="running",
            job_reason=None,
            artifacts=tuple(self.artifacts),
        )

    def _keep(self, result: Result) -> None:
        spent = {artifact.blob for artifact in result.spent}
        kept = [artifact for artifact in [*self.artifacts, *result.artifacts] if artifact.blob not in spent]
        self.artifacts = [_through_the_catalog(artifact, result) for artifact in kept]
        for blob in spent:
            self.blobs.delete(blob)


def original(blobs: BlobStore, path: Path) -> Artifact:
    """The file at `path` as an upload, which becomes a blob."""
    blob = f"{uuid4().hex}-original"
    size, sha256 = store(blobs, blob, path)
    return Artifact(path.name, "original", "application/octet-stream", size, sha256, blob)


def _ready(waiting: deque[NextTask]) -> NextTask:
    """The first that waits for no other."""
    kinds = {task.kind for task in waiting}
    ready = next(task for task in waiting if STAGES[task.kind].awaits not in kinds)
    waiting.remove(ready)
    return ready


def _quiet(percent: float, speed: float | None = None, /) -> None:
    assert 0 <= percent <= 100
    assert speed is None or speed >= 0


def _through_json(task: NextTask) -> NextTask:
    return replace(task, args=json.loads(json.dumps(task.args, allow_nan=False)))


def _through_the_catalog(artifact: Artifact, result: Result) -> Artifact:
    facts = {**artifact.facts, **result.facts.get(artifact.blob, {})}
    return replace(artifact, facts=json.loads(json.dumps(facts, allow_nan=False)))
