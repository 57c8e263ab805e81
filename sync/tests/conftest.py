"""A site to fetch from, and a handler to fetch with."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from pipeline.blobs.directory import DirectoryBlobs
from pipeline.guard import Guard
from pipeline.network import Resolver, look_up
from pipeline.options import Options
from pipeline.tests.conftest import catalog, store
from pipeline.work import Artifact, Progress, Task
from sync.by_address.fetch import Limits, fetch
from sync.tests.linked import app, linked
from sync.tests.site import Site, running
from sync.tests.watched import watched

__all__ = ["app", "catalog", "linked", "store", "watched"]

RECORDING = bytes(range(256)) * 1200
"""No text, and several reads long."""


@dataclass
class Fetcher:
    """Fetches as a worker does. 127.0.0.1 alone is let through beside the public internet."""

    root: Path
    blobs: DirectoryBlobs
    guard: Guard = field(default_factory=lambda: Guard((ip_network("127.0.0.1/32"),)))
    limits: Limits = field(default_factory=lambda: Limits(size=10**6, seconds=30, silence=10))
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    percents: list[float] = field(default_factory=list)
    resolver: Resolver = look_up

    def limited(self, **limits: Any) -> "Fetcher":
        self.limits = replace(self.limits, **limits)
        return self

    def _note(self, percent: float, _speed: float | None = None) -> None:
        self.percents.append(percent)

    def __call__(self, url: str, progress: Progress | None = None) -> Artifact:
        """Fetches, and checks what holds for everything that is fetched."""
        folder = self.root / "folder"
        folder.mkdir(exist_ok=True)
        task = Task("0" * 32, "1" * 32, "fetch", 0, 1, "talk", {"url": url}, Options(), "running", None, ())
        result = fetch(
            task,
            self.blobs,
            folder,
            progress or self._note,
            guard=self.guard,
            limits=self.limits,
            tls=self.tls,
            resolver=self.resolver,
        )
        assert [following.kind for following in result.next] == ["extract"]
        assert not list(folder.iterdir())
        (original,) = result.artifacts
        return original

    def bytes(self, original: Artifact) -> bytes:
        with self.blobs.open(original.blob) as kept:
            return kept.read()

    def kept(self) -> list[str]:
        return [blob.id for blob in self.blobs.list()]


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(tmp_path, DirectoryBlobs(tmp_path / "blobs"))


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as own:
        yield own
