"""What a handler gets and gives: plain values, so that a handler can be called by hand and in tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.blobs import BlobStore
from pipeline.messages import Message
from pipeline.options import Options

ArtifactKind = Literal[
    "original", "track", "cover", "part", "speech", "heard", "layer", "audio", "waveform", "transcript", "manifest"
]
PASSING: tuple[ArtifactKind, ...] = ("track", "cover", "part", "speech", "heard")
"""What is on its way between tasks: the recording's sound, its picture, encoded parts, what a part's speech service hears and
what it heard."""
HIDDEN: tuple[ArtifactKind, ...] = (*PASSING, "layer")
"""What users never see as files. Layers are the versions of a transcript, see `pipeline.transcript`; they stay with the job."""


class Progress(Protocol):
    """Takes what an attempt has done so far. Raises `Interrupted` when the attempt must end, so call it at least every second."""

    def __call__(self, percent: float, speed: float | None = None, /) -> None:
        """`percent`: 0 to 100. `speed`: seconds of the recording that are worked on in a second, where that is known."""


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
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, as JSON: of a track `pipeline.recording.Track`, of a sound file `pipeline.recording.SoundFacts`."""


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
    failures: int = 0
    """How often it was to be tried again."""
    failing_since: datetime | None = None
    """When it was the first time, of those since it last came through."""
    owner: str = ""
    job_kind: str = "recording"
    seconds: float | None = None
    """Of the recording, where that is known."""
    connection_id: str | None = None
    calls: int = 0
    """To a service that takes money, by all attempts since its owner last ran it, see `pipeline.ledger`."""

    def blob_id(self, label: str) -> str:
        """Names a blob of this attempt; two attempts never write the same name."""
        return f"{self.job_id}-{self.kind}-{self.part}-{self.attempt}-{label}"

    def only(self, kind: ArtifactKind) -> Artifact:
        """The job's one artifact of `kind`. Raises LookupError where there is none or more than one."""
        found = [artifact for artifact in self.artifacts if artifact.kind == kind]
        if len(found) != 1:
            raise LookupError(f"job {self.job_id} has {len(found)} artifacts of kind {kind}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a transcript as search shows it; `start` and `end` in seconds of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Result:
    """What a handler made and found out: new artifacts, and the tasks that now can be done."""

    artifacts: Sequence[Artifact] = ()
    next: Sequence[NextTask] = ()
    seconds: float | None = None
    """Of the recording, once a task knows it."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What was found out of artifacts of the job, by their blobs, to stand beside what is known of them."""
    spent: Sequence[Artifact] = ()
    """Artifacts of the job that nobody needs any more. One that is made anew under the same name and kind keeps its id."""
    passages: Sequence[Passage] | None = None
    """What the job's transcript can be found by from now on, instead of what it was found by; None to leave that."""
    again: float | None = None
    """The task is not done but comes back: in so many seconds, or in a moment if somebody woke it meanwhile. Nothing else is kept then."""
    sent: Sequence[Message] = ()
    """Of tasks of other jobs that the handler's own ledger has committed."""


Handler = Callable[[Task, BlobStore, Path, Progress], Result]
"""Called with the task, the blob store, the attempt's own empty folder, and the progress to report to.

Raises `Retry` or `Reject`; anything else that escapes counts as a retry.
"""
