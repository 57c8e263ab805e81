"""Parts that fail while there is work: nothing is lost, and nothing is done twice."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pika
import pytest
from sqlalchemy import text

from dev.services import VARIABLES
from dev.waiting import eventually
from pipeline import topology
from pipeline.database import connect
from pipeline.messages import Message
from pipeline.queues.rabbitmq import RabbitMQQueue
from tests.client import Client, names
from tests.embedded import Embedded
from tests.installation import Installation
from tests.reading import the_one_mail
from tests.recordings import MEDIA, make_lecture, unlike

if TYPE_CHECKING:
    from dev.services.mariadb import MariaDB
    from dev.services.mongo import Mongo
    from dev.services.rabbitmq import RabbitMQ

pytestmark = pytest.mark.servers
LONG_SECONDS = 590
"""So long that an attempt can be caught in its middle, and not so long that its MP3 is encoded in parts."""
OUTAGE_SECONDS = 20


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("media") / "noise.mp4"
    make_lecture(path, LONG_SECONDS)
    return path.read_bytes()


@pytest.fixture
def lecture(noise: bytes, tmp_path: Path) -> Path:
    """A recording long enough to be caught in the middle of its encoding, and new, so that there is something to encode."""
    path = tmp_path / "lecture.mp4"
    path.write_bytes(unlike(noise))
    return path


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A short one, new as well."""
    path = tmp_path / "talk.mp4"
    path.write_bytes(unlike((MEDIA / "talk.mp4").read_bytes()))
    return path


@pytest.fixture
def client(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Client]:
    """With everything there, whatever the test before has left behind."""
    for name, variable in VARIABLES.items():
        if not os.environ.get(variable):
            request.getfixturevalue(f"{name}_server").start()
    installation.mend()
    found = installation.client()
    yield found
    found.close()


def in_the_middle_of(client: Client, job_id: str, stage: str) -> None:
    eventually(
        lambda: client.stage(job_id, stage)["state"] == "running" and client.stage(job_id, stage)["percent"] > 0,
        timeout=60,
    )


def whole(job: dict[str, Any], title: str) -> bool:
    return job["state"] == "done" and names(job) == [
        f"{title}.{end}" for end in ("json", "mp3", "mp4", "srt", "txt", "vtt", "waveform.json", "waveform.png")
    ]


def test_a_killed_converter_costs_an_attempt_and_no_job(
    installation: Installation, client: Client, lecture: Path
) -> None:
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    installation.services["converter"].kill()
    installation.services["converter"].start()
    done = client.ended(job)
    assert whole(done, "lecture"), done
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_stopped_converter_hands_its_task_to_another(
    installation: Installation, client: Client, lecture: Path
) -> None:
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    with installation.worker("converter", "second converter"):
        assert installation.services["converter"].stop() == 0
        done = client.ended(job)
    installation.services["converter"].start()
    assert whole(done, "lecture"), done
    with connect(installation.catalog).connect() as catalog:
        lapses = catalog.scalar(text("SELECT SUM(lapses) FROM tasks WHERE job_id = :job"), {"job": job})
    assert lapses == 0, "the task was handed back, not left to lapse"
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_uploads_are_taken_while_the_broker_is_away(
    installation: Installation, client: Client, rabbitmq_server: "RabbitMQ", talk: Path
) -> None:
    rabbitmq_server.stop()
    jobs = [client.upload(talk) for _ in range(3)]
    assert [job["state"] for job in jobs] == ["queued"] * 3
    outlast(installation)
    rabbitmq_server.start()
    for job in jobs:
        assert whole(client.ended(job["id"]), "talk")
        the_one_mail(client, job["id"], partial(installation.mailbox.about, job["id"]))


def test_a_broker_that_goes_away_in_mid_job_delays_it(
    installation: Installation, client: Client, lecture: Path, rabbitmq_server: "RabbitMQ"
) -> None:
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    rabbitmq_server.stop()
    eventually(lambda: client.stage(job, "encode")["state"] == "done", timeout=60)
    outlast(installation)
    rabbitmq_server.start()
    assert whole(client.ended(job), "lecture")
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_message_that_comes_twice_is_worked_on_once(installation: Installation, client: Client, talk: Path) -> None:
    job = client.upload(talk)["id"]
    with connect(installation.catalog).connect() as catalog:
        task = catalog.scalar(text("SELECT id FROM tasks WHERE job_id = :job AND kind = 'extract'"), {"job": job})
    queue = RabbitMQQueue(installation.broker)
    for _ in range(5):
        queue.publish(Message(task_id=task, job_id=job, kind="extract"))
    assert whole(client.ended(job), "talk")
    eventually(lambda: queue.depth("extract") == 0)
    queue.close()
    the_one_mail(client, job, lambda: installation.mailbox.about(job))
    with connect(installation.catalog).connect() as catalog:
        attempts = catalog.scalar(text("SELECT MAX(attempt) FROM tasks WHERE job_id = :job"), {"job": job})
    assert attempts == 1


def test_a_lost_message_is_sent_again(installation: Installation, client: Client, talk: Path) -> None:
    installation.services["converter"].stop()
    job = client.upload(talk)["id"]
    queue = RabbitMQQueue(installation.broker)
    eventually(lambda: queue.depth("extract") == 1)
    with pika.BlockingConnection(pika.URLParameters(installation.broker)) as connection:
        connection.channel().queue_purge(topology.queue_name("extract"))
    queue.close()
    installation.services["converter"].start()
    assert whole(client.ended(job), "talk")
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_poisonous_message_ends_among_the_dead(installation: Installation, client: Client, talk: Path) -> None:
    with pika.BlockingConnection(pika.URLParameters(installation.broker)) as connection:
        channel = connection.channel()
        channel.basic_publish("", topology.queue_name("extract"), b"\xff not a message")
        eventually(lambda: channel.basic_get(topology.DEAD)[2] == b"\xff not a message")
    assert whole(client.ended(client.upload(talk)["id"]), "talk")


def test_a_recording_that_kills_its_worker_ends_with_a_reason(
    installation: Installation, client: Client, lecture: Path
) -> None:
    job = client.upload(lecture)["id"]
    for _ in range(4):
        in_the_middle_of(client, job, "encode")
        installation.services["converter"].kill()
        eventually(lambda: client.stage(job, "encode")["state"] != "running", timeout=30)
        installation.services["converter"].start()
    failed = client.ended(job)
    assert failed["state"] == "failed"
    assert "stopped without a word" in failed["reason"]
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_database_that_is_away_is_said_so_and_waited_for(
    installation: Installation, client: Client, lecture: Path, mariadb_server: "MariaDB"
) -> None:
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    mariadb_server.stop()
    for answer in (refused_upload(client), client.http.get(f"/v1/jobs/{job}")):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
    mariadb_server.start()
    assert whole(client.ended(job), "lecture")
    eventually(lambda: len(originals(installation)) == len(digests(client)))
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_blob_store_that_is_away_is_said_so_and_waited_for(
    installation: Installation, client: Client, lecture: Path, mongo_server: "Mongo"
) -> None:
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    mongo_server.stop()
    answer = refused_upload(client)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert "refused.mp4" not in {found["title"] for found in client.jobs()}
    eventually(lambda: client.stage(job, "encode")["state"] == "queued", timeout=60)
    mongo_server.start()
    assert whole(client.ended(job), "lecture")
    eventually(lambda: len(originals(installation)) == len(digests(client)))
    the_one_mail(client, job, lambda: installation.mailbox.about(job))


def test_a_mail_server_that_is_away_gets_the_mail_later_and_once(
    installation: Installation, client: Client, talk: Path
) -> None:
    installation.mailbox.stop()
    job = client.upload(talk)["id"]
    assert whole(client.ended(job), "talk")
    eventually(lambda: attempts_to_deliver(installation, job) > 1)
    installation.mailbox.start()
    the_one_mail(client, job, lambda: installation.mailbox.about(job))
    eventually(lambda: client.stage(job, "deliver")["state"] == "done")
    assert len(installation.mailbox.about(job)) == 1


def test_a_killed_suite_finishes_its_job_at_the_next_start(embedded: Embedded, lecture: Path) -> None:
    client = embedded.client()
    job = client.upload(lecture)["id"]
    in_the_middle_of(client, job, "encode")
    embedded.process.kill()
    embedded.start()
    assert whole(client.ended(job), "lecture")
    the_one_mail(client, job, lambda: [mail for mail in embedded.mails() if job in mail])
    client.close()


def outlast(installation: Installation) -> None:
    """An outage: until it has lasted OUTAGE_SECONDS and the converter has tried in vain to send messages."""
    log, began = installation.services["converter"], time.monotonic()
    eventually(
        lambda: time.monotonic() - began > OUTAGE_SECONDS and "message left to the sweeper" in log.output(), timeout=60
    )


def refused_upload(client: Client) -> httpx.Response:
    """On a connection of its own: the server closes one whose body it did not read."""
    url, headers = client.http.base_url.join("/upload"), client.http.headers
    with (MEDIA / "talk.mp4").open("rb") as body:
        return httpx.post(url, files={"file": ("refused.mp4", body)}, headers=headers, timeout=60, trust_env=False)


def originals(installation: Installation) -> set[str]:
    """The ids of all that was uploaded and is kept."""
    return {blob for blob in installation.stored() if blob.endswith("-original")}


def digests(client: Client) -> set[str]:
    """Of all that was uploaded and accepted."""
    made = [found for job in client.jobs() for found in job["artifacts"]]
    return {found["sha256"] for found in made if found["kind"] == "original"}


def attempts_to_deliver(installation: Installation, job: str) -> int:
    with connect(installation.catalog).connect() as catalog:
        return (
            catalog.scalar(text("SELECT attempt FROM tasks WHERE job_id = :job AND kind = 'deliver'"), {"job": job})
            or 0
        )
