"""Servers that live as long as a `with` block."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.services.mariadb import MariaDB
from dev.services.mongo import Mongo
from dev.services.rabbitmq import RabbitMQ
from dev.services.server import Server

# The slowest first, so that the others come up in its shadow.
SERVERS: dict[str, type[Server]] = {server.name: server for server in (RabbitMQ, Mongo, MariaDB)}


class PrivateServers:
    """Servers that are thrown away with their data at the end of a `with` block."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="spool-servers-")
        self._servers: dict[str, Server] = {}
        return self

    def launch(self, name: str) -> Server:
        """The server of that name, launched but maybe not ready yet: several can so come up side by side."""
        if name not in self._servers:
            self._servers[name] = SERVERS[name](Path(self._folder.name))
        self._servers[name].launch()
        return self._servers[name]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.discard()
        self._folder.cleanup()
