"""Connected accounts, opened with what the catalog keeps sealed."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from pipeline.connection_rows import Connection
from pipeline.connections import Connections
from pipeline.errors import Retry
from pipeline.network import Beat
from pipeline.vault import Unopened, Vault
from pipeline.work import Result
from sync.dropbox.account import Account, App, Broken

log = structlog.get_logger()

WAIT = 6 * 3600.0
"""Seconds after which a task looks whether its connection goes on. It is woken when it does; this is for a message that was lost."""

UNSET = "This server is not set up for Dropbox: {} is missing. Tell whoever runs it."
LOST = "Spool has nothing any more that opens this Dropbox; connect it again."
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
        """Raises Retry for what whoever runs the server has to put right, Broken if nothing opens the account any more."""
        app, _ = self.ready
        token = self.secrets(connection).get("refresh_token")
        if token is None:
            raise Broken(LOST)
        return app.account(token, beat)

    def secrets(self, connection: Connection) -> dict[str, str]:
        """What the connection keeps. Raises Retry.

        `code`, and what belongs to it, until it was exchanged; then `offered`, a refresh token, with its `scopes`, until it is known
        whose account it opens; `refresh_token` opens the account since it was connected, also while that is done anew.
        """
        _, vault = self.ready
        secrets: dict[str, str] = {}
        *earlier, newest = (connection.secret or "").split() or [""]
        for sealed in (*earlier, newest):
            try:
                secrets |= json.loads(vault.open(sealed))
            except Unopened as error:
                log.warning("a connection's secret cannot be opened", connection=connection.id)
                if sealed == newest:
                    raise Retry(UNREADABLE) from error
        return secrets

    def seal(self, **secrets: str) -> str:
        _, vault = self.ready
        return vault.seal(json.dumps(secrets))

    def use(self, connection: Connection, beat: Beat, work: Callable[[Account], Result]) -> Result:
        """Does `work`, or has its task wait while the connection is paused or broken, as it is where its account does not open any more.

        What has to be tried again is noted for the owner of the account; what never works is of the job alone.
        """
        if connection.state != "active":
            return Result(again=WAIT)
        try:
            return work(self.open(connection, beat))
        except Broken as broken:
            return Result(again=WAIT, sent=self.connections.broken(connection.id, broken.reason))
        except Retry as failed:
            self.connections.troubled(connection.id, failed.reason)
            raise
