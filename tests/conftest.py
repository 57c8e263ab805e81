"""The suite under test, twice: embedded in one process, and as services on real servers."""

import email
import email.policy
import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from dev.waiting import eventually
from tests.client import Client
from tests.installation import Installation
from tests.processes import Process, free_port, python, wait_for

MEDIA = Path(__file__).parent / "media"


class Embedded:
    """`make up` without make, on a port and a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.data, self.port = folder / "data", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"SPOOL_DATA": str(self.data), "SPOOL_PORT": str(self.port), "SPOOL_LOG_FORMAT": "text"}
        self.process: Process = python("suite", "-m", "dev", "up", environment=environment, folder=folder)

    def start(self) -> "Embedded":
        self.process.start()
        wait_for(f"{self.url}/readyz", self.process)
        return self

    def client(self) -> Client:
        email, password = (self.data / "sign-in").read_text().split()
        return Client(self.url, email, password).sign_in()

    def mails(self) -> list[str]:
        return [path.read_text() for path in sorted((self.data / "mails").glob("*.eml"))]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    suite = Embedded(tmp_path)
    with suite.start().process:
        yield suite


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[], str],
    new_mongo: Callable[[], str],
    new_virtual_host: Callable[[], str],
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("installation")
    with Installation(folder, new_database(), new_database(), new_mongo(), new_virtual_host()) as running:
        yield running


def link_opens(mail: str, name: str) -> httpx.Response:
    """What the reader of a mail gets by its link to a file, with no token."""
    text = plain(mail)
    for link in re.findall(r"https?://\S+/v1/links/\S+", text):
        answer = httpx.get(link, timeout=30, trust_env=False)
        if name in answer.headers.get("Content-Disposition", ""):
            return answer
    raise AssertionError(f"no link to {name} in {text}")


def plain(mail: str) -> str:
    """The text of a mail, as its reader sees it."""
    body = email.message_from_string(mail, EmailMessage, policy=email.policy.default).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def the_one_mail(look: Callable[[], list[str]]) -> str:
    eventually(lambda: len(look()) > 0)
    (mail,) = look()
    return mail
