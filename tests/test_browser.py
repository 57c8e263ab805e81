"""A page of another origin in a real browser: it may do all that curl may if its origin is named, and nothing if not."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest

from tests.client import Client, artifact, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.processes import ROOT, wait_for
from tests.recordings import MEDIA

BROWSERS = ("chromium-headless-shell", "chromium")
SECONDS = 60
"""That a page may take."""


class Site(ThreadingHTTPServer):
    """Serves tests/browser and tests/media, and keeps what pages report."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.reports: Queue[dict[str, Any]] = Queue()

    def origin(self, host: str) -> str:
        return f"http://{host}:{self.server_port}"


class Visit(SimpleHTTPRequestHandler):
    server: Site

    def __init__(self, *given: Any) -> None:
        super().__init__(*given, directory=str(ROOT / "tests"))

    def do_POST(self) -> None:
        self.server.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Pages may be asked for at 127.0.0.1, an origin that the gateways know, and at localhost, one that they do not."""
    with Site() as site:
        thread = Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def open_suite(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    suite = Embedded(tmp_path_factory.mktemp("embedded"), SPOOL_CORS_ORIGINS=site.origin("127.0.0.1"))
    with suite.start().process, closing(suite.client()) as client:
        yield client


@pytest.fixture(scope="module")
def open_gateway(site: Site, installed_suite: Installation) -> Iterator[Client]:
    process = installed_suite.web("gateway", "open gateway", SPOOL_CORS_ORIGINS=site.origin("127.0.0.1"))
    wait_for(f"{installed_suite.address('open gateway')}/readyz", process)
    with closing(installed_suite.client("open gateway")) as client:
        yield client


@pytest.fixture(
    params=["open_suite", pytest.param("open_gateway", marks=pytest.mark.servers)], ids=["embedded", "installed"]
)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param)
    return found


@contextmanager
def browser(url: str, folder: Path) -> Iterator[None]:
    """One that shows the page at `url`, with nothing of earlier visits."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-proxy-server"]
    with (folder / "browser.log").open("wb") as log:
        command = [found, *quiet, "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}", url]
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def told_by_page(site: Site, host: str, client: Client, story: str, folder: Path) -> dict[str, Any]:
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    given = {"server": str(client.http.base_url).rstrip("/"), "token": token, "story": story}
    with browser(f"{site.origin(host)}/browser/story.html#{quote(json.dumps(given))}", folder):
        report = site.reports.get(timeout=SECONDS)
    assert "error" not in report, (report["error"], (folder / "browser.log").read_text())
    return report


def test_a_page_sends_watches_and_fetches(site: Site, client: Client, tmp_path: Path) -> None:
    told = told_by_page(site, "127.0.0.1", client, "whole", tmp_path)
    done = told["done"]
    assert (done["state"], names(done)) == (
        "done",
        ["talk.mp3", "talk.mp4", "talk.waveform.json", "talk.waveform.png"],
    )
    assert told["sent"]["location"] == f"/v1/jobs/{done['id']}"
    progress = told["sent"]["progress"]
    assert progress == sorted(progress)
    assert progress[-1] == (MEDIA / "talk.mp4").stat().st_size
    assert told["told"][-1] == done
    mp3 = artifact(done, "talk.mp3")
    assert told["part"] == {"status": 206, "range": f"bytes 100-199/{mp3['bytes']}", "bytes": 100}
    assert told["mp3"] == mp3["sha256"]
    assert told["again"]["reused"]
    assert told["missing"]["code"] == "not_found"


def test_a_page_of_an_origin_that_is_not_named_gets_nothing(site: Site, client: Client, tmp_path: Path) -> None:
    before = client.jobs()
    told = told_by_page(site, "localhost", client, "refused", tmp_path)
    assert told == {"reached": "opaque", "read": "TypeError", "asked": "TypeError", "sent": "TypeError"}
    assert client.jobs() == before
