"""A real browser, and a site on which its pages are and to which they report."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote

import pytest

from dev.threaded import running
from tests.processes import ROOT

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


@contextmanager
def a_site() -> Iterator[Site]:
    site = Site()
    with running(site):
        yield site


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


def report(site: Site, page: str, given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the page at `page`, from its site's origin on, says of what it was given."""
    with browser(f"{page}#{quote(json.dumps(given))}", folder):
        told = site.reports.get(timeout=SECONDS)
    assert "error" not in told, (told["error"], (folder / "browser.log").read_text())
    return told
