"""Gateways that are killed in the middle of an upload: nothing that was committed is lost, and any other goes on."""

import hashlib
import os
from typing import Any

import httpx
import pytest

from dev.waiting import eventually
from gateway.tests.servers import dial
from tests.client import Client
from tests.embedded import Embedded
from tests.installation import Installation

SECOND = "second gateway"
STEP = 8 * 2**20
"""What is lost at most."""
BEFORE = 2 * STEP + 100_000
"""Bytes that come before the gateway dies."""
CONTENT = b"\x00\x00\x00\x20ftypisom" + os.urandom(3 * STEP)


def tus(client: Client, url: str) -> httpx.Client:
    headers = {"Authorization": client.http.headers["Authorization"], "Tus-Resumable": "1.0.0"}
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)


def create(client: httpx.Client) -> str:
    answer = client.post("/v1/uploads", headers={"Upload-Length": str(len(CONTENT))})
    assert answer.status_code == 201
    return answer.headers["Location"]


def begun(client: httpx.Client, path: str) -> Any:
    """A connection on which the upload's one chunk has come as far as BEFORE, and does not go on."""
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {client.headers['Authorization']}",
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {len(CONTENT)}",
    ]
    connection = dial(str(client.base_url))
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + CONTENT[:BEFORE])
    return connection


def offset(client: httpx.Client, path: str) -> int:
    return int(client.head(path).headers["Upload-Offset"])


def go_on(client: httpx.Client, path: str) -> str:
    """Sends what is missing once the dead gateway's lock has lapsed, and returns the job's id."""
    kept = offset(client, path)
    assert BEFORE - STEP <= kept <= BEFORE

    def add() -> httpx.Response | None:
        headers = {"Upload-Offset": str(kept), "Content-Type": "application/offset+octet-stream"}
        answer = client.patch(path, content=CONTENT[kept:], headers=headers)
        return None if answer.status_code == 423 else answer

    answer = eventually(add)
    assert answer
    assert answer.status_code == 204
    assert client.head(path).headers["Spool-Job"] == answer.headers["Spool-Job"]
    return answer.headers["Spool-Job"]


def assert_whole(client: Client, job_id: str) -> None:
    (original,) = [found for found in client.job(job_id)["artifacts"] if found["kind"] == "original"]
    assert original["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert client.http.get(original["href"]).content == CONTENT


@pytest.mark.servers
def test_another_gateway_goes_on_where_a_killed_one_was(installation: Installation) -> None:
    installation.web("gateway", SECOND)
    installation.mend()
    client = installation.client()
    with tus(client, installation.url) as first, tus(client, installation.address(SECOND)) as other:
        path = create(first)
        with begun(first, path):
            eventually(lambda: offset(other, path) >= 2 * STEP)
            installation.services["gateway"].kill_all()
        job = go_on(other, path)
    installation.mend()
    assert_whole(client, job)
    client.close()


def test_a_suite_that_was_killed_goes_on_after_its_next_start(embedded: Embedded) -> None:
    client = embedded.client()
    with tus(client, embedded.url) as resumable:
        path = create(resumable)
        with begun(resumable, path):
            eventually(lambda: offset(resumable, path) >= 2 * STEP)
            embedded.process.kill()
    embedded.start()
    with tus(client, embedded.url) as resumable:
        assert_whole(client, go_on(resumable, path))
    client.close()
