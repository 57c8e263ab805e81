"""What a mail tells of one job, however many it tells of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.catalog import JobRow
from pipeline.reuse import artifact
from pipeline.telling import EVENTS
from pipeline.work import HIDDEN, Artifact, Task

FAILURES = ("job.failed", "export.failed", "connection.broken")
_RANKS = ("audio", "transcript", "waveform")


@dataclass(frozen=True)
class News:
    job_id: str
    title: str
    event: str
    reason: str | None
    seconds: float | None
    """Of the recording."""
    artifacts: Sequence[Artifact]

    @classmethod
    def of(cls, task: Task) -> Self:
        event, reason = _outcome(task.args, task.job_kind, task.job_state, task.job_reason)
        return cls(task.job_id, task.title, event, reason, task.seconds, task.artifacts)

    @classmethod
    def of_rows(cls, job: JobRow, args: Mapping[str, Any]) -> Self:
        event, reason = _outcome(args, job.kind, job.state, job.reason)
        return cls(job.id, job.title, event, reason, job.seconds, [artifact(row) for row in job.artifacts])

    @property
    def failed(self) -> bool:
        return self.event in FAILURES

    @property
    def files(self) -> Sequence[Artifact]:
        """What its reader gets, results first; of a failed job not what came in."""
        seen = [made for made in self.artifacts if made.kind not in HIDDEN]
        made = [file for file in seen if file.kind != "original"]
        made.sort(key=lambda file: _RANKS.index(file.kind) if file.kind in _RANKS else len(_RANKS))
        return made if self.failed else [*made, *(file for file in seen if file.kind == "original")]


def _outcome(args: Mapping[str, Any], kind: str, state: str, reason: str | None) -> tuple[str, str | None]:
    """The event and its reason. Letters from before they knew what they tell have it of the job."""
    told = {"state": state, "reason": reason, **args}
    ended = "done" if told["state"] == "done" else "failed"
    return told.get("event") or EVENTS.get((kind, ended), "job.failed"), told["reason"]
