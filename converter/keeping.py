"""How what a task made becomes an artifact of its job."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.blobs import BlobStore, store
from pipeline.work import Artifact, ArtifactKind, Task


def keep(
    task: Task,
    blobs: BlobStore,
    path: Path,
    *,
    kind: ArtifactKind,
    name: str,
    media_type: str,
    facts: Mapping[str, Any] | None = None,
    before: bytes = b"",
) -> Artifact:
    """Stores the file at `path`, with `before` in front of its bytes; its blob is called as the file is."""
    blob = task.blob_id(path.name)
    size, sha256 = store(blobs, blob, path, before)
    return Artifact(name=name, kind=kind, type=media_type, bytes=size, sha256=sha256, blob=blob, facts=facts or {})
