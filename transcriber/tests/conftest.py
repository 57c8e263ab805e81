from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from sqlalchemy import Engine

from dev.paid_api.server import PaidApi, serving
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.transcript import About, Layer, Segment, write_layer
from transcriber.tests.catalogs import a_catalog
from transcriber.vendor import Vendor

KEY = "sk-secret-of-the-house"


@pytest.fixture
def api() -> Iterator[PaidApi]:
    api = PaidApi(KEY)
    with serving(api):
        yield api


@pytest.fixture
def vendor(api: PaidApi) -> Iterator[Vendor]:
    with OpenAI(api_key=KEY, base_url=api.url) as client:
        yield Vendor(client)


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "attempt"
    path.mkdir()
    return path


@pytest.fixture
def catalog(tmp_path: Path) -> Engine:
    return a_catalog(tmp_path)


@pytest.fixture(scope="session")
def a_layer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Layer]:
    """Makes a layer of segments; what is known of the whole may be given beside."""
    folder, numbers = tmp_path_factory.mktemp("layers"), count()

    def make(*segments: Segment, **about: Any) -> Layer:
        path = folder / f"{next(numbers)}.jsonl"
        ends = max((segment.end for segment in segments), default=0)
        write_layer(path, About(**{"duration": ends, **about}), segments)
        return Layer(path)

    return make
