from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from openai import OpenAI
from werkzeug.serving import make_server

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
    ends: list[Callable[[], object]] = []

    def start(app: Flask) -> OpenAI:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        client = OpenAI(api_key="wrong", base_url=f"http://127.0.0.1:{server.port}/v1", max_retries=0, timeout=60)
        ends.extend((client.close, server.shutdown, thread.join, server.server_close))
        return client

    yield start
    for end in ends:
        end()
