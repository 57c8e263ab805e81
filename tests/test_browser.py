"""A page of another origin in a real browser: it may do all that curl may if its origin is named, and nothing if not."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import Site, a_site, report
from tests.client import Client, artifact, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.processes import wait_for
from tests.recordings import MEDIA


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Pages may be asked for at 127.0.0.1, an origin that the gateways know, and at localhost, one that they do not."""
    with a_site() as site:
        yield site


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


def told_by_page(site: Site, host: str, client: Client, story: str, folder: Path) -> dict[str, Any]:
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    given = {"server": str(client.http.base_url).rstrip("/"), "token": token, "story": story}
    return report(site, f"{site.origin(host)}/browser/story.html", given, folder)


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
