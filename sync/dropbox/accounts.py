"""Connected accounts, opened with what the catalog keeps sealed."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from pipeline.connection_rows import Connection
from pipeline.connections import Connections
from pipeline.errors import Reject, Retry
from pipeline.network import Beat
from pipeline.vault import Unopened, Vault
from pipeline.work import Result
from sync.dropbox.account import Account, App, Broken

log = structlog.get_logger()

WAIT = 300.0
"""Seconds after which a task looks whether its connection goes on; it is woken when it does."""

UNSET = "This server is not set up for Dropbox: {} is missing. Tell whoever runs it."
UNREADABLE = "This server cannot read what opens the Dropbox any more: SPOOL_SECRET_KEYS lacks the key that sealed it. Tell whoever runs it."


@dataclass(frozen=True)
class Accounts:
    """`app` and `vault` are None where the settings for them are missing."""

    connections: Connections
    app: App | None
    vault: Vault | None

    @property
    def ready(self) -> tuple[App, Vault]:
        """Raises Retry, which names the setting that is missing."""
        missing = "SPOOL_SECRET_KEYS" if self.vault is None else "SPOOL_DROPBOX_APP_KEY"
        if self.app is None or self.vault is None:
            log.warning("a setting is missing", setting=missing)
            raise Retry(UNSET.format(missing))
        return self.app, self.vault

    def open(self, connection: Connection, beat: Beat) -> Account:
        """Raises Retry for what whoever runs the server has to put right."""
        app, _ = self.ready
        return app.account(self.secrets(connection)["refresh_token"], beat)

    def secrets(self, connection: Connection) -> dict[str, str]:
        """What the connection keeps: a code and what belongs to it until it was exchanged, then a refresh token. Raises Retry."""
        _, vault = self.ready
        try:
            return dict(json.loads(vault.open(connection.secret or "")))
        except Unopened as error:
            log.warning("a connection's secret cannot be opened", connection=connection.id)
            raise Retry(UNREADABLE) from error

    def seal(self, refresh_token: str) -> str:
        _, vault = self.ready
        return vault.seal(json.dumps({"refresh_token": refresh_token}))

    def use(self, connection: Connection, beat: Beat, work: Callable[[Account], Result]) -> Result:
        """Does `work`, or has its task wait while the connection is paused or broken, as it is where its account does not open any more."""
        if connection.state != "active":
            return Result(again=WAIT)
        try:
            return work(self.open(connection, beat))
        except Broken as broken:
            return Result(again=WAIT, sent=self.connections.broken(connection.id, broken.reason))
        except (Retry, Reject) as failed:
            self.connections.troubled(connection.id, failed.reason)
            raise
