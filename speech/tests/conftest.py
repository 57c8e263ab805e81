from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from openai import OpenAI

from dev.serving import served
from speech.piper import Piper
from speech.shelf import Shelf

Connect = Callable[[Flask], OpenAI]

PIPER = Path(__file__).parents[2] / ".cache/piper"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(["tiny.en", "base"], cache=tmp_path_factory.mktemp("models"))


@pytest.fixture
def piper() -> Piper:
    """As `make piper` installs it."""
    return Piper(PIPER / "bin/python", PIPER / "voices")


@pytest.fixture(scope="session")
def media() -> Path:
    return Path(__file__).parents[2] / "tests" / "media"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Serves an app on a real port and gives the unmodified SDK that speaks to it."""
    with ExitStack() as stack:

        def start(app: Flask) -> OpenAI:
            url = stack.enter_context(served("speech", app))
            client = OpenAI(api_key="wrong", base_url=f"{url}/v1", max_retries=0, timeout=300)
            return stack.enter_context(client)

        yield start
