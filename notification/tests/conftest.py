"""A mail server, a catalog with a job in it, and blobs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from dev.mail.server import MailServer
from notification.bursts import Bursts
from notification.handler import Post, deliver
from notification.ledger import Ledger
from notification.letters import Letters, parse_address
from notification.mailer import SmtpMailer, mailer
from notification.tests.calling import Office
from notification.tests.receiver import Receiver, receiving
from pipeline import database
from pipeline.blobs.directory import DirectoryBlobs
from pipeline.catalog import Base, JobRow, MailRow, TaskRow
from pipeline.database import transaction
from pipeline.links import Links
from pipeline.mails import Mails
from pipeline.options import Options
from pipeline.work import Artifact, Result, Task

JOB, OWNER = "1" * 32, "a" * 32
ADDRESS = "ada@example.org"
LINKS = Links(["k" * 32], 7 * 86400)
LETTERS = Letters(LINKS, "https://spool.example.org/", parse_address("Spool <spool@example.org>"))
WORDS = "And so, my fellow Americans, ask not what your country can do for you."
LAYER = {"version": 2, "at": "2026-01-02T03:04:05Z", "model": "base", "language": "en"}
MADE = (
    Artifact("talk.mp4", "original", "video/mp4", 5_000_000, "0" * 64, "original", "a" * 32),
    Artifact("talk.flac", "track", "audio/flac", 4_000_000, "0" * 64, "track", "b" * 32),
    Artifact("talk.waveform.png", "waveform", "image/png", 9_000, "0" * 64, "png", "0" * 32),
    Artifact("talk.srt", "transcript", "application/x-subrip", 90, "0" * 64, "srt", "d" * 32),
    Artifact("talk.txt", "transcript", "text/plain", 70, "0" * 64, "txt", "e" * 32),
    Artifact("talk.mp3", "audio", "audio/mpeg", 1_234_567, "0" * 64, "audio", "c" * 32),
    Artifact("layer-2", "layer", "application/jsonl", 90, "0" * 64, "layer", "f" * 32, LAYER),
)
TASK = Task(
    "2" * 32,
    JOB,
    "deliver",
    0,
    1,
    "talk.mp4",
    {"address": ADDRESS, "event": "job.done", "state": "done", "reason": None},
    Options(),
    "done",
    None,
    MADE,
    owner=OWNER,
    seconds=192.4,
)


FEW = 3


def a_post(catalog: Engine, url: str) -> Post:
    return Post(Ledger(catalog), Mails(catalog), Bursts(catalog), LETTERS, mailer(url))


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobs:
    store = DirectoryBlobs(tmp_path / "blobs")
    with store.create("txt") as blob:
        blob.write(WORDS.encode())
    return store


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.servers)])
def any_catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Empty, on each database that there may be."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    if request.param == "mysql":
        url = request.getfixturevalue("new_database")()
    engine = database.connect(url)
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def post(any_catalog: Engine, server: MailServer) -> Iterator[Post]:
    """Jobs are a burst where there are more than FEW."""
    made = replace(a_post(any_catalog, server.url), bursts=Bursts(any_catalog, jobs=FEW))
    yield made
    assert isinstance(made.mailer, SmtpMailer)
    made.mailer.pool.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Engine]:
    """With the job that the mails are about, and its task."""
    engine = database.connect(f"sqlite:///{tmp_path}/catalog.db")
    Base.metadata.create_all(engine)
    with transaction(engine) as session:
        session.add(JobRow(id=JOB, owner=OWNER, title="talk.mp4", options={}, state="done"))
        session.flush()
        session.add(TaskRow(id=TASK.id, job_id=JOB, kind="deliver", args=dict(TASK.args), state="running"))
    yield engine
    engine.dispose()


@pytest.fixture
def attempt(catalog: Engine, blobs: DirectoryBlobs, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """Makes one attempt at the task, changed as a test says, with the mail server at a URL."""
    posts: dict[str, Post] = {}

    def make(url: str, **changes: Any) -> Result:
        post = posts.setdefault(url, a_post(catalog, url))
        return deliver(replace(TASK, **changes), blobs, tmp_path, lambda _percent, _speed=None: None, post=post)

    yield make
    for post in posts.values():
        if isinstance(post.mailer, SmtpMailer):
            post.mailer.pool.close()


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
