"""`rabbit/` and `pipeline.topology` say the same."""

import contextlib
import json
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline import flow, topology
from pipeline.queues.rabbitmq import RabbitMQQueue

RABBIT = Path(__file__).parents[2] / "rabbit"


@pytest.fixture
def definitions() -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads((RABBIT / "definitions.json").read_text())
    return found


def test_there_is_a_queue_for_each_stage_of_the_flow() -> None:
    assert set(topology.KINDS) == set(flow.STAGES)


def test_the_definitions_hold_the_same_queues(definitions: dict[str, list[dict[str, object]]]) -> None:
    assert {each["name"]: each["arguments"] for each in definitions["queues"]} == topology.QUEUES
    assert all(each["durable"] and not each["auto_delete"] for each in definitions["queues"])


def test_the_definitions_hold_the_same_exchanges(definitions: dict[str, list[dict[str, object]]]) -> None:
    assert {each["name"]: each["type"] for each in definitions["exchanges"]} == topology.EXCHANGES
    assert all(each["durable"] and not each["auto_delete"] for each in definitions["exchanges"])


def test_the_definitions_hold_the_same_bindings(definitions: dict[str, list[dict[str, object]]]) -> None:
    assert [(each["source"], each["destination"]) for each in definitions["bindings"]] == list(topology.BINDINGS)


def test_the_broker_waits_as_long_for_an_acknowledgement() -> None:
    lines = (RABBIT / "rabbitmq.conf").read_text().splitlines()
    settings = dict(line.split(" = ") for line in lines if line and not line.startswith("#"))
    assert int(settings["consumer_timeout"]) == topology.CONSUMER_TIMEOUT * 1000


def test_messages_go_to_one_dead_queue_at_least_once() -> None:
    for name, arguments in topology.QUEUES.items():
        assert arguments["x-queue-type"] == "quorum"
        if name != topology.DEAD:
            assert arguments["x-dead-letter-exchange"] == topology.DEAD
            assert arguments["x-dead-letter-strategy"] == "at-least-once"
            assert arguments["x-overflow"] == "reject-publish"


@pytest.mark.servers
def test_a_broker_set_up_from_the_definitions_suits_the_adapter(
    rabbitmq_url: str, definitions: dict[str, list[dict[str, object]]]
) -> None:
    """The broker refuses to declare a queue again with other arguments."""
    parts = urlsplit(rabbitmq_url)
    one_host = {
        what: [{key: each[key] for key in each if key != "vhost"} for each in definitions[what]]
        for what in ("exchanges", "queues", "bindings")
    }
    headers = {
        "Authorization": "Basic " + b64encode(f"{parts.username}:{parts.password}".encode()).decode(),
        "Content-Type": "application/json",
    }
    with contextlib.closing(HTTPConnection("127.0.0.1", (parts.port or 5672) + 10000, timeout=30)) as management:
        management.request("POST", f"/api/definitions{parts.path}", json.dumps(one_host), headers)
        answer = management.getresponse()
        assert answer.status < 300, answer.read()
    with contextlib.closing(RabbitMQQueue(rabbitmq_url)) as queue:
        queue.ping()
