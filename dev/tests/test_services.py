"""The private servers come up, die, freeze and come back on the same port with the same data."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from pymongo import MongoClient
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from dev.services.mariadb import MariaDB
from dev.services.server import Server, ServerFailed
from dev.waiting import eventually

pytestmark = pytest.mark.servers
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["mariadb", "mongo", "rabbitmq"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    server.start()
    yield server
    server.start()


def queue_length(url: str) -> int:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        declared = connection.channel().queue_declare("words", durable=True, arguments={"x-queue-type": "quorum"})
        return int(declared.method.message_count)


def publish(url: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "words", b"Spule", pika.BasicProperties(delivery_mode=2), mandatory=True)


def is_on_disk(server: Server, url: str) -> bool:
    """Whether a kill leaves the queue usable: RabbitMQ 3.10 writes the names of quorum queues to disk with a delay."""
    queue = f"{urlsplit(url).path[1:]}_words".encode()
    return any(queue in names.read_bytes() for names in server.folder.glob("data/**/names.dets"))


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def dev(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "dev", "services", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=140, check=False
    )


def test_each_database_is_empty_and_speaks_utf8mb4(new_database: Callable[[], str]) -> None:
    first, second = (create_engine(new_database(), poolclass=NullPool) for _ in range(2))
    with first.begin() as connection:
        connection.execute(text("CREATE TABLE words (word VARCHAR(20))"))
        connection.execute(text("INSERT INTO words VALUES ('🎞 Spule')"))
    with first.connect() as connection, second.connect() as other:
        assert connection.scalar(text("SELECT word FROM words")) == "🎞 Spule"
        assert other.scalars(text("SHOW TABLES")).all() == []


def test_each_mongo_database_is_empty(new_mongo: Callable[[], str]) -> None:
    with MongoClient[Any](new_mongo()) as one, MongoClient[Any](new_mongo()) as other:
        one.get_default_database().words.insert_one({"word": "Spule"})
        assert one.get_default_database().words.count_documents({}) == 1
        assert other.get_default_database().list_collection_names() == []


def test_each_virtual_host_is_empty(new_virtual_host: Callable[[], str]) -> None:
    first, second = new_virtual_host(), new_virtual_host()
    assert queue_length(first) == 0
    publish(first)
    eventually(lambda: queue_length(first) == 1)
    assert queue_length(second) == 0


def test_mariadb_keeps_what_it_committed_when_it_is_killed(mariadb_server: MariaDB, mysql_url: str) -> None:
    engine = create_engine(mysql_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE words (word VARCHAR(20))"))
        connection.execute(text("INSERT INTO words VALUES ('Spule')"))
    mariadb_server.kill()
    mariadb_server.start()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT word FROM words")) == "Spule"


def test_mongo_keeps_what_it_acknowledged_when_it_is_killed(mongo_server: Server, mongo_url: str) -> None:
    with MongoClient[Any](mongo_url) as client:
        client.get_default_database().words.insert_one({"word": "Spule"})
        mongo_server.kill()
        mongo_server.start()
        assert client.get_default_database().words.count_documents({}) == 1


def test_rabbitmq_keeps_what_it_confirmed_when_it_is_killed(rabbitmq_server: Server, rabbitmq_url: str) -> None:
    assert queue_length(rabbitmq_url) == 0
    eventually(lambda: is_on_disk(rabbitmq_server, rabbitmq_url))
    publish(rabbitmq_url)
    rabbitmq_server.kill()
    rabbitmq_server.start()
    eventually(lambda: queue_length(rabbitmq_url) == 1)


def test_a_stopped_server_is_gone_and_comes_back_at_the_same_url(server: Server) -> None:
    url = server.url
    server.stop()
    assert not server.running
    assert not is_listening(server.port)
    server.start()
    server.check()
    assert server.url == url


def test_a_paused_server_takes_connections_and_answers_none(server: Server) -> None:
    server.pause()
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    server.resume()
    server.check()


def test_a_fresh_place_restarts_a_server_that_was_left_down(mariadb_server: MariaDB, new_database: Any) -> None:
    mariadb_server.kill()
    with create_engine(new_database(), poolclass=NullPool).connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = MariaDB(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(ServerFailed, match="Address already in use"):
        server.start()
    assert not server.running


def test_no_server_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = """if True:
        from dev.services.private import PrivateServers
        with PrivateServers() as private:
            rabbitmq = private.launch("rabbitmq")
            mongo = private.launch("mongo")
            mariadb = private.launch("mariadb")
            for server in (mariadb, mongo, rabbitmq):
                server.wait_until_ready()
            print(mariadb.port, mongo.port, rabbitmq.port, rabbitmq.epmd_port, flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        ports = [int(port) for port in parent.stdout.readline().split()]
        assert [is_listening(port) for port in ports] == [True] * 4
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not any(is_listening(port) for port in ports), 10)


def test_run_gives_the_command_servers_of_its_own_and_returns_its_status() -> None:
    done = dev("run", "--", "sh", "-c", "env | grep ^SPOOL_TEST_; exit 7")
    assert done.returncode == 7
    ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", done.stdout)]
    assert len(ports) == 3
    assert not any(is_listening(port) for port in ports)


def test_up_keeps_servers_in_the_background_until_down(tmp_path: Path) -> None:
    up = dev("up", folder=tmp_path)
    try:
        assert re.findall(r"^export (\w+)=", up.stdout, re.M) == [
            "SPOOL_TEST_RABBITMQ_URL",
            "SPOOL_TEST_MONGODB_URL",
            "SPOOL_TEST_MYSQL_URL",
        ]
        ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", up.stdout)]
        assert all(is_listening(port) for port in ports)
        assert dev("up", folder=tmp_path).stdout == up.stdout
    finally:
        down = dev("down", folder=tmp_path)
    assert down.stdout == "ended\n"
    assert not any(is_listening(port) for port in ports)
    assert dev("down", folder=tmp_path).stdout == "none were running\n"
