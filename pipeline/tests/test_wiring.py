import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from dev.services.server import free_port
from dev.waiting import eventually
from pipeline import child, wiring
from pipeline.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://host/db"),
        ("database_url", "not a url"),
        ("blob_url", "s3://bucket"),
        ("blob_url", "mongodb://:::"),
        ("blob_url", "file:///dev/null/blobs"),
        ("queue_url", "redis://host"),
    ],
)
def test_an_address_that_cannot_be_is_said_in_one_line(name: str, value: str) -> None:
    settings = Settings.model_validate({name: value})
    make = {"database_url": wiring.engine, "blob_url": wiring.blobs, "queue_url": wiring.queue}[name]
    with pytest.raises(SystemExit) as refused:
        make(settings)
    assert str(refused.value).startswith(f"SPOOL_{name.upper()}: ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.servers  # they bring the MySQL driver along
def test_wiring_connects_to_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "database_url": "mysql+mysqldb://u:p@127.0.0.1:1/spool",
            "blob_url": "mongodb://127.0.0.1:1/spool",
            "queue_url": "amqp://127.0.0.1:1/",
        }
    )
    broker, store = wiring.queue(settings), wiring.blobs(settings)
    wiring.dispatcher(settings, wiring.engine(settings), broker)
    broker.close()
    store.close()


def test_a_worker_alone_refuses_a_queue_in_memory() -> None:
    settings = Settings.model_validate(
        {"database_url": "sqlite:///x", "blob_url": "file:///x", "queue_url": "memory://"}
    )
    with pytest.raises(SystemExit, match="SPOOL_QUEUE_URL: memory:// reaches nobody"):
        wiring.run_worker("converter", settings, lambda *_: {})


def test_a_worker_says_what_it_reaches_and_what_keeps_its_children_from_the_network(tmp_path: Path) -> None:
    port = free_port()
    settings = {
        "DATABASE_URL": "sqlite:///catalog.db",
        "BLOB_URL": f"file://{tmp_path}/blobs",
        "METRICS_PORT": str(port),
    }
    environment = {f"SPOOL_{name}": value for name, value in {**settings, "QUEUE_URL": "amqp://127.0.0.1:1/"}.items()}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}

    def told() -> object:
        try:
            return json.load(urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5))
        except OSError:  # nobody listens yet, or who does is slow to answer
            return None

    command = [sys.executable, "-m", "converter"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        try:
            ready = {"status": "ok", "checks": {"catalog": "ok", "blobs": "ok"}, "isolation": child.isolation()}
            assert eventually(told, 60) == ready
        finally:
            worker.terminate()
        assert worker.stderr is not None
        assert child.isolation() in worker.stderr.read()
