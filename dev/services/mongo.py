"""SecantusDB, a server of MongoDB's wire protocol that installs without MongoDB's own packages.

It is GPL, so it lives in an environment of its own and is only ever talked to over its port.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from dev.services.server import Server

EXECUTABLE = Path(__file__).parents[2] / ".cache/mongo-server/bin/secantusd-py"


def database_url(server_url: str, name: str) -> str:
    """The URL of a database on the server that `server_url` names; Mongo makes it when it is first written to."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def drop_database(url: str) -> None:
    with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(client.get_default_database())


class Mongo(Server):
    """A private Mongo server that flushes every commit, so that its sudden death loses nothing it acknowledged."""

    name = "mongo"

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        data = str(self.folder / "data")
        return [str(EXECUTABLE), "--port", str(self.port), "--storage-path", data, "--sync-on-commit"]

    def check(self) -> None:
        with MongoClient[dict[str, Any]](self.url, serverSelectionTimeoutMS=5000) as client:
            client.admin.command("ping")
