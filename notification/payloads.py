"""What webhooks are told."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.database import now
from pipeline.links import Links
from pipeline.work import HIDDEN, Artifact, Task


@dataclass(frozen=True)
class Payloads:
    """With links that begin with `public_url`."""

    links: Links
    public_url: str

    def write(self, task: Task, at: datetime) -> str:
        """JSON in the form that Standard Webhooks recommends. `at`: when that which is told happened."""
        visible = [made for made in task.artifacts if made.kind not in HIDDEN]
        data = {
            "id": task.job_id,
            "kind": task.job_kind,
            "title": task.title,
            "state": task.args["state"],
            "reason": task.args["reason"],
            "tags": task.options.tags,
            "seconds": task.seconds,
            "artifacts": [self._artifact(made) for made in visible],
            "links_expire_at": _time(now() + timedelta(seconds=self.links.seconds)),
        }
        return json.dumps({"type": task.args["event"], "timestamp": _time(at), "data": data}, ensure_ascii=False)

    def _artifact(self, made: Artifact) -> dict[str, Any]:
        return {
            "name": made.name,
            "kind": made.kind,
            "type": made.type,
            "bytes": made.bytes,
            "sha256": made.sha256,
            "fid": made.id,
            "url": f"{self.public_url.rstrip('/')}/v1/links/{self.links.sign(made.id)}",
        }


def _time(moment: datetime) -> str:
    """RFC 3339, UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
