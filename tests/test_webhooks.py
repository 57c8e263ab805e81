"""A program hears by a webhook that its job is done, and fetches what came of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dev.waiting import eventually
from notification.tests.receiver import Receiver, receiving, says
from tests.client import Client, artifact, names
from tests.embedded import Embedded


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as own:
        yield own


@pytest.fixture
def client(embedded_suite: Embedded) -> Iterator[Client]:
    found = embedded_suite.client()
    yield found
    found.close()


def test_a_program_hears_that_its_job_is_done(client: Client, recording: Path, receiver: Receiver) -> None:
    receiver.answers = [says(204)]
    asked = {"url": receiver.url(), "events": ["job.done"]}
    webhook = client.http.post("/v1/webhooks", json=asked).raise_for_status().json()
    job = client.ended(client.upload(recording, transcribe="no", notify="")["id"])

    eventually(lambda: receiver.received, 60)
    (received,) = receiver.received
    message = received.verified(webhook["secret"])
    assert (message["type"], message["data"]["id"], message["data"]["state"]) == ("job.done", job["id"], "done")
    assert sorted(made["name"] for made in message["data"]["artifacts"]) == names(job)
    (sound,) = [made for made in message["data"]["artifacts"] if made["name"] == "clip.mp3"]
    content = httpx.get(sound["url"], timeout=30, trust_env=False).raise_for_status().content
    assert hashlib.sha256(content).hexdigest() == sound["sha256"] == artifact(job, "clip.mp3")["sha256"]

    deliveries = f"/v1/webhooks/{webhook['id']}/deliveries"
    eventually(lambda: client.http.get(deliveries).json()["items"][0]["state"] == "sent", 60)
    again = client.http.post(f"{deliveries}/{received.id}/resend")
    assert again.status_code == 202, again.text
    eventually(lambda: len(receiver.received) == 2, 60)
    assert (receiver.received[1].id, receiver.received[1].body) == (received.id, received.body)
    assert receiver.received[1].verified(webhook["secret"]) == message
    client.http.delete(f"/v1/webhooks/{webhook['id']}").raise_for_status()
