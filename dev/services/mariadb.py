"""MariaDB, the MySQL of tests."""

import os
import subprocess
from urllib.parse import unquote, urlsplit

import MySQLdb

from dev.services.server import Server, ServerFailed


def create_database(server_url: str, name: str) -> str:
    """Makes an empty utf8mb4 database on the server that `server_url` names, and returns its own URL."""
    _execute(server_url, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
    return urlsplit(server_url)._replace(path=f"/{name}", query="charset=utf8mb4").geturl()


def drop_database(url: str) -> None:
    _execute(url, f"DROP DATABASE IF EXISTS `{urlsplit(url).path[1:]}`")


def _execute(url: str, statement: str) -> None:
    parts = urlsplit(url)
    connection = MySQLdb.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        connect_timeout=5,
        read_timeout=30,
    )
    try:
        connection.query(statement)
    finally:
        connection.close()


class MariaDB(Server):
    """A private MariaDB; `root` comes in over loopback without a password."""

    name = "mariadb"

    @property
    def url(self) -> str:
        return f"mysql+mysqldb://root@127.0.0.1:{self.port}/"

    def database(self, name: str) -> str:
        """Makes an empty database and returns its URL."""
        return create_database(self.url, name)

    def prepare(self) -> None:
        if (self.folder / "data").exists():
            return
        install = ["mariadb-install-db", *self._options(), "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerFailed(f"mariadb-install-db failed\n{done.stdout}{done.stderr}")

    def command(self) -> list[str]:
        return [
            "mariadbd",
            *self._options(),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            "--character-set-server=utf8mb4",
            "--innodb-buffer-pool-size=64M",
        ]

    def _options(self) -> list[str]:
        options = ["--no-defaults", f"--datadir={self.folder}/data", "--skip-name-resolve"]
        return [*options, "--user=root"] if os.geteuid() == 0 else options

    def check(self) -> None:
        _execute(self.url, "SELECT 1")
