"""A mail server, a catalog with a job in it, and blobs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from notification.handler import deliver
from notification.ledger import Ledger
from notification.letters import Letters, parse_address
from notification.mailer import mailer
from notification.tests.calling import Office
from notification.tests.postbox import Postbox, Server
from notification.tests.receiver import Receiver, receiving
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, JobRow, MailRow
from pipeline.database import connect, transaction
from pipeline.links import Links
from pipeline.options import Options
from pipeline.work import Artifact, Result, Task

JOB = "1" * 32
ADDRESS = "ada@example.org"
LINKS = Links(["k" * 32], 7 * 86400)
LETTERS = Letters(LINKS, "https://spool.example.org/", parse_address("Spool <spool@example.org>"))
WORDS = "And so, my fellow Americans, ask not what your country can do for you."
MADE = (
    Artifact("talk.mp4", "original", "video/mp4", 5_000_000, "0" * 64, "original", "a" * 32),
    Artifact("talk.flac", "track", "audio/flac", 4_000_000, "0" * 64, "track", "b" * 32),
    Artifact("talk.mp3", "audio", "audio/mpeg", 1_234_567, "0" * 64, "audio", "c" * 32),
    Artifact("talk.srt", "transcript", "application/x-subrip", 90, "0" * 64, "srt", "d" * 32),
    Artifact("talk.txt", "transcript", "text/plain", 70, "0" * 64, "txt", "e" * 32),
)
TASK = Task("2" * 32, JOB, "deliver", 0, 1, "talk.mp4", {"address": ADDRESS}, Options(), "done", None, MADE)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def serve(postbox: Postbox) -> Iterator[Callable[..., int]]:
    """Starts the postbox with options of aiosmtpd, and returns its port."""
    with ExitStack() as running:

        def start(**options: Any) -> int:
            server = Server(postbox, **options)
            server.start()
            running.callback(server.stop)
            return server.port

        yield start


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    store = DirectoryBlobs(tmp_path / "blobs")
    with store.create("txt") as blob:
        blob.write(WORDS.encode())
    return store


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Engine]:
    """With the job that the mails are about."""
    engine = connect(f"sqlite:///{tmp_path}/catalog.db")
    Base.metadata.create_all(engine)
    with transaction(engine) as session:
        session.add(JobRow(id=JOB, owner="o" * 32, title="talk.mp4", options={}, state="done"))
    yield engine
    engine.dispose()


@pytest.fixture
def attempt(catalog: Engine, blobs: DirectoryBlobs, tmp_path: Path) -> Callable[..., Result]:
    """Makes one attempt at the task, changed as a test says, with the mail server at a URL."""

    def make(url: str, **changes: Any) -> Result:
        return deliver(
            replace(TASK, **changes),
            blobs,
            tmp_path,
            lambda _percent, _speed=None: None,
            ledger=Ledger(catalog),
            mailer=mailer(url),
            letters=LETTERS,
        )

    return make


@pytest.fixture
def states(catalog: Engine) -> Callable[[], list[str]]:
    """The states of all recorded mails."""

    def look() -> list[str]:
        with transaction(catalog) as session:
            return list(session.scalars(select(MailRow.state)))

    return look


@pytest.fixture
def office(catalog: Engine, tmp_path: Path) -> Office:
    return Office(catalog, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as own:
        yield own
