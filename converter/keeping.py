"""How what a task made becomes an artifact of its job, and whether there is room to make it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.blobs import BlobStore, store
from pipeline.errors import Retry
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


def check_room(folder: Path, needed: int) -> None:
    """Raises Retry unless `needed` bytes can be written in `folder`: better not to begin than to fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Retry(f"The disk for work in progress has room for {_megabytes(free)}; this needs {_megabytes(needed)}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
