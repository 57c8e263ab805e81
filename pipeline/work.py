"""What a handler gets and gives: plain values, so that a handler can be called by hand and in tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.blobs import BlobStore
from pipeline.options import Options

ArtifactKind = Literal["original", "track", "audio", "transcript"]
"""`track` is the recording's audio on its way between tasks; users never see it."""

Progress = Callable[[float], None]
"""Takes percent done, 0 to 100. Raises `Interrupted` when the attempt must end, so call it at least every second."""


@dataclass(frozen=True)
class Artifact:
    """A file of a job: its name for people, and the blob that holds its bytes."""

    name: str
    kind: ArtifactKind
    type: str
    """Media type, RFC 6838."""
    bytes: int
    sha256: str
    blob: str
    id: str = ""
    """Set once the catalog has it; this is the `fid` of the HTTP interface."""


@dataclass(frozen=True)
class NextTask:
    """A task that follows from this one: `kind` as in `pipeline.flow`, `part` counts from 0."""

    kind: str
    part: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One claimed attempt at a task, with what its handler may need of the job."""

    id: str
    job_id: str
    kind: str
    part: int
    attempt: int
    title: str
    args: Mapping[str, Any]
    options: Options
    job_state: str
    job_reason: str | None
    artifacts: Sequence[Artifact]
    """The job's artifacts when the attempt began."""
    trace: str | None = None

    def blob_id(self, label: str) -> str:
        """Names a blob of this attempt; two attempts never write the same name."""
        return f"{self.job_id}-{self.kind}-{self.part}-{self.attempt}-{label}"

    def only(self, kind: ArtifactKind) -> Artifact:
        """The job's one artifact of `kind`. Raises LookupError where there is none or more than one."""
        found = [artifact for artifact in self.artifacts if artifact.kind == kind]
        if len(found) != 1:
            raise LookupError(f"job {self.job_id} has {len(found)} artifacts of kind {kind}")
        return found[0]


@dataclass(frozen=True)
class Result:
    """What a handler made and found out: new artifacts, and the tasks that now can be done."""

    artifacts: Sequence[Artifact] = ()
    next: Sequence[NextTask] = ()
    seconds: float | None = None
    """Of the recording, once a task knows it."""


Handler = Callable[[Task, BlobStore, Path, Progress], Result]
"""Called with the task, the blob store, the attempt's own empty folder, and the progress to report to.

Raises `Retry` or `Reject`; anything else that escapes counts as a retry.
"""
