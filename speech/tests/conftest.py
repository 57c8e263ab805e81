from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from openai import OpenAI

from dev.serving import served
from speech.whisper import Whisper

Connect = Callable[[Flask], OpenAI]


@pytest.fixture(scope="session")
def whisper() -> Whisper:
    return Whisper("tiny.en")


@pytest.fixture(scope="session")
def media() -> Path:
    return Path(__file__).parents[2] / "tests" / "media"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Serves an app on a real port and gives the unmodified SDK that speaks to it."""
    with ExitStack() as stack:

        def start(app: Flask) -> OpenAI:
            url = stack.enter_context(served("speech", app))
            client = OpenAI(api_key="wrong", base_url=f"{url}/v1", max_retries=0, timeout=60)
            return stack.enter_context(client)

        yield start
