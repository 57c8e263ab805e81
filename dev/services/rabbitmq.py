"""RabbitMQ with an Erlang name service (epmd) of its own."""

import subprocess
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pika

from dev.services.server import Server, ServerFailed, free_port, spawn

# Debian's wrapper in /usr/sbin insists on the system-wide user and folders; the scripts it wraps do not.
EXECUTABLE = "/usr/lib/rabbitmq/bin/rabbitmq-server"

# As in RabbitMQ's own defaults, 5672 and 15672: the broker's URL says where its management API is.
MANAGEMENT_OFFSET = 10000


def create_virtual_host(broker_url: str, name: str) -> str:
    """Makes an empty virtual host on the broker that `broker_url` names, and returns its own URL."""
    _manage(broker_url, "PUT", f"/api/vhosts/{name}")
    return urlsplit(broker_url)._replace(path=f"/{name}").geturl()


def delete_virtual_host(url: str) -> None:
    _manage(url, "DELETE", f"/api/vhosts{urlsplit(url).path}")


def _manage(broker_url: str, method: str, path: str) -> None:
    """One request to the management API. Raises ServerFailed if it does not answer 2xx, OSError if nobody answers."""
    parts = urlsplit(broker_url)
    credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
    headers = {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
    connection = HTTPConnection(parts.hostname or "127.0.0.1", (parts.port or 5672) + MANAGEMENT_OFFSET, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        if answer.status >= 300:
            raise ServerFailed(f"{method} {path} answered {answer.status}: {answer.read(500)!r}")
    finally:
        connection.close()


class RabbitMQ(Server):
    """A private RabbitMQ node with its management API; `guest` / `guest` may do everything."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port(MANAGEMENT_OFFSET)
        self.distribution_port, self.epmd_port = free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].")
        # The disk limit is small, so that a nearly full disk does not silently block publishers.
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.port + MANAGEMENT_OFFSET}\n"
            "disk_free_limit.absolute = 10MB\n"
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def prepare(self) -> None:
        if self._epmd is None:
            epmd = ["epmd", "-address", "127.0.0.1", "-port", str(self.epmd_port)]
            self._epmd = spawn(epmd, self.folder, {}, self.folder / "epmd.log")

    def command(self) -> list[str]:
        return [EXECUTABLE]

    def environment(self) -> dict[str, str]:
        return {
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the script become the node, so that signals reach the node itself
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{self.folder}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.folder}/enabled_plugins",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": f"{self.folder}/log",
            "RABBITMQ_MNESIA_BASE": f"{self.folder}/data",
            "RABBITMQ_NODENAME": f"spool-{self.port}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def check(self) -> None:
        _manage(self.url, "GET", "/api/vhosts")
        pika.BlockingConnection(pika.URLParameters(f"{self.url}?socket_timeout=5")).close()

    def discard(self) -> None:
        super().discard()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
