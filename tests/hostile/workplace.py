"""A folder with blobs and scratch, and a process of its own that converts there: what it leaves and takes can be seen."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.work import Artifact
from tests.hostile.chain import Verdict, convert
from tests.hostile.making import Hostile


@dataclass
class Workplace:
    folder: Path
    pool: ProcessPoolExecutor
    beside: Path | None = None
    """A file that lies in the folder of every attempt."""
    blobs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.blobs, self.scratch = self.folder / "blobs", self.folder / "scratch"
        for made in (self.blobs, self.scratch):
            made.mkdir()

    def convert(self, hostile: Hostile, **asked: Any) -> Verdict:
        """Makes the file, and does all that its job asks for."""
        path = self.folder / uuid4().hex
        hostile.make(path)
        try:
            return self.start(path, hostile.title, {**hostile.options, **asked}).result()
        finally:
            path.unlink()

    def start(self, path: Path, title: str, asked: dict[str, Any]) -> "Future[Verdict]":
        return self.pool.submit(convert, path, self.blobs, self.scratch, title, asked, self.beside)

    def path(self, artifact: Artifact) -> Path:
        return self.blobs / artifact.blob

    def made(self) -> Iterator[Path]:
        """All blobs but the originals, finished or not."""
        return (path for path in self.blobs.iterdir() if not path.name.endswith("-original"))

    def remove(self, verdict: Verdict) -> None:
        """Removes the blobs of a job that it handed in."""
        for artifact in verdict.artifacts:  # a track may be the original
            self.path(artifact).unlink(missing_ok=True)

    def left(self) -> set[str]:
        """Names of all that jobs which are gone have left, in the store and outside of it."""
        return {path.name for path in self.blobs.iterdir()} | {path.name for path in self.scratch.glob("*/*")}


@contextmanager
def workplace(
    folder: Path, workers: int = 1, beside: Path | None = None, weaken: Callable[[], None] | None = None
) -> Iterator[Workplace]:
    """`workers` processes in `folder`, that begin with nothing of this one's memory, and with `weaken`."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), weaken) as pool:
        yield Workplace(folder, pool, beside)
