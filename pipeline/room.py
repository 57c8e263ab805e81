"""Whether the disk for work in progress has room for what a task is about to write."""

import shutil
from pathlib import Path

from pipeline.errors import Retry


def check_room(folder: Path, needed: int) -> None:
    """Raises Retry unless `needed` bytes can be written in `folder`: better not to begin than to fill the disk."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Retry(f"The disk for work in progress has room for {_megabytes(free)}; this needs {_megabytes(needed)}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
